package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/refresh"
)

var coldScenario = Scenario{
	Name:     "cold",
	About:    "no token is in memory: every caller reads Redis (callers at a rate, then as many reads as there can be)",
	Sources:  []Source{SourceBellwether, SourceHMGet},
	Usual:    []Source{SourceBellwether, SourceHMGet},
	Defaults: Settings{Replicas: 8, Tokens: 1000, Rounds: 4, Rate: 2000, For: 3 * time.Second},
	run:      runCold,
}

// readBar: a read, unsealing included, comes this near to the throughput of its command.
const readBar = 0.8

func runCold(ctx context.Context, b *bout) ([]report.Run, error) {
	runs, err := b.loads(ctx, func(s Source) herdPlan {
		p := b.living(s)
		p.L1Size = -1
		return p
	})
	if err != nil {
		return nil, err
	}
	if err := b.throughputs(ctx, runs); err != nil {
		return nil, err
	}
	if ours := find(runs, SourceBellwether); ours != nil {
		checkCold(ours, find(runs, SourceHMGet))
	}
	return runs, nil
}

// checkCold compares with the bare command, which may be nil.
func checkCold(ours, bare *report.Run) {
	never(ours, "failed_callers", "failed callers")
	never(ours, "provider_calls", "provider calls")
	medianAtMost(ours, "dropped", "arrivals that the machine could not begin", 0)
	if bare != nil {
		ratioBar(ours, "reads_per_s", "reads a second, unsealing included", bare, "reads_per_s",
			func(ratio float64) bool { return ratio >= readBar }, "≥ 0.8")
	}
}

// throughputs measures, in this process, how many reads a second there can be.
func (b *bout) throughputs(ctx context.Context, runs []report.Run) (err error) {
	g, err := openGround(ctx, b.redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close(ctx)) }()
	if err := g.saveSamples(ctx, 0, b.Tokens); err != nil {
		return err
	}
	ids := make([]string, b.Tokens)
	for i := range ids {
		ids[i] = sampleID(i)
	}
	sent, err := recordReads(ctx, g.url, g.namespace, g.keyset, ids)
	if err != nil {
		return err
	}
	r, err := g.newRefresher(ctx, refresh.Config{L1Size: -1})
	if err != nil {
		return err
	}
	defer r.Close()
	reads := []struct {
		source Source
		metric string
		read   func(i int) error
	}{
		{SourceBellwether, "reads_per_s", func(i int) error {
			_, err := g.store.Peek(ctx, ids[i], "")
			return err
		}},
		{SourceHMGet, "reads_per_s", func(i int) error { return g.client.Do(ctx, sent[i]...).Err() }},
		{SourceBellwether, "gets_per_s", func(i int) error {
			_, err := r.Get(ctx, ids[i], refresh.Want{})
			return err
		}},
	}
	for round := range b.Rounds + 1 {
		for _, c := range reads {
			run := find(runs, c.source)
			if run == nil {
				continue
			}
			rate, err := throughput(ctx, b.Tokens, c.read)
			if err != nil {
				return err
			}
			if round > 0 {
				run.Add(c.metric, "reads/s", report.More, rate)
				b.say("cold, round %d of %d, %s: %.0f %s", round, b.Rounds, c.source, rate, c.metric)
			}
		}
	}
	return nil
}

// throughputPeriod is how long each measurement of it takes.
const throughputPeriod = 500 * time.Millisecond

// throughput is how often f can be called in a second, on rows drawn at random.
func throughput(ctx context.Context, rows int, f func(i int) error) (float64, error) {
	var n atomic.Int64
	begun := time.Now()
	err := each(ctx, loaders, func(int) error {
		for time.Since(begun) < throughputPeriod {
			if err := f(rand.IntN(rows)); err != nil {
				return err
			}
			n.Add(1)
		}
		return nil
	})
	return float64(n.Load()) / time.Since(begun).Seconds(), err
}
