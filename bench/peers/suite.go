package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether/bench/internal/host"
	"github.com/bellwether-go/bellwether/bench/report"
)

// options say what is measured, and how long.
type options struct {
	only     []string // names of scenarios; none: all
	rounds   int
	sample   time.Duration
	rows     int
	replicas int
	callers  int
	latency  time.Duration
	say      func(format string, args ...any)
}

// A scenario sets up subjects that do the same work, each its own way.
type scenario struct {
	name, about string
	open        func(context.Context, *stage) (report.Parameters, []subject, error)
}

// A subject is what is measured. One call of measure adds the values of one round.
type subject struct {
	name    string
	measure func(context.Context, *report.Run) error
	// check, when set, says what must hold of all rounds.
	check func(report.Run) []report.Check
}

// scenarios are all of them; those of one name differ in their parameters.
var scenarios = []scenario{
	{"hit", "a token in memory: time and allocations of a call", openHit},
	{"read", "a token in Redis: reads past the memory of a replica", openRead},
	{"refresh", "all callers of all replicas meet a token that has ended", openReusable},
	{"refresh", "the same, at a provider that revokes at a replay", openStrict},
	{"raw", "what the machine does at best: a message, a round trip", openRaw},
}

func scenarioNames() (names []string) {
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return slices.Compact(names)
}

// measure runs the scenarios that were asked for on one redis-server. What was measured
// before an error comes along, in a report that is marked.
func measure(ctx context.Context, o options) (rep report.Report, err error) {
	rep = report.Report{Format: report.Format, Started: time.Now().UTC(), Machine: host.Machine()}
	defer func() { rep.Seconds = time.Since(rep.Started).Seconds() }()
	g, err := openGround(ctx)
	if err != nil {
		return rep, err
	}
	defer g.close()
	if rep.Versions, err = theseVersions(ctx, g.srv.URL()); err != nil {
		return rep, err
	}
	for _, sc := range scenarios {
		if len(o.only) > 0 && !slices.Contains(o.only, sc.name) {
			continue
		}
		runs, err := sc.run(ctx, &stage{ground: g, options: o})
		rep.Runs = append(rep.Runs, runs...)
		if err != nil {
			rep.Incomplete = fmt.Sprintf("%s, %s", sc.name, whyEnded(err))
			return rep, fmt.Errorf("%s: %w", sc.name, err)
		}
	}
	return rep, nil
}

// whyEnded is what a report says of the error that ended it.
func whyEnded(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return err.Error()
}

// run measures the subjects in turn, round by round, so that all meet the same moods of
// the machine. Each round begins with another subject; the first round warms up and does
// not count. What was measured before an error comes along, checked.
func (sc scenario) run(ctx context.Context, st *stage) ([]report.Run, error) {
	defer st.close()
	p, subjects, err := sc.open(ctx, st)
	if err != nil {
		return nil, err
	}
	p.Rounds = st.rounds
	runs := make([]report.Run, len(subjects))
	for i, s := range subjects {
		runs[i] = report.Run{Scenario: sc.name, Subject: s.name, Parameters: p}
	}
	err = sc.rounds(ctx, st, subjects, runs)
	for i, s := range subjects {
		if s.check != nil && len(runs[i].Metrics) > 0 {
			runs[i].Checks = s.check(runs[i])
		}
	}
	if err != nil {
		runs = slices.DeleteFunc(runs, func(r report.Run) bool { return len(r.Metrics) == 0 })
	}
	return runs, err
}

func (sc scenario) rounds(ctx context.Context, st *stage, subjects []subject, runs []report.Run) error {
	for round := range st.rounds + 1 {
		st.say("%s: round %d of %d", sc.about, round, st.rounds)
		for i := range subjects {
			i = (i + round) % len(subjects)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			run := &runs[i]
			if round == 0 {
				run = new(report.Run)
			}
			begun := time.Now()
			if err := subjects[i].measure(ctx, run); err != nil {
				return fmt.Errorf("%s: %w", subjects[i].name, err)
			}
			run.Seconds += time.Since(begun).Seconds()
		}
	}
	return nil
}
