package bench

import (
	"context"
	"errors"
	"time"
)

// A herdPlan describes a herd.
type herdPlan struct {
	Source   Source
	Replicas int
	Callers  int           // in each
	Leavers  int           // in each, beside those: they ask first and soon give up; nobody counts them
	Tokens   int           // shared by all, callers spread over them; default 1
	Latency  time.Duration // of the provider
	Profile  string        // one of Profiles
	Expiry   expiry
	Times    Times         // zero values are refresh's own defaults
	L1Size   int           // of SourceBellwether, as in refresh.Config
	MaxStale time.Duration // the same
	// KillHolder kills the replica that leads, once, while the provider holds its call.
	// Such a herd has one round.
	KillHolder bool
	// SignIn stores the token of a new grant, once a round, while the provider holds the
	// call that refreshes the old one.
	SignIn bool
}

func (p herdPlan) mode() Mode {
	switch {
	case p.KillHolder:
		return ModeHolderKilled
	case p.Source == SourceShared:
		return ModeWithout
	case p.Source == SourceBellwether:
		return ModeBellwether
	}
	return Mode(p.Source)
}

// A herd is a fleet that meets one expiry after another. It is not safe for
// concurrent use.
type herd struct {
	ground *ground
	stage  *stage
}

// openHerd starts the replicas of a plan over the Redis of url; blank is an embedded
// one.
func openHerd(ctx context.Context, url string, p herdPlan) (*herd, error) {
	g, err := openGround(ctx, url)
	if err != nil {
		return nil, err
	}
	s, err := openStage(ctx, g, p, nil)
	if err != nil {
		return nil, errors.Join(err, g.close(ctx))
	}
	return &herd{g, s}, nil
}

// round lets the token expire, releases all callers at once and measures them. The
// fleet is warm from the second round on.
func (h *herd) round(ctx context.Context) (Result, error) { return h.stage.round(ctx) }

// close ends the replicas and removes what was written.
func (h *herd) close(ctx context.Context) error {
	h.stage.close()
	return h.ground.close(ctx)
}
