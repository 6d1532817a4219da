package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
)

// The scenarios in which a token expires and all callers ask for it at once.

var herdScenario = Scenario{
	Name:     "herd",
	About:    "a token expires and all callers of all replicas ask for it at once",
	Sources:  herdSources(),
	Usual:    slices.DeleteFunc(herdSources(), func(s Source) bool { return s == SourceEach }), // half a minute a round
	Defaults: Settings{Replicas: 8, Callers: 250, Rounds: 10, Latency: time.Second, Profile: "strict"},
	run:      runHerd,

	AnyMasters: true,
}

// The bars of the herd: a replica is told and its callers have returned within 5 ms of
// the write, and nobody waits much longer than the bare round trips take.
const (
	handoverBar  = 5.0 // ms, p99
	extraWaitBar = 1.5 // times the bare probe's p99
)

func runHerd(ctx context.Context, b *bout) ([]report.Run, error) {
	runs, err := b.herds(ctx, b.plan, 1)
	if err != nil {
		return runs, err
	}
	if ours := find(runs, SourceBellwether); ours != nil {
		checkHerd(ours, find(runs, SourceBare))
	}
	return runs, nil
}

// checkHerd compares with the bare probe, which may be nil.
func checkHerd(ours, bare *report.Run) {
	medianAtMost(ours, "handover_p99", "hand-over p99", handoverBar)
	if bare != nil {
		ratioBar(ours, "extra_wait_p99", "extra wait p99", bare, "extra_wait_p99",
			func(ratio float64) bool { return ratio <= extraWaitBar }, fmt.Sprintf("≤ %.1f", extraWaitBar))
	}
}

var convoyScenario = Scenario{
	Name:     "convoy",
	About:    "the provider takes longer than a lock lives: 3.5 s, TTL 1 s (baselines: 2 s)",
	Sources:  []Source{SourceBellwether, SourcePolling, SourceRedislockLinear, SourceRedislockExponential},
	Usual:    []Source{SourceBellwether, SourcePolling, SourceRedislockLinear, SourceRedislockExponential},
	Defaults: Settings{Replicas: 8, Callers: 50, Rounds: 4, Latency: 3500 * time.Millisecond, Profile: "strict"},
	run: func(ctx context.Context, b *bout) ([]report.Run, error) {
		return b.herds(ctx, func(s Source) herdPlan {
			p := b.plan(s)
			p.Times = Times{CallTimeout: 2 * b.Latency, CommitBudget: 2 * time.Second, LockTTL: time.Second, MaxHold: 2*b.Latency + 4*time.Second}
			return p
		}, 1)
	},
}

var rotateScenario = Scenario{
	Name:     "rotate",
	About:    "many expiries of one token at a provider that rotates and revokes at a replay",
	Sources:  herdSources(),
	Usual:    []Source{SourceBellwether, SourcePolling, SourceRedislockLinear, SourceShared, SourceEach},
	Defaults: Settings{Replicas: 8, Callers: 20, Rounds: 50, Latency: 50 * time.Millisecond, Profile: "strict"},
	run: func(ctx context.Context, b *bout) ([]report.Run, error) {
		return b.herds(ctx, func(s Source) herdPlan {
			p := b.plan(s)
			p.Expiry = expiryAtOnce
			return p
		}, 1)
	},
}

var killScenario = Scenario{
	Name:     "kill",
	About:    "the replica that refreshes is killed while the provider holds its call",
	Sources:  []Source{SourceBellwether, SourcePolling, SourceRedislockLinear},
	Usual:    []Source{SourceBellwether, SourcePolling, SourceRedislockLinear},
	Defaults: Settings{Replicas: 8, Callers: 50, Rounds: 4, Latency: 100 * time.Millisecond, Profile: "reusable"},
	check: func(s Settings) error {
		if s.Replicas < minReplicas {
			return invalid(fmt.Sprintf("use %d or more", minReplicas), "one replica is killed of %d", s.Replicas)
		}
		return nil
	},
	run: runKill,
}

const killedBar = 100 * time.Millisecond

func runKill(ctx context.Context, b *bout) ([]report.Run, error) {
	runs, err := b.herds(ctx, func(s Source) herdPlan {
		p := b.plan(s)
		p.KillHolder, p.Times = true, demoTimes
		return p
	}, 2)
	if err != nil {
		return runs, err
	}
	if ours := find(runs, SourceBellwether); ours != nil {
		checkKill(ours)
	}
	return runs, nil
}

func checkKill(run *report.Run) {
	medianAtMost(run, "next_call_after_lock", "next call after the lock's end", milliseconds(killedBar))
}

// find returns the run of a source, or nil.
func find(runs []report.Run, s Source) *report.Run {
	for i := range runs {
		if runs[i].Subject == string(s) {
			return &runs[i]
		}
	}
	return nil
}

// herds measures the herd of each source, round by round in turn. Of Bellwether it checks
// that each expiry took so many calls.
func (b *bout) herds(ctx context.Context, plan func(Source) herdPlan, calls int) ([]report.Run, error) {
	return b.inTurn(ctx, plan, (*entrant).meet, func(run *report.Run) {
		checkHerds(run, calls)
		checkTold(run)
		if plan(SourceBellwether).SignIn {
			never(run, "sign_ins_lost", "sign-ins overwritten by an older refresh")
		}
	})
}

// addResult adds one round.
func addResult(run *report.Run, r Result) {
	run.Add("provider_calls", "calls", report.Less, float64(r.ProviderCalls))
	run.Add("failed_callers", "callers", report.Less, float64(r.FailedCallers))
	run.Add("replays", "replays", report.Less, float64(r.Replays))
	run.Add("grants_lost", "grants", report.Less, float64(r.Story.GrantsLost))
	if p := r.ExtraWait; p != nil {
		run.Add("extra_wait_p50", "ms", report.Less, p.P50)
		run.Add("extra_wait_p99", "ms", report.Less, p.P99)
		run.Add("extra_wait_max", "ms", report.Less, p.Max)
	}
	if p := r.Handover; p != nil {
		run.Add("handover_p99", "ms", report.Less, p.P99)
	}
	run.Add("redis_commands", "commands", report.Less, float64(r.RedisCommands))
	if r.Mode == ModeHolderKilled {
		run.Add("next_call_after_lock", "ms", report.Less, milliseconds(r.Story.NextCall-r.Story.LockLeft))
	}
	if run.Waits == nil {
		run.Waits = new(report.Histogram)
	}
	run.Waits.Merge(r.Story.Waits)
	run.Timeline, run.Commands = r.Story.Timeline, maps.Clone(r.Story.Commands)
	addFailures(run, r.Story.Failures)
}

// checkHerds holds every round to what Bellwether promises.
func checkHerds(run *report.Run, calls int) {
	for _, c := range []struct {
		metric, name string
		want         float64
	}{
		{"provider_calls", "provider calls an expiry", float64(calls)},
		{"replays", "replays of a spent refresh token", 0},
		{"failed_callers", "failed callers", 0},
		{"grants_lost", "grants lost", 0},
	} {
		m, _ := run.Metric(c.metric)
		least, most := m.Range()
		got := number(most)
		if least != most {
			got = number(least) + " to " + got
		}
		run.Checks = append(run.Checks, invariant(c.metric, c.name, least == c.want && most == c.want, number(c.want), got))
	}
}
