package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// A loaded is what the replicas of a stage measured together under one load.
type loaded struct {
	load
	Commands map[string]int64 // Redis commands by name
	Resyncs  int              // subscriptions renewed: what is cached is read again then
	Provider oauthtest.Stats  // calls and replays of this load
	Lost     int              // grants that were dead at the end
	Timeline []report.Mark
}

// underLoad lets callers arrive at rate (of all replicas together) for a time, while
// during runs; the latter may be nil. It is told when the first caller is due.
func (s *stage) underLoad(ctx context.Context, round int, rate float64, length time.Duration, during func(ctx context.Context, release time.Time) error) (*loaded, error) {
	before := s.server.Stats()
	s.logged = len(s.server.Log())
	release := time.Now().Add(lead)
	o := order{Do: orderLoad, At: release.UnixNano(), Rate: rate / float64(len(s.fleet.living())), For: length, Round: round}
	if err := s.fleet.tell(o); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	aside := make(chan error, 1)
	go func() {
		var err error
		if during != nil {
			err = during(ctx, release)
		}
		if err != nil {
			cancel(err)
		}
		aside <- err
	}()
	all, err := s.fleet.await(ctx, newsLoaded, nil)
	if err != nil {
		cancel(err)
		<-aside
		return nil, context.Cause(ctx)
	}
	if err := <-aside; err != nil {
		return nil, err
	}
	l := merged(all)
	after := s.server.Stats()
	l.Provider.Calls, l.Provider.Replays = after.Calls-before.Calls, after.Replays-before.Replays
	for _, g := range s.grants {
		if !s.server.GrantAlive(g.ID) {
			l.Lost++
		}
	}
	l.Timeline = append(l.Timeline, s.providerMarks(release, Story{})...)
	return l, nil
}

// merged is the sum of what replicas said.
func merged(all []news) *loaded {
	l := &loaded{Commands: map[string]int64{}}
	l.Failures, l.FailedRows = map[string]int{}, map[int]int{}
	for _, n := range all {
		l.Waits.Merge(n.Load.Waits)
		l.Failed.Merge(n.Load.Failed)
		l.Calls.Merge(n.Load.Calls)
		l.Arrivals += n.Load.Arrivals
		l.Dropped += n.Load.Dropped
		l.Late += n.Load.Late
		l.LastFailed = max(l.LastFailed, n.Load.LastFailed)
		for text, count := range n.Load.Failures {
			l.Failures[text] += count
		}
		for row, count := range n.Load.FailedRows {
			l.FailedRows[row] += count
		}
		for name, count := range n.Commands {
			l.Commands[name] += count
		}
		for _, m := range n.Marks {
			if m.What == "resynced" {
				l.Resyncs++
			}
		}
		l.Timeline = append(l.Timeline, timelineOf(n)[1:]...) // but its callers' waiting
	}
	return l
}

// failed is how many callers failed, of all rows but those.
func (l *load) failed(except ...int) int {
	sum := 0
	for row, n := range l.FailedRows {
		if !slices.Contains(except, row) {
			sum += n
		}
	}
	return sum
}

func (l *loaded) commands() int64 {
	var sum int64
	for n := range maps.Values(l.Commands) {
		sum += n
	}
	return sum
}

// addTo adds the load as a round of a run. A name that begins the metrics' names tells
// parts of a scenario apart; it may be blank.
func (l *loaded) addTo(run *report.Run, part string) {
	if part != "" {
		part += "_"
	}
	run.Add(part+"arrivals", "callers", "", float64(l.Arrivals))
	run.Add(part+"dropped", "callers", report.Less, float64(l.Dropped))
	run.Add(part+"late", "callers", "", float64(l.Late))
	run.Add(part+"failed_callers", "callers", report.Less, float64(l.failed()))
	if p := l.Waits.Percentiles(); p != nil {
		run.Add(part+"wait_p50", "ms", report.Less, p.P50)
		run.Add(part+"wait_p99", "ms", report.Less, p.P99)
		run.Add(part+"wait_max", "ms", report.Less, p.Max)
	}
	if p := l.Calls.Percentiles(); p != nil {
		run.Add(part+"call_p50", "ms", report.Less, p.P50)
		run.Add(part+"call_p99", "ms", report.Less, p.P99)
	}
	run.Add(part+"provider_calls", "calls", report.Less, float64(l.Provider.Calls))
	run.Add(part+"replays", "replays", report.Less, float64(l.Provider.Replays))
	run.Add(part+"grants_lost", "grants", report.Less, float64(l.Lost))
	run.Add(part+"redis_commands", "commands", report.Less, float64(l.commands()))
	if run.Waits == nil {
		run.Waits = new(report.Histogram)
	}
	run.Waits.Merge(l.Waits)
	run.Timeline, run.Commands = l.Timeline, maps.Clone(l.Commands)
	addFailures(run, l.Failures)
}

func addFailures(run *report.Run, failures map[string]int) {
	for text, n := range failures {
		if run.Failures == nil {
			run.Failures = map[string]int{}
		}
		run.Failures[text] += n
	}
}

// String is what a step of a scenario says of a load.
func (l *loaded) String() string {
	s := fmt.Sprintf("%d arrivals, %d failed, %d provider calls, %d Redis commands", l.Arrivals, l.failed(), l.Provider.Calls, l.commands())
	if l.Dropped > 0 {
		s += fmt.Sprintf(", %d dropped", l.Dropped)
	}
	return s
}
