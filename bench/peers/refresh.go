package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/internal/sharedrow"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// patience bounds one round: in a lock's queue every replica may wait a second for each
// of those before it.
const patience = 2 * time.Minute

func openReusable(_ context.Context, st *stage) (report.Parameters, []subject, error) {
	return openRefresh(st, bellwether.RotationReusable)
}

func openStrict(_ context.Context, st *stage) (report.Parameters, []subject, error) {
	return openRefresh(st, bellwether.RotationStrict)
}

// openRefresh starts a provider, which all subjects use in turn.
func openRefresh(st *stage, rotation bellwether.Rotation) (report.Parameters, []subject, error) {
	provider := oauthtest.New(oauthtest.Config{Rotation: rotation, Latency: st.latency, AccessLife: time.Hour})
	st.atEnd(provider.Close)
	if _, err := provider.Start(); err != nil {
		return report.Parameters{}, nil, err
	}
	var subjects []subject
	for _, o := range openers {
		s := subject{name: o.name, measure: func(ctx context.Context, run *report.Run) error {
			ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("a round takes longer than %v", patience))
			defer cancel()
			return newExpiry(st, provider).measure(ctx, run, o.open)
		}}
		if o.ours {
			s.check = checkRefresh
		}
		subjects = append(subjects, s)
	}
	return report.Parameters{
		Replicas:  st.replicas,
		Callers:   st.callers,
		Tokens:    1,
		LatencyMS: float64(st.latency) / float64(time.Millisecond),
		Profile:   string(rotation),
		Redis:     "single",
	}, subjects, nil
}

// An expiry is one round: a user who has signed in, whose access token has ended.
type expiry struct {
	*stage
	provider *oauthtest.Server
	grant    oauthtest.Grant
	key      string // of the row that peers share
}

func newExpiry(st *stage, provider *oauthtest.Server) *expiry {
	grant := provider.Issue("bot")
	return &expiry{stage: st, provider: provider, grant: grant, key: "kept:" + grant.ID}
}

// measure lets all callers of fresh replicas ask at once.
func (e *expiry) measure(ctx context.Context, run *report.Run, open opener) (err error) {
	replicas, closeAll, err := e.openFleet(ctx, open)
	if err != nil {
		return err
	}
	before, logged := e.provider.Stats(), len(e.provider.Log())
	answers := ask(ctx, replicas, e.callers)
	closeAll()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	after := e.provider.Stats()

	service := e.service(logged)
	var waits report.Histogram
	failed := 0
	for _, a := range answers {
		if a.err == nil && !e.provider.Accepts(bellwether.NewSecret(a.token)) {
			a.err = errors.New("got a token that the API refuses")
		}
		if err := waits.Record(a.extra(service)); err != nil {
			return err
		}
		if a.err != nil {
			failed++
			if run.Failures == nil {
				run.Failures = map[string]int{}
			}
			run.Failures[a.err.Error()]++
		}
	}
	lost := 0.0
	if !e.provider.GrantAlive(e.grant.ID) {
		lost = 1
	}
	run.Add("provider_calls", "calls", report.Less, float64(after.Calls-before.Calls))
	run.Add("failed_callers", "callers", report.Less, float64(failed))
	run.Add("replays", "replays", report.Less, float64(after.Replays-before.Replays))
	run.Add("grants_lost", "grants", report.Less, lost)
	p := waits.Percentiles()
	run.Add("extra_wait_p50", "ms", report.Less, p.P50)
	run.Add("extra_wait_p99", "ms", report.Less, p.P99)
	run.Add("extra_wait_max", "ms", report.Less, p.Max)
	if run.Waits == nil {
		run.Waits = new(report.Histogram)
	}
	run.Waits.Merge(waits)
	return nil
}

// openFleet opens the replicas. They have connections to Redis, and nothing in memory.
func (e *expiry) openFleet(ctx context.Context, open opener) (replicas []replica, closeAll func(), err error) {
	openOne, end, err := open(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	closeAll = func() {
		for _, r := range replicas {
			r.close()
		}
		end()
	}
	for range e.replicas {
		r, err := openOne(ctx)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		replicas = append(replicas, r)
	}
	return replicas, closeAll, nil
}

// service is how long the provider took for the quickest call that brought a token; 0
// when none did.
func (e *expiry) service(logged int) (service time.Duration) {
	for _, c := range e.provider.Log()[logged:] {
		if c.Committed && (service == 0 || c.Duration < service) {
			service = c.Duration
		}
	}
	return service
}

// An answer is what one caller got, and how long after the release.
type answer struct {
	token string
	err   error
	took  time.Duration
}

// extra is the wait beyond the provider's own time. Who has failed counts with all of
// the wait: no call brought a token.
func (a answer) extra(service time.Duration) time.Duration {
	if a.err != nil {
		return a.took
	}
	return a.took - service
}

// ask releases so many callers of each replica at one instant.
func ask(ctx context.Context, replicas []replica, callers int) []answer {
	answers := make([]answer, len(replicas)*callers)
	release := make(chan struct{})
	var begun time.Time
	var ready, done sync.WaitGroup
	for i := range answers {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-release
			a := &answers[i]
			a.token, a.err = replicas[i/callers].token(ctx)
			a.took = time.Since(begun)
		})
	}
	ready.Wait()
	begun = time.Now()
	close(release)
	done.Wait()
	return answers
}

// keep stores the ended token for the peers.
func (e *expiry) keep(ctx context.Context) error {
	t := e.grant.Token
	row := sharedrow.Row{Client: e.client, Key: e.key}
	return row.Save(ctx, &oauth2.Token{
		AccessToken:  t.AccessToken.Reveal(),
		RefreshToken: t.RefreshToken.Reveal(),
		TokenType:    t.TokenType,
		Expiry:       time.Now().Add(-time.Minute),
	})
}

// checkRefresh holds every round to what Bellwether promises.
func checkRefresh(run report.Run) (checks []report.Check) {
	for _, c := range []struct {
		metric, name string
		want         float64
	}{
		{"provider_calls", "provider calls an expiry", 1},
		{"failed_callers", "failed callers", 0},
		{"replays", "replays of a spent refresh token", 0},
		{"grants_lost", "grants lost", 0},
	} {
		m, _ := run.Metric(c.metric)
		least, most := m.Range()
		got := fmt.Sprint(most)
		if least != most {
			got = fmt.Sprintf("%v to %v", least, most)
		}
		checks = append(checks, report.Check{
			Kind:   report.Invariant,
			Name:   c.name,
			Want:   fmt.Sprint(c.want),
			Got:    got,
			OK:     least == c.want && most == c.want,
			Metric: c.metric,
		})
	}
	return checks
}
