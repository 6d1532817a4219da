package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
)

var stormScenario = Scenario{
	Name:     "storm",
	About:    "all replicas have just started, with nothing in memory, and all their callers ask at once; the tokens live",
	Sources:  []Source{SourceBellwether, SourceShared, SourceRedislockLinear},
	Usual:    []Source{SourceBellwether, SourceShared, SourceRedislockLinear},
	Defaults: Settings{Replicas: 8, Callers: 250, Tokens: 100, Rounds: 4},
	run:      runStorm,

	AnyMasters: true,
}

// stormConstant is what a replica may send beside one read of each token.
const stormConstant = 10

func runStorm(ctx context.Context, b *bout) ([]report.Run, error) {
	runs := make([]report.Run, len(b.sources))
	for i, s := range b.sources {
		runs[i] = b.newRun(s)
	}
	for round := 1; round <= b.Rounds; round++ {
		for i, s := range b.turn(round) {
			begun := time.Now()
			r, err := b.storm(ctx, s)
			if err != nil {
				return measured(runs), fmt.Errorf("%s: %w", s, err)
			}
			runs[i].Seconds += time.Since(begun).Seconds()
			addResult(&runs[i], r)
			runs[i].Add("unexplained_commands", "commands", report.Less, b.unexplained(r))
			b.say("storm, round %d of %d, %s: %d Redis commands, %d provider calls, %d failed callers",
				round, b.Rounds, s, r.RedisCommands, r.ProviderCalls, r.FailedCallers)
		}
	}
	if ours := find(runs, SourceBellwether); ours != nil {
		checkStorm(ours)
	}
	return runs, nil
}

// storm is one round: processes that have never asked for a token.
func (b *bout) storm(ctx context.Context, s Source) (_ Result, err error) {
	h, err := openHerd(ctx, b.redis, b.living(s))
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	return h.round(ctx)
}

// unexplained are the commands beyond one read of each token by each replica, once more
// for each subscription that was made meanwhile, and a constant.
func (b *bout) unexplained(r Result) float64 {
	reads := b.Replicas
	for _, m := range r.Story.Timeline {
		if m.What == "resynced" {
			reads++
		}
	}
	return float64(max(0, r.RedisCommands-int64(reads*b.Tokens+b.Replicas*stormConstant)))
}

// checkStorm: callers of one replica share its reads, and nobody asks the provider for
// what lives.
func checkStorm(run *report.Run) {
	never(run, "failed_callers", "failed callers")
	never(run, "provider_calls", "provider calls")
	never(run, "unexplained_commands", fmt.Sprintf("Redis commands beyond one a token and replica, and %d a replica", stormConstant))
}
