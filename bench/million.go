package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/bellwether-go/bellwether/bench/internal/host"
	"github.com/bellwether-go/bellwether/bench/internal/sample"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/refresh"
)

var millionScenario = Scenario{
	Name:       "million",
	ByName:     true,
	About:      "very many tokens (or as many as asked for): one process lists them all, one reads them all through a bounded memory",
	Sources:    []Source{SourceBellwether},
	Usual:      []Source{SourceBellwether},
	Defaults:   Settings{Tokens: 1_000_000},
	OwnServers: true, // some 2 KB a token, deleted with the server
	run:        runMillion,
}

const (
	listMemoryBar = 64     // MiB of a process that lists
	heapBar       = 1.1    // times the heap after a fifth of the tokens
	l1Share       = 20     // the L1 has room for one token in so many
	leastBounded  = 10_000 // tokens of which the heap is judged: of fewer, connections are what grows it
)

func runMillion(ctx context.Context, b *bout) (_ []report.Run, err error) {
	srv, err := redistest.StartSingle(redistest.Config{Directives: []string{listpack}})
	if err != nil {
		return nil, err
	}
	defer srv.Close()
	g, err := openGround(ctx, srv.URL())
	if err != nil {
		return nil, err
	}
	g.disposable = true
	defer func() { err = errors.Join(err, g.close(ctx)) }()
	run := b.newRun(SourceBellwether)
	run.Parameters.Redis = kindSingle
	begun := time.Now()
	if err := b.fillSamples(ctx, g); err != nil {
		return nil, err
	}
	run.Add("piped_saves_per_s", "tokens/s", report.More, float64(b.Tokens)/time.Since(begun).Seconds())
	listed, err := listElsewhere(ctx, g, b.Tokens)
	if err != nil {
		return nil, err
	}
	run.Add("list_time", "ms", report.Less, milliseconds(listed.Took))
	run.Add("missing", "tokens", report.Less, float64(listed.Missing))
	run.Add("doubled", "tokens", report.Less, float64(listed.Doubled))
	run.Add("list_memory", "MiB", report.Less, float64(listed.Resident)/(1<<20))
	b.say("million: listed %d tokens in a process of %d MiB at most", listed.Listed, listed.Resident>>20)
	reading := time.Now()
	early, late, err := boundedHeap(ctx, g, b.Tokens)
	if err != nil {
		return nil, err
	}
	run.Add("read_time", "ms", report.Less, milliseconds(time.Since(reading)))
	run.Add("heap_early", "MiB", report.Less, early)
	run.Add("heap_late", "MiB", report.Less, late)
	b.say("million: a heap of %.1f MiB after a fifth of the tokens, %.1f MiB after all", early, late)
	run.Seconds = time.Since(begun).Seconds()
	checkMillion(&run)
	return []report.Run{run}, nil
}

func checkMillion(run *report.Run) {
	never(run, "missing", "tokens that List does not yield")
	never(run, "doubled", "tokens that List yields twice, or that were not saved")
	medianAtMost(run, "list_memory", "most memory of the process that lists", listMemoryBar)
	if n := run.Parameters.Tokens; n > 0 && n < leastBounded {
		return
	}
	early, _ := run.Metric("heap_early")
	late, _ := run.Metric("heap_late")
	ratio := late.Median() / early.Median()
	run.Checks = append(run.Checks, bar("heap_late", "heap after all tokens, with room for one in "+strconv.Itoa(l1Share), ratio <= heapBar,
		fmt.Sprintf("≤ %.1f × after a fifth", heapBar), fmt.Sprintf("%.2f × %.1f MiB", ratio, early.Median())))
}

// listElsewhere lists the store in a replica, which does nothing else.
func listElsewhere(ctx context.Context, g *ground, tokens int) (news, error) {
	f, err := startFleet(ctx, 1, setup{Source: SourceBellwether, Redis: g.url, Namespace: g.namespace, Keyset: g.keyset,
		Provider: providerSpec{Zoho: true, Name: "zoho", Base: "http://127.0.0.1:1"}})
	if err != nil {
		return news{}, err
	}
	defer f.stop()
	if err := f.tell(order{Do: orderList, Tokens: tokens}); err != nil {
		return news{}, err
	}
	all, err := f.await(ctx, newsListed, nil)
	if err != nil {
		return news{}, err
	}
	return all[0], nil
}

func (w *worker) list(ctx context.Context, tokens int) (news, error) {
	r, ok := w.source.(*bellwetherReplica)
	if !ok {
		return news{}, fmt.Errorf("bench: %s cannot list", w.setup.Source)
	}
	n := news{Word: newsListed}
	begun := time.Now()
	seen := newRoll(tokens)
	for t, err := range r.store.List(ctx) {
		if err != nil {
			return news{}, err
		}
		seen.mark(t.ID)
	}
	n.Listed, n.Missing, n.Doubled = seen.listed, seen.missing(), seen.doubled
	n.Took, n.Resident = time.Since(begun), host.MostResident()
	return n, nil
}

// A roll counts which samples were listed, and which more than once.
type roll struct {
	seen            []bool
	listed, doubled int
}

func newRoll(tokens int) *roll { return &roll{seen: make([]bool, tokens)} }

func (r *roll) mark(id string) {
	r.listed++
	n, ok := sample.Number(id)
	if !ok || n >= len(r.seen) || r.seen[n] {
		r.doubled++
		return
	}
	r.seen[n] = true
}

func (r *roll) missing() (n int) {
	for _, seen := range r.seen {
		if !seen {
			n++
		}
	}
	return n
}

// boundedHeap reads a fifth of the tokens, more than the L1 holds, and then the others:
// the heap must not grow with them.
func boundedHeap(ctx context.Context, g *ground, tokens int) (early, late float64, err error) {
	r, err := g.newRefresher(ctx, refresh.Config{L1Size: max(tokens/l1Share, 1)})
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	get := func(from, to int) error {
		return each(ctx, to-from, func(i int) error {
			_, err := r.Get(ctx, sample.ID(from+i), refresh.Want{})
			return err
		})
	}
	if err := get(0, tokens/5); err != nil {
		return 0, 0, err
	}
	early = heapMiB()
	if err := get(tokens/5, tokens); err != nil {
		return 0, 0, err
	}
	return early, heapMiB(), nil
}

// heapMiB is the heap that is in use.
func heapMiB() float64 {
	runtime.GC()
	runtime.GC() // what the first one finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}
