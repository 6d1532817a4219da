package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// A stage is a provider, some grants and a fleet that shares them. Every round of it is
// one expiry of all their tokens, or none.
type stage struct {
	herdPlan
	mode     Mode
	narrator Narrator
	ground   *ground
	server   *oauthtest.Server
	grants   []oauthtest.Grant // one a row
	rows     []string
	fleet    *fleet
	logged   int             // calls in the provider's log before the round
	hold     *oauthtest.Hold // of atFirstCall, while no call has been let go from it
	slow     int             // how often the machine has been too slow for lead and told: each time they double
}

// lead is the time from an order to the release of the herd: all replicas must have
// read the order and started their callers by then. A round in which one had not is late.
const lead = 250 * time.Millisecond

func openStage(ctx context.Context, g *ground, p herdPlan, n Narrator) (*stage, error) {
	cfg := serverConfig(p.Profile, p.Latency)
	s := &stage{herdPlan: p, mode: p.mode(), narrator: n, ground: g, server: oauthtest.New(cfg)}
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
	s.grants = make([]oauthtest.Grant, max(s.Tokens, 1))
	s.rows = make([]string, len(s.grants))
	for i := range s.grants {
		if err := s.signIn(ctx, i); err != nil {
			return err
		}
	}
	var err error
	s.fleet, err = startFleet(ctx, s.Replicas, setup{
		Source:    s.Source,
		Callers:   s.Callers,
		Leavers:   s.Leavers,
		Redis:     s.ground.url,
		Namespace: s.ground.namespace,
		Rows:      s.rows,
		Keyset:    s.ground.keyset,
		Provider:  specOf(s.server, cfg),
		ClientID:  s.grants[0].Token.ClientID,
		Secret:    s.grants[0].Token.ClientSecret.Reveal(),
		Times:     s.Times,
		L1Size:    s.L1Size,
		MaxStale:  s.MaxStale,
		Alive:     s.Expiry == expiryNone,
		Progress:  s.narrator != nil,
	})
	if err != nil {
		return err
	}
	s.say("%d replica processes are up, %d callers in each", s.Replicas, s.Callers)
	return nil
}

// signIn makes a grant for row i and stores its token.
func (s *stage) signIn(ctx context.Context, i int) error {
	s.grants[i] = s.server.Issue(fmt.Sprintf("bot%d@%s", i, s.mode))
	row, err := s.ground.seed(ctx, s.Source, i, s.grants[i].Token, s.Expiry == expiryNone)
	s.rows[i] = row
	return err
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

// round lets the tokens expire, releases the herd and measures it. A grant that died in
// the round before is replaced first, as when its user signs in again.
func (s *stage) round(ctx context.Context) (Result, error) {
	for i, g := range s.grants {
		if s.server.GrantAlive(g.ID) {
			continue
		}
		if err := s.signIn(ctx, i); err != nil {
			return Result{}, err
		}
	}
	if err := s.expire(ctx); err != nil {
		return Result{}, err
	}
	stats := s.server.Stats()
	s.logged = len(s.server.Log())
	r := Result{Mode: s.mode, Replicas: s.Replicas, Callers: s.Callers}
	r.Story.Profile = s.Profile

	aside := s.watch(stats.Calls)
	if s.mode == ModeHolderKilled {
		aside = s.atFirstCall(ctx, aside, func(caller *replica) error { return s.kill(ctx, caller, &r.Story) })
	}
	if s.SignIn {
		aside = s.atFirstCall(ctx, aside, func(*replica) error { return s.signInAgain(ctx) })
	}
	release := time.Now().Add(lead << s.slow)
	if err := s.fleet.tell(order{Do: orderHerd, At: release.UnixNano()}); err != nil {
		return Result{}, err
	}
	s.say("the token has expired: all callers ask at once")
	done, err := s.fleet.await(ctx, newsDone, aside)
	s.letGo()
	if err != nil {
		return Result{}, err
	}
	commit := time.Duration(-1)
	for _, n := range done {
		r.Story.Took = max(r.Story.Took, n.Took)
		if n.Late {
			r.Story.Late++
		}
		r.Story.Timeline = append(r.Story.Timeline, timelineOf(n)...)
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
	for _, g := range s.grants {
		if !s.server.GrantAlive(g.ID) {
			r.Story.GrantsLost++
		}
	}
	if s.SignIn {
		if r.Story.SignInsLost, err = s.signInsLost(ctx); err != nil {
			return Result{}, err
		}
	}
	r.GrantAlive = r.Story.GrantsLost == 0
	r.Story.Timeline = append(r.Story.Timeline, s.providerMarks(release, r.Story)...)
	return r, nil
}

// collect fetches what the replicas have measured.
func (s *stage) collect(ctx context.Context, r *Result, commit time.Duration) error {
	service := s.service(r)
	issued := service > 0
	if s.SignIn {
		service, commit = 0, -1 // who is told of the sign-in waits for no call
	}
	if err := s.fleet.tell(order{Do: orderCollect, Service: service, Commit: commit}); err != nil {
		return err
	}
	all, err := s.fleet.await(ctx, newsCollected, nil)
	if err != nil {
		return err
	}
	var extra, handover report.Histogram
	r.Story.Failures, r.Story.Commands = map[string]int{}, map[string]int64{}
	for _, n := range all {
		extra.Merge(n.ExtraWait)
		handover.Merge(n.Handover)
		r.Story.Early += n.Early
		for text, count := range n.Failures {
			r.FailedCallers += count
			r.Story.Failures[text] += count
		}
		for name, count := range n.Commands {
			r.Story.Commands[name] += count
		}
	}
	if got := int(extra.Count()) + r.Story.Early; got != r.Survivors() {
		return fmt.Errorf("bench: %d of %d callers were measured", got, r.Survivors())
	}
	if r.Story.Early > 0 && s.Expiry != expiryAtOnce {
		return fmt.Errorf("bench: %d callers returned before the provider can have answered", r.Story.Early)
	}
	if !issued && r.FailedCallers < r.Survivors() && s.Source == SourceBellwether && s.Expiry != expiryNone {
		return errors.New("bench: callers got a token, and the provider issued none")
	}
	r.ExtraWait, r.Handover, r.Story.Waits = extra.Percentiles(), handover.Percentiles(), extra
	for count := range maps.Values(r.Story.Commands) {
		r.RedisCommands += count
	}
	return nil
}

// service is the service time of the call that brought the token, by the provider's
// log; 0 when none did.
func (s *stage) service(r *Result) (service time.Duration) {
	for _, c := range s.server.Log()[s.logged:] {
		if c.Committed && (service == 0 || c.Duration < service) {
			service = c.Duration
		}
		if c.Committed && !r.Story.killed.IsZero() {
			r.Story.NextCall = c.Start.Sub(r.Story.killed)
		}
	}
	return service
}
