package refresh

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

func hot(b *testing.B) *Refresher {
	s := living(time.Now())
	r := newRefresher(b, &script{peek: func(string) (bellwether.Snapshot, error) { return s, nil }}, Config{})
	if _, err := r.Get(b.Context(), "row", Want{}); err != nil {
		b.Fatal(err)
	}
	return r
}

// BenchmarkReuseTokenSource is the baseline of the two benchmarks below.
func BenchmarkReuseTokenSource(b *testing.B) {
	src := oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: "token-1", Expiry: time.Now().Add(time.Hour)}, nil)
	bench(b, func() error { _, err := src.Token(); return err })
}

func BenchmarkSourceToken(b *testing.B) {
	src := hot(b).Source("row")
	bench(b, func() error { _, err := src.Token(); return err })
}

func BenchmarkGet(b *testing.B) {
	r := hot(b)
	ctx := b.Context()
	bench(b, func() error { _, err := r.Get(ctx, "row", Want{}); return err })
}

// BenchmarkGetAmong is BenchmarkGet with a full L1.
func BenchmarkGetAmong(b *testing.B) {
	r := hot(b)
	ctx := b.Context()
	for i := range 1 << 16 {
		if _, err := r.Get(ctx, strconv.Itoa(i), Want{}); err != nil {
			b.Fatal(err)
		}
	}
	bench(b, func() error { _, err := r.Get(ctx, "65000", Want{}); return err })
}

func bench(b *testing.B, f func() error) {
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkReads reads 1,000 rows of a server by 64 goroutines: by a Refresher whose
// memory is switched off, and by the store alone.
func BenchmarkReads(b *testing.B) {
	server := redistest.Single(b, redistest.Config{})
	keys, err := seal.New()
	if err != nil {
		b.Fatal(err)
	}
	store, err := redisstore.Open(b.Context(), server.URL(), redisstore.Config{Namespace: "reads", Sealer: keys})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
		if _, err := store.Save(b.Context(), bellwether.Token{ID: ids[i], Provider: "plain",
			UserName: ids[i], ClientID: "client", ClientSecret: bellwether.NewSecret("client secret"),
			RefreshToken: bellwether.NewSecret("refresh " + ids[i]), AccessToken: bellwether.NewSecret("access " + ids[i]),
			IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
			b.Fatal(err)
		}
	}
	r := newRefresher(b, store, Config{L1Size: -1, Logger: slog.New(slog.DiscardHandler)})
	b.Run("refresher", func(b *testing.B) {
		b.SetParallelism(32) // of 2 CPUs: 64 goroutines
		bench(b, func() error { _, err := r.Get(b.Context(), ids[rand.IntN(len(ids))], Want{}); return err })
	})
	b.Run("store", func(b *testing.B) {
		b.SetParallelism(32)
		bench(b, func() error { _, err := store.Peek(b.Context(), ids[rand.IntN(len(ids))], ""); return err })
	})
}

// BenchmarkReread is what a Refresher without memory adds to a read of 1,000 rows by 64
// goroutines: the store answers at once.
func BenchmarkReread(b *testing.B) {
	s := living(time.Now())
	r := newRefresher(b, &instant{snap: s}, Config{L1Size: -1})
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	b.SetParallelism(32)
	bench(b, func() error { _, err := r.Get(b.Context(), ids[rand.IntN(len(ids))], Want{}); return err })
}

// An instant store answers reads and nothing else.
type instant struct {
	script
	snap bellwether.Snapshot
}

func (s *instant) Peek(_ context.Context, id, _ string) (bellwether.Snapshot, error) {
	snap := s.snap
	snap.ID = id
	return snap, nil
}

// BenchmarkResync is what the renewal of a subscription costs with 100,000 rows in
// memory: each is marked to be read again. The longest that another caller had to wait
// for a place meanwhile is wait-ns.
func BenchmarkResync(b *testing.B) {
	s := living(time.Now())
	r := newRefresher(b, &instant{snap: s}, Config{L1Size: 1 << 17})
	for i := range 100_000 {
		if _, err := r.Get(b.Context(), strconv.Itoa(i), Want{}); err != nil {
			b.Fatal(err)
		}
	}
	stop, longest := make(chan struct{}), make(chan time.Duration)
	go func() {
		var most time.Duration
		for !isDone(stop) {
			start := time.Now()
			r.l1.pin("0").unpin()
			most = max(most, time.Since(start))
			time.Sleep(50 * time.Microsecond)
		}
		longest <- most
	}()
	for b.Loop() {
		r.hear(bellwether.Event{Kind: bellwether.EventResync})
	}
	close(stop)
	b.ReportMetric(float64(<-longest), "wait-ns")
}

// BenchmarkPlaceOfANewRow takes a place in a memory of 100,000 rows that are all in use:
// one of them must give way, and the first to come finds all of them used.
func BenchmarkPlaceOfANewRow(b *testing.B) {
	c := newL1(100_000)
	for i := range 100_000 {
		e := c.pin(strconv.Itoa(i))
		e.used.Store(true)
		e.unpin()
	}
	var longest time.Duration
	n := 100_000
	for b.Loop() {
		start := time.Now()
		c.pin(strconv.Itoa(n)).unpin()
		longest = max(longest, time.Since(start))
		n++
	}
	b.ReportMetric(float64(longest), "longest-ns")
}
