package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether/bench/internal/cost"
	"github.com/bellwether-go/bellwether/bench/internal/sample"
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
	// A round is the median of so many samples, each of at least so long: a second in
	// all for a call at a number of processors.
	hitSamples = 10
	hitSample  = 100 * time.Millisecond

	steadyCalls = 1_000_000 // over which the commands are counted
)

// A hitter is a call whose cost is measured.
type hitter struct {
	source Source
	metric string
	call   func() bool // reports whether it gave a token
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
	if _, err := r.Get(ctx, sample.ID(0), refresh.Want{}); err != nil {
		return nil, err
	}
	runs := make([]report.Run, len(b.sources))
	for i, s := range b.sources {
		runs[i] = b.newRun(s)
	}
	if err := b.hits(ctx, runs, b.hitters(ctx, r)); err != nil {
		return measured(runs), err
	}
	ours := find(runs, SourceBellwether)
	if ours == nil {
		return runs, nil
	}
	if err := countHits(ctx, b, g, r, &m, ours); err != nil {
		return runs, err
	}
	checkHit(ours, find(runs, SourceReuse))
	return runs, nil
}

// hits adds the rounds. A round of a hitter is the median of samples that are taken in
// turn with those of the others; round 0 warms up.
func (b *bout) hits(ctx context.Context, runs []report.Run, hitters []hitter) error {
	calls := make([]func() bool, len(hitters))
	for i, h := range hitters {
		calls[i] = h.call
	}
	for round := range b.Rounds + 1 {
		times := hitSamples
		if round == 0 {
			times = 1
		}
		for _, bars := range hitBars {
			begun := time.Now()
			costs, err := cost.Median(ctx, bars.procs, times, hitSample, calls...)
			if err != nil {
				return err
			}
			for i, h := range hitters {
				if run := find(runs, h.source); round > 0 {
					run.Add(fmt.Sprintf("%s_cpu%d", h.metric, bars.procs), "ns", report.Less, costs[i])
					run.Seconds += time.Since(begun).Seconds() / float64(len(hitters))
				}
			}
		}
		b.say("hit, round %d of %d", round, b.Rounds)
	}
	return nil
}

// hitters are the calls of the sources that were asked for.
func (b *bout) hitters(ctx context.Context, r *refresh.Refresher) []hitter {
	id := sample.ID(0)
	source := r.Source(id)
	reuse := oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: "token", Expiry: time.Now().Add(time.Hour)}, nil)
	var pointer atomic.Pointer[oauth2.Token]
	pointer.Store(new(oauth2.Token))
	var hitters []hitter
	for _, h := range []hitter{
		{SourceReuse, "token", func() bool { t, err := reuse.Token(); return t != nil && err == nil }},
		{SourceBellwether, "token", func() bool { t, err := source.Token(); return t != nil && err == nil }},
		{SourceBellwether, "get", func() bool { _, err := r.Get(ctx, id, refresh.Want{}); return err == nil }},
		{SourceAtomic, "load", func() bool { return pointer.Load() != nil }},
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

// countHits counts what hits cost beyond time: allocations of one, by the runtime's own
// count, and the commands of very many.
func countHits(ctx context.Context, b *bout, g *ground, r *refresh.Refresher, m *meter, run *report.Run) error {
	id := sample.ID(0)
	source := r.Source(id)
	run.Add("allocations", "allocations", report.Less, cost.Allocations(func() { _, _ = source.Token() }))
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
