package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
)

// A Narrator is told how a run goes, from one goroutine.
type Narrator interface {
	Begin(Options)   // defaults filled in
	Scene(Mode)      // a scenario begins
	Say(text string) // one step of it
	Live(Live)       // while callers wait
	Done(Result)     // the scenario has ended
}

// Live is the state of a herd that waits.
type Live struct {
	Mode     Mode
	Elapsed  time.Duration
	Returned int // callers
	Callers  int // of all replicas that live
	Calls    int // of the provider in this herd
	InFlight int // of them
}

// Run runs the three scenarios and tells n, which must not be nil. Nothing stays
// behind: no process, no port, no key in Redis.
//
// Errors: bellwether.ErrInvalid for Options that cannot be right, before anything is
// started; those of redisstore.New; the end of ctx, or of Options.Timeout; and, after
// all scenarios, those of Result.Check where Bellwether did not keep what it promises.
// The results that there are come along.
func Run(ctx context.Context, o Options, n Narrator) (results []Result, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, err
	}
	redis.SetLogger(quiet{})
	slow := &bellwether.Error{Op: "demo",
		Detail: fmt.Sprintf("not done within %v", o.Timeout), Hint: "raise --timeout, or use fewer replicas and callers"}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, slow)
	defer cancel()

	n.Begin(o)
	g, err := openGround(ctx, o.Redis)
	if err != nil {
		return nil, orCause(ctx, err)
	}
	defer func() { err = errors.Join(err, g.close(ctx)) }()
	var broken []error
	for _, p := range plans(o) {
		n.Scene(p.mode())
		r, err := scene(ctx, g, p, n)
		if err != nil {
			return results, orCause(ctx, err)
		}
		results = append(results, r)
		broken = append(broken, r.Check())
		n.Done(r)
	}
	return results, errors.Join(broken...)
}

// orCause prefers why a run was ended to what that led to.
func orCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return err
}

// ended says why ctx has ended: our own reason for a timeout, else what everybody
// matches with errors.Is.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	return ctx.Err()
}

func plans(o Options) []herdPlan {
	p := herdPlan{Replicas: o.Replicas, Callers: o.Callers, Latency: o.Latency, Profile: o.Profile, Times: demoTimes}
	without, with, killed := p, p, p
	without.Source = SourceShared
	with.Source = SourceBellwether
	killed.Source, killed.KillHolder, killed.Profile = SourceBellwether, true, "zoho"
	return []herdPlan{without, with, killed}
}

// scene runs one round of a plan.
func scene(ctx context.Context, g *ground, p herdPlan, n Narrator) (Result, error) {
	s, err := openStage(ctx, g, p, n)
	if err != nil {
		return Result{}, err
	}
	defer s.close()
	return s.round(ctx)
}
