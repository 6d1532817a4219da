package bench

import (
	"context"
	"errors"
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
}

// warmLoad is how long callers arrive before anything is measured.
const warmLoad = 500 * time.Millisecond

func runSteady(ctx context.Context, b *bout) ([]report.Run, error) {
	runs, err := b.loads(ctx, b.living)
	if err != nil {
		return nil, err
	}
	if ours := find(runs, SourceBellwether); ours != nil {
		checkSteady(ours)
	}
	return runs, nil
}

// checkSteady: a token that lives in memory costs a caller nothing but its own time.
func checkSteady(run *report.Run) {
	never(run, "failed_callers", "failed callers")
	never(run, "provider_calls", "provider calls")
	never(run, "unexplained_commands", "Redis commands, re-reads after a new subscription apart")
	medianAtMost(run, "dropped", "arrivals that the machine could not begin", 0)
}

// living is the plan of a source whose tokens outlast the scenario.
func (b *bout) living(s Source) herdPlan {
	p := b.plan(s)
	p.Expiry, p.Profile = expiryNone, "strict"
	return p
}

// loads measures each source under the load of the settings, round by round in turn.
func (b *bout) loads(ctx context.Context, plan func(Source) herdPlan) (_ []report.Run, err error) {
	runs := make([]report.Run, len(b.sources))
	herds := make([]*herd, len(b.sources))
	defer func() {
		for _, h := range herds {
			if h != nil {
				err = errors.Join(err, h.close(ctx))
			}
		}
	}()
	for i, s := range b.sources {
		runs[i] = b.newRun(s)
		if herds[i], err = openHerd(ctx, b.redis, plan(s)); err != nil {
			return nil, err
		}
		if _, err := herds[i].stage.warm(ctx); err != nil {
			return nil, err
		}
	}
	for round := range b.Rounds + 1 {
		for i, s := range b.turn(round) {
			length := b.For
			if round == 0 {
				length = warmLoad
			}
			begun := time.Now()
			l, err := herds[i].stage.underLoad(ctx, round, b.Rate, length, nil)
			if err != nil {
				return nil, err
			}
			if round == 0 {
				continue
			}
			runs[i].Seconds += time.Since(begun).Seconds()
			l.addTo(&runs[i], "")
			if plan(s).L1Size >= 0 {
				// A new subscription tells a replica to read what it holds once more.
				extra := max(0, l.commands()-int64(l.Resyncs*b.Tokens))
				runs[i].Add("unexplained_commands", "commands", report.Less, float64(extra))
			}
			b.say("%s, round %d of %d, %s: %v", b.scenario.Name, round, b.Rounds, s, l)
		}
	}
	return runs, nil
}
