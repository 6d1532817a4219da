package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"time"

	"github.com/bellwether-go/bellwether/bench/internal/host"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/refresh"
)

var millionScenario = Scenario{
	Name:       "million",
	ByName:     true,
	About:      "very many tokens: one process lists them all, one reads them all through a bounded memory",
	Sources:    []Source{SourceBellwether},
	Usual:      []Source{SourceBellwether},
	Defaults:   Settings{Tokens: 1_000_000},
	OwnServers: true, // some 2 KB a token, deleted with the server
	run:        runMillion,
}

const (
	listMemoryBar = 64  // MiB of a process that lists
	heapBar       = 1.1 // times the heap after a fifth of the tokens
	l1Share       = 20  // the L1 has room for one token in so many
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
	run.Parameters.Redis = "single"
	begun := time.Now()
	for from := 0; from < b.Tokens; {
		to := min(from+max(b.Tokens/10, 1), b.Tokens)
		if err := g.saveSamples(ctx, from, to); err != nil {
			return nil, err
		}
		b.say("million: %d of %d tokens are saved", to, b.Tokens)
		from = to
	}
	run.Add("saves_per_s", "tokens/s", report.More, float64(b.Tokens)/time.Since(begun).Seconds())
	listed, err := listElsewhere(ctx, g)
	if err != nil {
		return nil, err
	}
	run.Add("missing", "tokens", report.Less, math.Abs(float64(b.Tokens-listed.Listed)))
	run.Add("list_memory", "MiB", report.Less, float64(listed.Resident)/(1<<20))
	b.say("million: listed %d tokens in a process of %d MiB at most", listed.Listed, listed.Resident>>20)
	early, late, err := boundedHeap(ctx, g, b.Tokens)
	if err != nil {
		return nil, err
	}
	run.Add("heap_early", "MiB", report.Less, early)
	run.Add("heap_late", "MiB", report.Less, late)
	b.say("million: a heap of %.1f MiB after a fifth of the tokens, %.1f MiB after all", early, late)
	run.Seconds = time.Since(begun).Seconds()
	checkMillion(&run)
	return []report.Run{run}, nil
}

func checkMillion(run *report.Run) {
	never(run, "missing", "tokens that List does not yield, or yields twice")
	medianAtMost(run, "list_memory", "most memory of the process that lists", listMemoryBar)
	early, _ := run.Metric("heap_early")
	late, _ := run.Metric("heap_late")
	ratio := late.Median() / early.Median()
	run.Checks = append(run.Checks, bar("heap_late", "heap after all tokens, with room for one in "+strconv.Itoa(l1Share), ratio <= heapBar,
		fmt.Sprintf("≤ %.1f × after a fifth", heapBar), fmt.Sprintf("%.2f × %.1f MiB", ratio, early.Median())))
}

// listElsewhere lists the store in a replica, which does nothing else.
func listElsewhere(ctx context.Context, g *ground) (news, error) {
	f, err := startFleet(ctx, 1, setup{Source: SourceBellwether, Redis: g.url, Namespace: g.namespace, Keyset: g.keyset,
		Provider: providerSpec{Zoho: true, Name: "zoho", Base: "http://127.0.0.1:1"}})
	if err != nil {
		return news{}, err
	}
	defer f.stop()
	if err := f.tell(order{Do: orderList}); err != nil {
		return news{}, err
	}
	all, err := f.await(ctx, newsListed, nil)
	if err != nil {
		return news{}, err
	}
	return all[0], nil
}

func (w *worker) list(ctx context.Context) (news, error) {
	r, ok := w.source.(*bellwetherReplica)
	if !ok {
		return news{}, fmt.Errorf("bench: %s cannot list", w.setup.Source)
	}
	n := news{Word: newsListed}
	for _, err := range r.store.List(ctx) {
		if err != nil {
			return news{}, err
		}
		n.Listed++
	}
	n.Resident = host.MostResident()
	return n, nil
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
			_, err := r.Get(ctx, sampleID(from+i), refresh.Want{})
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
