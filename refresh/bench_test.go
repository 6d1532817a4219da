package refresh

import (
	"strconv"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
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
