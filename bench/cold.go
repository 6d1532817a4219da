package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/bellwether-go/bellwether/bench/internal/sample"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/refresh"
)

var coldScenario = Scenario{
	Name:     "cold",
	About:    "no token is in memory: every caller reads Redis (callers at a rate, of up to 1000 tokens; of any number, as many reads as there can be)",
	Sources:  []Source{SourceBellwether, SourceHMGet},
	Usual:    []Source{SourceBellwether, SourceHMGet},
	Defaults: Settings{Replicas: 8, Tokens: 1000, Rounds: 4, Rate: 2000, For: 3 * time.Second},
	run:      runCold,

	AnyMasters: true,
	fills:      true,
	outlasted:  true,
}

// mostLoaded is the most tokens that callers at a rate ask for. Of more, throughput alone
// is measured: each would have to be a grant of the provider's.
const mostLoaded = 1000

// readBar: a read, unsealing included, comes this near to the throughput of its command.
const readBar = 0.8

func runCold(ctx context.Context, b *bout) (runs []report.Run, err error) {
	g, err := openGround(ctx, b.redis)
	if err != nil {
		return nil, err
	}
	g.disposable = b.owned
	defer func() { err = errors.Join(err, g.close(ctx)) }()
	if err := b.fillSamples(ctx, g); err != nil {
		return nil, err
	}
	if b.Tokens > mostLoaded {
		b.say("cold: of more than %d tokens no callers come at a rate", mostLoaded)
		for _, s := range b.sources {
			runs = append(runs, b.newRun(s))
		}
	} else if runs, err = b.coldLoads(ctx); err != nil {
		return runs, err
	}
	if err := b.throughputs(ctx, g, runs); err != nil {
		return runs, err
	}
	if ours := find(runs, SourceBellwether); ours != nil {
		checkCold(ours, find(runs, SourceHMGet))
	}
	return runs, nil
}

// coldLoads lets callers arrive at a rate, at replicas without a memory.
func (b *bout) coldLoads(ctx context.Context) ([]report.Run, error) {
	return b.loads(ctx, func(s Source) herdPlan {
		p := b.living(s)
		p.L1Size = -1
		return p
	})
}

// checkCold compares with the bare command, which may be nil.
func checkCold(ours, bare *report.Run) {
	if _, loaded := ours.Metric("dropped"); loaded {
		medianAtMost(ours, "dropped", "arrivals that the machine could not begin", 0)
	}
	if bare != nil {
		ratioBar(ours, "reads_per_s", "reads a second, unsealing included", bare, "reads_per_s",
			func(ratio float64) bool { return ratio >= readBar }, "≥ 0.8")
	}
}

// throughputs measures, in this process, how many reads a second there can be.
func (b *bout) throughputs(ctx context.Context, g *ground, runs []report.Run) error {
	hmget, err := g.readOf(ctx)
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
			_, err := g.store.Peek(ctx, sample.ID(i), "")
			return err
		}},
		{SourceHMGet, "reads_per_s", func(i int) error { return g.client.Do(ctx, hmget(sample.ID(i))...).Err() }},
		{SourceBellwether, "gets_per_s", func(i int) error {
			_, err := r.Get(ctx, sample.ID(i), refresh.Want{})
			return err
		}},
	}
	for round := range b.Rounds + 1 {
		for i := range reads {
			c := reads[(i+round)%len(reads)]
			run := find(runs, c.source)
			if run == nil {
				continue
			}
			begun := time.Now()
			rate, err := throughput(ctx, b.Tokens, c.read)
			if err != nil {
				return err
			}
			run.Seconds += time.Since(begun).Seconds()
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
