package tier_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/memstore"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/tier"
)

// A fleet is replicas over one Redis server and one durable store, at a strict provider.
type fleet struct {
	srv      *oauthtest.Server
	client   *redis.Client
	back     *durable
	stores   []*tier.Store
	replicas []*refresh.Refresher
}

// newFleet starts n replicas. Every other one keeps no token in memory.
func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	redistest.Need(t)
	server := redistest.Single(t, redistest.Config{})
	opts, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{srv: oauthtest.New(oauthtest.Config{Latency: 50 * time.Millisecond}), client: redis.NewClient(opts),
		back: &durable{Durable: memstore.New()}}
	t.Cleanup(f.srv.Close)
	t.Cleanup(func() { _ = f.client.Close() })
	if _, err := f.srv.Start(); err != nil {
		t.Fatal(err)
	}
	keys := newKeys(t)
	for i := range n {
		front, err := redisstore.Open(t.Context(), server.URL(), redisstore.Config{Namespace: "fleet", Sealer: keys, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = front.Close() })
		s := tier.New(front, f.back, tier.Config{Logger: quiet})
		t.Cleanup(func() { _ = s.Close() })
		r, err := refresh.New(s, refresh.Config{Providers: []bellwether.Provider{f.srv.Provider()}, Logger: quiet,
			ForcedInterval: -1, L1Size: -(i % 2)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		f.stores, f.replicas = append(f.stores, s), append(f.replicas, r)
	}
	return f
}

func (f *fleet) flush(t *testing.T) {
	if err := f.client.FlushAll(context.Background()).Err(); err != nil {
		t.Error(err)
	}
}

// herd has callers in each replica want another token than dead, and returns the one that
// all of them got.
func (f *fleet) herd(t *testing.T, id string, dead bellwether.Secret) bellwether.Secret {
	t.Helper()
	var mu sync.Mutex
	got := make(map[string]int)
	var wg sync.WaitGroup
	for _, r := range f.replicas {
		for range 30 {
			wg.Go(func() {
				a, err := r.Get(t.Context(), id, refresh.Want{Rejected: dead})
				text := a.Token.Reveal()
				if err != nil {
					text = "error: " + err.Error()
				}
				mu.Lock()
				defer mu.Unlock()
				got[text]++
			})
		}
	}
	wg.Wait()
	if len(got) != 1 {
		t.Fatalf("callers got %d different outcomes: %v", len(got), got)
	}
	for text := range got {
		if s := bellwether.NewSecret(text); f.srv.Accepts(s) {
			return s
		}
		t.Fatalf("the provider does not accept %s", text)
	}
	panic("unreachable")
}

// Callers never notice that Redis is flushed again and again, and the provider does not
// either.
func TestFlushUnderLoad(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4)
	grant := f.srv.Issue("bob")
	tok, err := f.stores[0].Save(t.Context(), grant.Token)
	if err != nil {
		t.Fatal(err)
	}
	var served, failed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, r := range f.replicas {
		for range 8 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, err := r.Get(t.Context(), tok.ID, refresh.Want{}); err != nil {
						failed.Add(1)
						t.Errorf("Get: %v", err)
						return
					}
					served.Add(1)
				}
			})
		}
	}
	calls := f.srv.Calls()
	for range 20 {
		before := served.Load()
		f.flush(t)
		for served.Load() < before+2000 && failed.Load() == 0 { // all of them go on
			time.Sleep(time.Millisecond)
		}
	}
	stop()
	wg.Wait()
	if got := f.srv.Calls() - calls; got != 0 || f.srv.Replays() != 0 {
		t.Errorf("20 flushes made %d calls to the provider, %d replays; want none", got, f.srv.Replays())
	}
	t.Logf("%d tokens served", served.Load())
}

// A flush before each expiry: still one call an expiry, no replay.
func TestFlushAndExpiry(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	grant := f.srv.Issue("bob")
	tok, err := f.stores[0].Save(t.Context(), grant.Token)
	if err != nil {
		t.Fatal(err)
	}
	access := tok.AccessToken
	for i := range 5 {
		f.srv.ExpireAccess(grant.ID)
		f.flush(t)
		access = f.herd(t, tok.ID, access)
		if got := f.srv.Calls(); got != i+1 {
			t.Fatalf("after expiry %d: %d calls", i+1, got)
		}
	}
	if f.srv.Replays() != 0 || !f.srv.GrantAlive(grant.ID) {
		t.Errorf("%d replays, grant alive %v", f.srv.Replays(), f.srv.GrantAlive(grant.ID))
	}
}

// Redis comes back from a dump in which the refresh token is one that the strict provider
// has rotated away: presenting it would cost the grant.
func TestRestoredFromADump(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	grant := f.srv.Issue("bob")
	tok, err := f.stores[0].Save(t.Context(), grant.Token)
	if err != nil {
		t.Fatal(err)
	}
	restore := f.dump(t)
	access := tok.AccessToken
	for range 3 {
		f.srv.ExpireAccess(grant.ID)
		access = f.herd(t, tok.ID, access)
	}
	restore()
	f.srv.ExpireAccess(grant.ID)
	f.herd(t, tok.ID, access)
	if f.srv.Replays() != 0 || !f.srv.GrantAlive(grant.ID) {
		t.Errorf("%d replays, grant alive %v", f.srv.Replays(), f.srv.GrantAlive(grant.ID))
	}
	if got := f.srv.Calls(); got != 4 {
		t.Errorf("%d calls, want 4", got)
	}
}

// dump takes what Redis holds, and returns how to bring that back.
func (f *fleet) dump(t *testing.T) (restore func()) {
	t.Helper()
	ctx := t.Context()
	values := make(map[string]string)
	for _, k := range f.client.Keys(ctx, "*").Val() {
		values[k] = f.client.Dump(ctx, k).Val()
	}
	if len(values) == 0 {
		t.Fatal("Redis is empty")
	}
	return func() {
		f.flush(t)
		for k, v := range values {
			if err := f.client.Restore(ctx, k, 0, v).Err(); err != nil {
				t.Fatalf("RESTORE: %v", err)
			}
		}
	}
}

// A flush under many replicas makes no herd on the durable store: each row is read once.
func TestFlushMakesNoHerd(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 8)
	const rows = 20
	var ids []string
	for i := range rows {
		tok, err := f.stores[0].Save(t.Context(), f.srv.Issue(fmt.Sprint("user-", i)).Token)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, tok.ID)
	}
	f.flush(t)
	before := f.back.records.Load()
	var wg sync.WaitGroup
	for _, s := range f.stores {
		for _, id := range ids {
			for range 4 {
				wg.Go(func() {
					if _, err := s.Peek(t.Context(), id, ""); err != nil {
						t.Errorf("Peek: %v", err)
					}
				})
			}
		}
	}
	wg.Wait()
	// One look finds the row, a second one that both tiers agree.
	if got := f.back.records.Load() - before; got > 2*rows {
		t.Errorf("%d rows were read %d times from the durable store by %d replicas, want %d at most", rows, got, len(f.stores), 2*rows)
	}
}
