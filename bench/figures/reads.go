package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/zoho"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

func newRefresher(g *ground, cfg refresh.Config) (*refresh.Refresher, error) {
	if cfg.Providers == nil {
		cfg.Providers = []bellwether.Provider{zoho.New(zoho.EU)}
	}
	cfg.Logger = discard
	return refresh.New(g.store, cfg)
}

// openHot returns a ground and a Refresher that has one token in memory and a standing
// subscription: what was read before that is read again.
func openHot(ctx context.Context) (*ground, *refresh.Refresher, string, error) {
	keys, err := seal.New()
	if err != nil {
		return nil, nil, "", err
	}
	g, err := openGround(ctx, keys)
	if err != nil {
		return nil, nil, "", err
	}
	t, err := g.token(0)
	if err == nil {
		t, err = g.store.Save(ctx, t)
	}
	var r *refresh.Refresher
	subscribed := make(chan struct{}, 1)
	if err == nil {
		r, err = newRefresher(g, refresh.Config{Observer: refresh.Observer{Resynced: func(refresh.Report) {
			select {
			case subscribed <- struct{}{}:
			default:
			}
		}}})
	}
	if err == nil {
		select {
		case <-subscribed:
			_, err = r.Get(ctx, t.ID, refresh.Want{})
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		g.close()
		return nil, nil, "", err
	}
	return g, r, t.ID, nil
}

// hit compares a token in memory with x/oauth2's, round by round.
func hit(ctx context.Context, e *env) error {
	g, r, id, err := openHot(ctx)
	if err != nil {
		return err
	}
	defer g.close()
	defer r.Close()
	source := r.Source(id)
	reuse := oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: "token", Expiry: time.Now().Add(time.Hour)}, nil)
	calls := []func(){
		func() { _, _ = reuse.Token() },
		func() { _, _ = source.Token() },
		func() { _, _ = r.Get(ctx, id, refresh.Want{}) },
	}
	allocs := testing.AllocsPerRun(1000, calls[1])
	e.print(row{"Source.Token on a hit: allocations", "0", fmt.Sprint(allocs), allocs == 0})
	for _, c := range []struct {
		procs       int
		source, get float64 // times ReuseTokenSource
	}{{1, 1.0 / 2, 0.8}, {8, 1.0 / 3, 1.0 / 2}} {
		var cost [3][]float64
		for round := range e.rounds + 1 {
			for i, f := range calls {
				d := perCall(c.procs, f)
				if round > 0 {
					cost[i] = append(cost[i], d)
				}
			}
		}
		base := median(cost[0])
		for i, name := range []string{"Source.Token", "Refresher.Get"} {
			bar := []float64{c.source, c.get}[i]
			d := median(cost[i+1])
			e.print(row{fmt.Sprintf("%s on a hit, GOMAXPROCS %d", name, c.procs), fmt.Sprintf("≤ %.2f × ReuseTokenSource", bar),
				fmt.Sprintf("%.1f ns = %.2f × %.1f ns", d, d/base, base), d <= bar*base})
		}
	}
	return nil
}

// perCall is the time in ns that one call takes of the whole, as RunParallel counts.
func perCall(procs int, f func()) float64 {
	const calls = 1_000_000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	var wg sync.WaitGroup
	begun := time.Now()
	for range procs {
		wg.Go(func() {
			for range calls {
				f()
			}
		})
	}
	wg.Wait()
	return float64(time.Since(begun)) / float64(procs*calls)
}

// readRows is how many rows the figure read spreads over.
const readRows = 1000

// read compares Peek, unsealing included, with the very HMGETs that it sends.
func read(ctx context.Context, e *env) error {
	keys, err := seal.New()
	if err != nil {
		return err
	}
	g, err := openGround(ctx, keys)
	if err != nil {
		return err
	}
	defer g.close()
	if err := g.save(ctx, readRows); err != nil {
		return err
	}
	ids, sent, err := recordReads(ctx, g, keys)
	if err != nil {
		return err
	}
	peek := func(i int) error {
		_, err := g.store.Peek(ctx, ids[i], "")
		return err
	}
	hmget := func(i int) error { return g.client.Do(ctx, sent[i]...).Err() }
	var peeks, hmgets []float64
	for round := range e.rounds + 1 {
		p, err := throughput(ctx, peek)
		if err != nil {
			return err
		}
		h, err := throughput(ctx, hmget)
		if err != nil {
			return err
		}
		if round > 0 {
			peeks, hmgets = append(peeks, p), append(hmgets, h)
		}
	}
	const bar = 0.8
	p, h := median(peeks), median(hmgets)
	e.print(row{fmt.Sprintf("L2 read with unsealing, %d goroutines", workers), fmt.Sprintf("≥ %.1f × bare HMGET", bar),
		fmt.Sprintf("%.0f/s = %.2f × %.0f/s", p, p/h, h), p >= bar*h})
	return nil
}

// A recorder keeps the arguments of the HMGETs that pass.
type recorder struct {
	redis.Hook
	sent [][]any
}

func (r *recorder) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (r *recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "hmget" {
			r.sent = append(r.sent, cmd.Args())
		}
		return next(ctx, cmd)
	}
}

// recordReads returns the ids of all rows and the command that a read of each sends.
func recordReads(ctx context.Context, g *ground, keys *seal.Keys) (ids []string, sent [][]any, err error) {
	client, err := redisstore.Dial(g.srv.URL())
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	store, err := redisstore.New(ctx, client, redisstore.Config{Namespace: "figures", Sealer: keys, Logger: discard})
	if err != nil {
		return nil, nil, err
	}
	defer store.Close()
	rec := &recorder{}
	client.AddHook(rec)
	for i := range readRows {
		t, err := g.token(i)
		if err != nil {
			return nil, nil, err
		}
		if _, err := store.Peek(ctx, t.ID, ""); err != nil {
			return nil, nil, err
		}
		ids = append(ids, t.ID)
	}
	if len(rec.sent) != readRows {
		return nil, nil, fmt.Errorf("%d reads sent %d HMGETs", readRows, len(rec.sent))
	}
	return ids, rec.sent, nil
}

// throughput is how often f can be called in a second, on rows drawn at random.
func throughput(ctx context.Context, f func(i int) error) (float64, error) {
	const period = 500 * time.Millisecond
	var n atomic.Int64
	begun := time.Now()
	err := each(ctx, workers, func(int) error {
		for time.Since(begun) < period {
			if err := f(rand.IntN(readRows)); err != nil {
				return err
			}
			n.Add(1)
		}
		return nil
	})
	return float64(n.Load()) / time.Since(begun).Seconds(), err
}

// steady counts at the server, by its own statistics.
func steady(ctx context.Context, e *env) error {
	g, r, id, err := openHot(ctx)
	if err != nil {
		return err
	}
	defer g.close()
	defer r.Close()
	const calls = 1_000_000
	before, err := commandCounts(ctx, g.client)
	if err != nil {
		return err
	}
	source := r.Source(id)
	err = each(ctx, workers, func(i int) error {
		for range calls / workers {
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
	after, err := commandCounts(ctx, g.client)
	if err != nil {
		return err
	}
	total, names := 0, []string(nil)
	for name, n := range after {
		switch name {
		case "ping", "time", "subscribe", "info", "hello", "client|setinfo", "auth", "select":
			continue
		}
		if more := n - before[name]; more > 0 {
			total += more
			names = append(names, name)
		}
	}
	e.print(row{"steady state: Redis commands over 1,000,000 calls", "0", strings.TrimSpace(fmt.Sprint(total, " ", strings.Join(names, " "))), total == 0})
	return nil
}

// commandCounts reads INFO commandstats.
func commandCounts(ctx context.Context, c redis.UniversalClient) (map[string]int, error) {
	info, err := c.Info(ctx, "commandstats").Result()
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for line := range strings.Lines(info) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
			return nil, err
		}
		counts[name] = n
	}
	if counts["hmget"] == 0 {
		return nil, fmt.Errorf("commandstats tell of no hmget: %d commands", len(counts))
	}
	return counts, nil
}
