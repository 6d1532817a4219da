package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/bellwether-go/bellwether/oauthtest"
)

// A stage is a provider, one grant and a fleet that shares it. Every round of it is
// one expiry.
type stage struct {
	Plan
	mode     Mode
	narrator Narrator
	ground   *ground
	server   *oauthtest.Server
	grant    oauthtest.Grant
	row      string
	fleet    *fleet
	logged   int // calls in the provider's log before the round
	replays  int
}

// How long an access token lives that a round waits for to end. Every replica must
// have read it in the first three quarters; later it would be refreshed ahead.
const (
	shortLife = 2 * time.Second
	mostLife  = 8 * time.Second
)

// lead is the time from an order to the release of the herd: all replicas must have
// read the order and started their callers by then.
const lead = 250 * time.Millisecond

func openStage(ctx context.Context, g *ground, p Plan, n Narrator) (*stage, error) {
	cfg := serverConfig(p.Profile, p.Latency)
	s := &stage{Plan: p, mode: p.mode(), narrator: n, ground: g, server: oauthtest.New(cfg)}
	if err := s.open(ctx, cfg); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) open(ctx context.Context, cfg oauthtest.Config) error {
	if _, err := s.server.Start(); err != nil {
		return err
	}
	s.grant = s.server.Issue("bot@" + string(s.mode))
	var err error
	if s.row, err = s.ground.seed(ctx, s.Source, s.grant.Token); err != nil {
		return err
	}
	s.fleet, err = startFleet(ctx, s.Replicas, setup{
		Source:    s.Source,
		Callers:   s.Callers,
		Redis:     s.ground.url,
		Namespace: s.ground.namespace,
		Row:       s.row,
		Keyset:    s.ground.keyset,
		Provider:  specOf(s.server, cfg),
		ClientID:  s.grant.Token.ClientID,
		Secret:    s.grant.Token.ClientSecret.Reveal(),
		Times:     s.Times,
		Progress:  s.narrator != nil,
	})
	if err != nil {
		return err
	}
	s.say("%d replica processes are up, %d callers in each", s.Replicas, s.Callers)
	return nil
}

func (s *stage) close() {
	if s.fleet != nil {
		s.fleet.stop()
	}
	s.server.Close()
}

func (s *stage) say(format string, args ...any) {
	if s.narrator != nil {
		s.narrator.Say(fmt.Sprintf(format, args...))
	}
}

// round lets the token expire, releases the herd and measures it.
func (s *stage) round(ctx context.Context) (Result, error) {
	if err := s.expire(ctx); err != nil {
		return Result{}, err
	}
	stats := s.server.Stats()
	s.logged, s.replays = len(s.server.Log()), stats.Replays
	r := Result{Mode: s.mode, Replicas: s.Replicas, Callers: s.Callers}
	r.Story.Profile = s.Profile

	aside := s.watch(stats.Calls)
	if s.mode == ModeHolderKilled {
		hold := s.server.HoldNext(false)
		aside = s.killFirst(ctx, hold, &r.Story, aside)
	}
	release := time.Now().Add(lead)
	if err := s.fleet.tell(order{Do: orderHerd, At: release.UnixNano()}); err != nil {
		return Result{}, err
	}
	s.say("the token has expired: all callers ask at once")
	done, err := s.fleet.await(ctx, newsDone, aside)
	if err != nil {
		return Result{}, err
	}
	commit := time.Duration(-1)
	for _, n := range done {
		r.Story.Took = max(r.Story.Took, n.Took)
		if n.Commit >= 0 && (commit < 0 || n.Commit < commit) {
			commit = n.Commit
		}
	}
	if err := s.collect(ctx, &r, commit); err != nil {
		return Result{}, err
	}
	after := s.server.Stats()
	r.ProviderCalls = after.Calls - stats.Calls
	r.Replays = after.Replays - stats.Replays
	r.GrantAlive = s.server.GrantAlive(s.grant.ID)
	return r, nil
}

// expire makes every replica hold a token and waits until that has ended. A shared
// store begins with a token that has.
func (s *stage) expire(ctx context.Context) error {
	if s.Source != SourceBellwether {
		_, err := s.warm(ctx)
		return err
	}
	for life := shortLife; life <= mostLife; life *= 2 {
		calls := s.server.Calls()
		ends, err := s.ground.expire(ctx, s.row, life)
		if err != nil {
			return err
		}
		late, err := s.warm(ctx)
		if err != nil {
			return err
		}
		if late || s.ground.untilPast(ends) < life/3 {
			continue // a slow machine: some replica may refresh ahead
		}
		s.say("every replica holds the token; it ends in %v", s.ground.untilPast(ends).Round(10*time.Millisecond))
		if err := sleep(ctx, s.ground.untilPast(ends)+20*time.Millisecond); err != nil {
			return err
		}
		if s.server.Calls() == calls {
			return nil
		}
	}
	return errors.New("bench: this machine is too slow to let a token expire in all replicas at once")
}

// warm reports whether some replica does not hold what was saved.
func (s *stage) warm(ctx context.Context) (late bool, err error) {
	if err := s.fleet.tell(order{Do: orderWarm}); err != nil {
		return false, err
	}
	all, err := s.fleet.await(ctx, newsWarmed, nil)
	for _, n := range all {
		late = late || n.Late
	}
	return late, err
}

// watch hands on how many callers have returned.
func (s *stage) watch(calls int) func(news) error {
	if s.narrator == nil {
		return nil
	}
	begun := time.Now()
	returned := map[*replica]int{}
	return func(n news) error {
		if n.Word != newsProgress {
			return nil
		}
		returned[n.replica] = n.Returned
		l := Live{Mode: s.mode, Elapsed: time.Since(begun)}
		for _, r := range s.fleet.living() {
			l.Callers += s.Callers
			l.Returned += returned[r]
		}
		stats := s.server.Stats()
		l.Calls, l.InFlight = stats.Calls-calls, stats.InFlight
		s.narrator.Live(l)
		return nil
	}
}

// killFirst kills the replica whose call reaches the provider first, while that holds
// it, and lets the provider go on.
func (s *stage) killFirst(ctx context.Context, hold *oauthtest.Hold, story *Story, next func(news) error) func(news) error {
	return func(n news) error {
		if n.Word != newsCalling || story.Killed != 0 {
			if next == nil {
				return nil
			}
			return next(n)
		}
		select {
		case <-hold.Arrived():
		case <-ctx.Done():
			return ended(ctx)
		}
		defer hold.Release()
		killed := time.Now()
		if err := s.fleet.kill(n.replica); err != nil {
			return err
		}
		story.Killed, story.KilledPID = n.replica.number, n.replica.pid()
		asked := time.Now()
		left, err := s.ground.client.PTTL(ctx, s.ground.lockKey(s.row)).Result()
		if err != nil {
			return err
		}
		story.LockLeft = asked.Sub(killed) + left
		story.killed = killed
		s.say("replica %d leads; its call is at the provider: process %d is killed, its lock ends in %v",
			story.Killed, story.KilledPID, left.Round(10*time.Millisecond))
		return nil
	}
}

// collect fetches what the replicas have measured.
func (s *stage) collect(ctx context.Context, r *Result, commit time.Duration) error {
	service, err := s.service(r)
	if err != nil {
		return err
	}
	if err := s.fleet.tell(order{Do: orderCollect, Service: service, Commit: commit}); err != nil {
		return err
	}
	all, err := s.fleet.await(ctx, newsCollected, nil)
	if err != nil {
		return err
	}
	var extra, handover Histogram
	r.Story.Failures, r.Story.Commands = map[string]int{}, map[string]int64{}
	for _, n := range all {
		extra.Merge(n.ExtraWait)
		handover.Merge(n.Handover)
		for text, count := range n.Failures {
			r.FailedCallers += count
			r.Story.Failures[text] += count
		}
		for name, count := range n.Commands {
			r.Story.Commands[name] += count
		}
	}
	if got := int(extra.Count()); got != r.Survivors() {
		return fmt.Errorf("bench: %d of %d callers were measured", got, r.Survivors())
	}
	r.ExtraWait, r.Handover = extra.Percentiles(), handover.Percentiles()
	for count := range maps.Values(r.Story.Commands) {
		r.RedisCommands += count
	}
	return nil
}

// service is the service time of the call that brought the token, by the provider's
// log; 0 when none did.
func (s *stage) service(r *Result) (time.Duration, error) {
	var service time.Duration
	for _, c := range s.server.Log()[s.logged:] {
		if c.Committed && (service == 0 || c.Duration < service) {
			service = c.Duration
		}
		if c.Committed && !r.Story.killed.IsZero() {
			r.Story.NextCall = c.Start.Sub(r.Story.killed)
		}
	}
	if service == 0 && r.Mode != ModeWithout {
		return 0, errors.New("bench: the provider issued no token")
	}
	return service, nil
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}
