package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/refresh"
)

var hitScenario = Scenario{
	Name:     "hit",
	About:    "one process asks for a token that is in its memory, as fast as it can",
	Sources:  []Source{SourceBellwether, SourceReuse, SourceAtomic},
	Usual:    []Source{SourceBellwether, SourceReuse, SourceAtomic},
	Defaults: Settings{Rounds: 10},
	run:      runHit,
}

// The bars of a hit, in times the cost of oauth2.ReuseTokenSource in the same rounds.
var hitBars = []struct {
	procs       int
	source, get float64
}{{1, 1.0 / 2, 0.8}, {8, 1.0 / 3, 1.0 / 2}}

const (
	hitCalls    = 300_000   // of each goroutine
	steadyCalls = 1_000_000 // over which the commands are counted
)

// A hitter is a call whose cost is measured.
type hitter struct {
	source Source
	metric string
	call   func()
}

func runHit(ctx context.Context, b *bout) (_ []report.Run, err error) {
	g, err := openGround(ctx, b.redis)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close(ctx)) }()
	if err := g.saveSamples(ctx, 0, 1); err != nil {
		return nil, err
	}
	var m meter
	g.client.AddHook(&m)
	r, err := g.newRefresher(ctx, refresh.Config{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if _, err := r.Get(ctx, sampleID(0), refresh.Want{}); err != nil {
		return nil, err
	}
	runs := make([]report.Run, len(b.sources))
	for i, s := range b.sources {
		runs[i] = b.newRun(s)
	}
	hitters := b.hitters(ctx, r)
	for round := range b.Rounds + 1 {
		for _, bars := range hitBars {
			for _, h := range hitters {
				begun := time.Now()
				cost := perCall(bars.procs, h.call)
				if run := find(runs, h.source); round > 0 {
					run.Add(fmt.Sprintf("%s_cpu%d", h.metric, bars.procs), "ns", report.Less, cost)
					run.Seconds += time.Since(begun).Seconds()
				}
			}
		}
		if ctx.Err() != nil {
			return nil, ended(ctx)
		}
		b.say("hit, round %d of %d", round, b.Rounds)
	}
	ours := find(runs, SourceBellwether)
	if ours == nil {
		return runs, nil
	}
	if err := countHits(ctx, b, g, r, &m, ours); err != nil {
		return nil, err
	}
	checkHit(ours, find(runs, SourceReuse))
	return runs, nil
}

// hitters are the calls of the sources that were asked for.
func (b *bout) hitters(ctx context.Context, r *refresh.Refresher) []hitter {
	id := sampleID(0)
	source := r.Source(id)
	reuse := oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: "token", Expiry: time.Now().Add(time.Hour)}, nil)
	var pointer atomic.Pointer[oauth2.Token]
	pointer.Store(new(oauth2.Token))
	var hitters []hitter
	for _, h := range []hitter{
		{SourceReuse, "token", func() { _, _ = reuse.Token() }},
		{SourceBellwether, "token", func() { _, _ = source.Token() }},
		{SourceBellwether, "get", func() { _, _ = r.Get(ctx, id, refresh.Want{}) }},
		{SourceAtomic, "load", func() { _ = pointer.Load() }},
	} {
		if slices.Contains(b.sources, h.source) {
			hitters = append(hitters, h)
		}
	}
	return hitters
}

// checkHit holds the cost of a hit to that of what it replaces, which may be nil.
func checkHit(ours, reuse *report.Run) {
	never(ours, "allocations", "allocations of a hit by Source.Token")
	never(ours, "redis_commands", fmt.Sprintf("Redis commands over %d hits", steadyCalls))
	if reuse == nil {
		return
	}
	for _, bars := range hitBars {
		for _, c := range []struct {
			metric, name string
			most         float64
		}{{"token", "Source.Token", bars.source}, {"get", "Refresher.Get", bars.get}} {
			ratioBar(ours, fmt.Sprintf("%s_cpu%d", c.metric, bars.procs), fmt.Sprintf("%s, GOMAXPROCS %d", c.name, bars.procs),
				reuse, fmt.Sprintf("token_cpu%d", bars.procs),
				func(ratio float64) bool { return ratio <= c.most }, fmt.Sprintf("≤ %.2f", c.most))
		}
	}
}

// perCall is the time in ns that one call takes of the whole, as testing.B.RunParallel
// counts.
func perCall(procs int, f func()) float64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	var wg sync.WaitGroup
	begun := time.Now()
	for range procs {
		wg.Go(func() {
			for range hitCalls {
				f()
			}
		})
	}
	wg.Wait()
	return float64(time.Since(begun)) / float64(procs*hitCalls)
}

// countHits counts what hits cost beyond time: allocations of one, by the runtime's own
// count, and the commands of very many.
func countHits(ctx context.Context, b *bout, g *ground, r *refresh.Refresher, m *meter, run *report.Run) error {
	id := sampleID(0)
	source := r.Source(id)
	run.Add("allocations", "allocations", report.Less, allocations(func() { _, _ = source.Token() }))
	before, err := serverCommands(ctx, b, g.client)
	if err != nil {
		return err
	}
	m.reset(time.Now())
	err = each(ctx, loaders, func(i int) error {
		for range steadyCalls / loaders {
			if i%2 == 0 {
				if _, err := source.Token(); err != nil {
					return err
				}
			} else if _, err := r.Get(ctx, id, refresh.Want{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	run.Commands = map[string]int64{}
	maps.Copy(run.Commands, m.snapshot())
	after, err := serverCommands(ctx, b, g.client)
	if err != nil {
		return err
	}
	for name, n := range after {
		if more := n - before[name]; more > 0 {
			run.Commands[name] = max(run.Commands[name], more)
		}
	}
	total := int64(0)
	for _, n := range run.Commands {
		total += n
	}
	run.Add("redis_commands", "commands", report.Less, float64(total))
	return nil
}

// allocations is how many f makes in the mean, less a part that other goroutines make
// meanwhile: the least of some tries counts.
func allocations(f func()) float64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const tries, calls = 5, 1000
	least := -1.0
	for range tries {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range calls {
			f()
		}
		runtime.ReadMemStats(&after)
		mean := float64((after.Mallocs - before.Mallocs) / calls) // whole, as testing.AllocsPerRun
		if least < 0 || mean < least {
			least = mean
		}
	}
	return least
}

// serverCommands are the commands that the server has counted, what the meter leaves out
// apart. Only a server that nobody else uses tells them: nil for any other.
func serverCommands(ctx context.Context, b *bout, c redis.UniversalClient) (map[string]int64, error) {
	if b.kind != "single" {
		return nil, nil
	}
	info, err := c.Info(ctx, "commandstats").Result()
	if err != nil {
		return nil, err
	}
	counts := commandStats(info)
	if counts["hmget"] == 0 {
		return nil, fmt.Errorf("bench: commandstats tell of no hmget, of %d commands", len(counts))
	}
	return counts, nil
}

// commandStats reads INFO commandstats.
func commandStats(info string) map[string]int64 {
	counts := map[string]int64{}
	for line := range strings.Lines(info) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		first, _, _ := strings.Cut(name, "|") // of subcommands
		if !ok || slices.Contains(uncounted, first) || first == "info" {
			continue
		}
		calls, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.ParseInt(calls, 10, 64); err == nil {
			counts[name] = n
		}
	}
	return counts
}
