package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/internal/redistest"
)

var failoverScenario = Scenario{
	Name:       "failover",
	About:      "a Redis master is killed under load, and a token of its own ends before it is replaced (3 masters or more: Cluster; 1: Sentinel)",
	Sources:    []Source{SourceBellwether, SourceShared, SourceRedislockLinear},
	Usual:      []Source{SourceBellwether, SourceRedislockLinear},
	Defaults:   Settings{Replicas: 8, Tokens: 16, Masters: 3, Rounds: 4, Rate: 400, For: 12 * time.Second, Latency: 50 * time.Millisecond, Profile: "reusable"},
	OwnServers: true,
	check:      failoverAllows,
	run:        runFailover,
}

const (
	// mostPromotedCalls: one, and another when the failover lost what the first had
	// written, or its lock. A provider whose refresh tokens stay good loses nothing by it.
	mostPromotedCalls = 2
	promotionBar      = time.Second

	// The token that ends has this whole life when the load is ordered; the master is
	// killed so long before its refresh ahead would begin.
	endingLife = 6 * time.Second
	killBefore = 250 * time.Millisecond
	minAfter   = 2 * time.Second // of load after its end
)

// servers are those of a failover.
type servers interface {
	URL() string
	Close()
	together(a, b string) (bool, error) // whether two keys lie on one master
	kill(key string) error
	promoted(key string) error // waits until all agree on another master
}

type clusterServers struct{ *redistest.ClusterServers }

func (c clusterServers) together(a, b string) (bool, error) {
	first, err := c.Master(a)
	if err != nil {
		return false, err
	}
	second, err := c.Master(b)
	return first == second, err
}

func (c clusterServers) kill(key string) error {
	_, err := c.KillMaster(key)
	return err
}

func (c clusterServers) promoted(key string) error {
	_, err := c.WaitMaster(key)
	return err
}

type sentinelServers struct{ *redistest.SentinelServers }

func (sentinelServers) together(string, string) (bool, error) { return true, nil }

func (s sentinelServers) kill(string) error {
	_, err := s.KillMaster()
	return err
}

func (s sentinelServers) promoted(string) error {
	_, err := s.WaitMaster()
	return err
}

// startServers starts what has so many masters that a killed one is replaced.
func startServers(masters int) (s servers, kind string, err error) {
	if masters == 1 {
		s, err := redistest.StartSentinel(redistest.Config{})
		return sentinelServers{s}, kindSentinel, err
	}
	c, err := redistest.StartCluster(redistest.Config{Masters: masters})
	return clusterServers{c}, kindCluster, err
}

func failoverAllows(s Settings) error {
	switch {
	case s.Masters == 2:
		return invalid("use 3 or more for a Cluster, or 1 for Sentinel", "2 masters: one alone cannot vote for a successor of the other")
	case s.Profile != "reusable" && s.Profile != "zoho":
		return invalid("use reusable or zoho", "a failover can undo a rotation that was stored: a grant of profile %s may be lost", s.Profile)
	case s.Tokens < 2:
		return invalid("use 2 or more", "%d token: one ends, the others live", s.Tokens)
	case s.For < endingLife+minAfter:
		return invalid(fmt.Sprintf("use %v or more", endingLife+minAfter), "a load of %v ends before the failover does", s.For)
	}
	return nil
}

func runFailover(ctx context.Context, b *bout) ([]report.Run, error) {
	var runs []report.Run
	for _, s := range b.sources {
		runs = append(runs, b.newRun(s))
	}
	for round := 1; round <= b.Rounds; round++ {
		for i, s := range b.turn(round) {
			begun := time.Now()
			l, f, kind, err := b.failover(ctx, s, round)
			if err != nil {
				return measured(runs), fmt.Errorf("%s: %w", s, err)
			}
			runs[i].Seconds += time.Since(begun).Seconds()
			runs[i].Parameters.Redis = kind
			f.addTo(&runs[i], l)
			b.say("failover, round %d of %d, %s: first write %v after the kill; all nodes agree after %v, next write %v later; %d callers of living tokens failed; %d provider calls",
				round, b.Rounds, s, f.outage.Round(time.Millisecond), f.promotion.Round(time.Millisecond), f.pause.Round(time.Millisecond), l.failed(f.ending), l.Provider.Calls)
		}
	}
	if ours := find(runs, SourceBellwether); ours != nil {
		checkFailover(ours)
	}
	return runs, nil
}

// A failover is what happened to the servers in one round.
type failover struct {
	ending    int           // the row whose token ends
	ends      time.Time     // when
	key       string        // in the slot of that row
	writer    string        // the row that is written all the time, on the same master
	killed    time.Duration // since the release
	outage    time.Duration // from the kill to the first write that succeeds, on the new master
	promotion time.Duration // from the kill until all nodes agree on the new master
	pause     time.Duration // from then to the next write that succeeds
}

func (b *bout) failover(ctx context.Context, s Source, round int) (_ *loaded, _ *failover, kind string, err error) {
	srv, kind, err := startServers(b.Masters)
	if err != nil {
		return nil, nil, "", err
	}
	defer srv.Close()
	g, err := openGround(ctx, srv.URL())
	if err != nil {
		return nil, nil, "", err
	}
	g.disposable = true
	defer func() { err = errors.Join(err, g.close(ctx)) }()
	p := b.plan(s)
	p.Expiry = expiryNone
	st, err := openStage(ctx, g, p, nil)
	if err != nil {
		return nil, nil, "", err
	}
	defer st.close()
	if _, err := st.warm(ctx); err != nil {
		return nil, nil, "", err
	}
	f := &failover{}
	if err := f.prepare(ctx, st, srv); err != nil {
		return nil, nil, "", err
	}
	l, err := st.underLoad(ctx, round, b.Rate, b.For, func(ctx context.Context, release time.Time) error {
		return f.happen(ctx, st.ground, srv, release)
	})
	return l, f, kind, err
}

// prepare gives row f.ending the life that it has left, and finds a row for the writers.
func (f *failover) prepare(ctx context.Context, st *stage, srv servers) error {
	row := st.rows[f.ending]
	f.key = row // a key of a baseline is in its own slot
	if st.Source == SourceBellwether {
		f.key = st.ground.lockKey(row)
	}
	for n := 0; ; n++ {
		f.writer = fmt.Sprintf("writer-%d", n)
		ok, err := srv.together(st.ground.lockKey(f.writer), f.key)
		if err != nil {
			return err
		}
		if ok {
			break
		}
	}
	if _, err := st.ground.store.Save(ctx, bellwether.Token{ID: f.writer, Provider: "oauthtest", RefreshToken: bellwether.NewSecret("r")}); err != nil {
		return err
	}
	left := endingLife
	if st.Source != SourceBellwether {
		left += oauth2Early // so that all take it for ended at once
	}
	f.ends = time.Now().Add(endingLife)
	return st.shorten(ctx, left, 1, f.ending)
}

// happen kills the master of row f.ending and sees writers through it.
func (f *failover) happen(ctx context.Context, g *ground, srv servers, release time.Time) error {
	// A refresh ahead begins in the last quarter of a life.
	if err := sleep(ctx, time.Until(f.ends.Add(-endingLife/4-killBefore))); err != nil {
		return err
	}
	if err := srv.kill(f.key); err != nil {
		return err
	}
	killed := time.Now()
	f.killed = killed.Sub(release)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	writes := g.keepWriting(ctx, f.writer)
	if err := srv.promoted(f.key); err != nil {
		return err
	}
	promoted := time.Now()
	f.promotion = promoted.Sub(killed)
	for at := range writes { // all began after the kill
		if after := at.Sub(killed); f.outage == 0 || after < f.outage {
			f.outage = after
		}
		if f.pause == 0 && at.After(promoted) {
			f.pause = at.Sub(promoted)
			cancel()
		}
	}
	if f.pause == 0 {
		return errors.New("bench: no write after the promotion")
	}
	return nil
}

func (f *failover) addTo(run *report.Run, l *loaded) {
	l.Timeline = append(l.Timeline,
		report.Mark{Row: "Redis", What: "killed", At: milliseconds(f.killed)},
		report.Mark{Row: "Redis", What: "promoted", At: milliseconds(f.killed + f.promotion)})
	l.addTo(run, "")
	run.Add("living_failed_callers", "callers", report.Less, float64(l.failed(f.ending)))
	run.Add("ending_failed_callers", "callers", report.Less, float64(l.FailedRows[f.ending]))
	run.Add("write_after_kill", "ms", report.Less, milliseconds(f.outage))
	run.Add("promotion", "ms", "", milliseconds(f.promotion))
	run.Add("write_after_promotion", "ms", report.Less, milliseconds(f.pause))
	run.Add("last_failure_after_promotion", "ms", report.Less, max(0, milliseconds(l.LastFailed-f.killed-f.promotion)))
}

// checkFailover: living tokens are served from memory all the time. The one that ended
// is not called for while Redis is away; its callers are told so, and it is renewed after
// the promotion. A master may take its last writes along: the lock of a call, or what
// it brought.
func checkFailover(run *report.Run) {
	never(run, "living_failed_callers", "failed callers of tokens that live")
	neverAbove(run, "provider_calls", "provider calls for the token that ended", mostPromotedCalls)
	atLeastOne(run, "provider_calls", "the token that ended was renewed")
	never(run, "replays", "replays of a spent refresh token")
	never(run, "grants_lost", "grants lost")
	medianAtMost(run, "write_after_promotion", "writes go on, from when all nodes know of the promotion", milliseconds(promotionBar))
	medianAtMost(run, "dropped", "arrivals that the machine could not begin", 0)
}

// keepWriting writes a row from several goroutines until ctx ends, and sends when each
// write had succeeded. The channel is closed after the last one.
func (g *ground) keepWriting(ctx context.Context, id string) <-chan time.Time {
	writes := make(chan time.Time)
	go func() {
		defer close(writes)
		_ = each(ctx, 4, func(w int) error {
			for n := 0; ctx.Err() == nil; n++ {
				try, done := context.WithTimeout(ctx, time.Second)
				_, err := g.store.Save(try, bellwether.Token{ID: id, APIDomain: fmt.Sprintf("https://api%d-%d.example.com", w, n)})
				done()
				if err == nil {
					select {
					case writes <- time.Now():
					case <-ctx.Done():
					}
				}
				_ = sleep(ctx, 5*time.Millisecond) // ends with ctx
			}
			return nil
		})
	}()
	return writes
}
