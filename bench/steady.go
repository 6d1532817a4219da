package bench

import (
	"context"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
)

var steadyScenario = Scenario{
	Name:     "steady",
	About:    "every token lives and is in memory; callers arrive at a rate",
	Sources:  []Source{SourceBellwether, SourceShared},
	Usual:    []Source{SourceBellwether, SourceShared},
	Defaults: Settings{Replicas: 8, Tokens: 64, Rounds: 4, Rate: 20_000, For: 3 * time.Second},
	run:      runSteady,

	outlasted: true,
}

// warmLoad is how long callers arrive before anything is measured.
const warmLoad = 500 * time.Millisecond

func runSteady(ctx context.Context, b *bout) ([]report.Run, error) {
	runs, err := b.loads(ctx, b.living)
	if err != nil {
		return runs, err
	}
	if ours := find(runs, SourceBellwether); ours != nil {
		checkSteady(ours)
	}
	return runs, nil
}

// checkSteady: the machine kept up.
func checkSteady(run *report.Run) {
	medianAtMost(run, "dropped", "arrivals that the machine could not begin", 0)
}

// living is the plan of a source whose tokens outlast the scenario. It re-reads nothing by
// age: however long the others take, a command is one too many.
func (b *bout) living(s Source) herdPlan {
	p := b.plan(s)
	p.Expiry, p.Profile, p.MaxStale = expiryNone, "strict", -1
	return p
}

// loads measures each source under the load of the settings, round by round in turn. It
// holds Bellwether to what is true of tokens that live.
func (b *bout) loads(ctx context.Context, plan func(Source) herdPlan) ([]report.Run, error) {
	return b.inTurn(ctx, plan, (*entrant).underLoad, checkLoad)
}

// checkLoad: nobody is refused a token that lives, and the provider is not asked for one.
func checkLoad(run *report.Run) {
	never(run, "failed_callers", "failed callers")
	never(run, "provider_calls", "provider calls")
	if _, inMemory := run.Metric("unexplained_commands"); inMemory {
		never(run, "unexplained_commands", "Redis commands, re-reads after a new subscription apart")
	}
}

// underLoad adds a round under load. Before round 0, which warms up, every replica reads
// every token.
func (e *entrant) underLoad(ctx context.Context, round int) error {
	length, run := e.For, &e.run
	if round == 0 {
		length, run = warmLoad, &e.aside
		if _, err := e.herd.stage.warm(ctx); err != nil {
			return err
		}
	}
	begun := time.Now()
	l, err := e.herd.stage.underLoad(ctx, round, e.Rate, length, nil)
	if err != nil {
		return err
	}
	run.Seconds += time.Since(begun).Seconds()
	l.addTo(run, "")
	if e.plan.L1Size >= 0 {
		// A new subscription tells a replica to read what it holds once more.
		extra := max(0, l.commands()-int64(l.Resyncs*e.Tokens))
		run.Add("unexplained_commands", "commands", report.Less, float64(extra))
	}
	if round > 0 {
		e.say("%s, round %d of %d, %s: %v", e.scenario.Name, round, e.Rounds, e.plan.Source, l)
	}
	return nil
}
