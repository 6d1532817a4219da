package redisstore_test

import (
	"testing"

	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// BenchmarkPeek reads one row by 64 goroutines: what a miss in L1 costs, unsealing
// included, beside a bare HMGET of the same fields in the same run.
func BenchmarkPeek(b *testing.B) {
	redistest.Need(b)
	s := openStore(b, redistest.Single(b, redistest.Config{Directives: []string{"hash-max-listpack-value 2048"}}).URL(), newSealer(b))
	tok := newToken("p")
	tok, err := s.Save(b.Context(), tok)
	if err != nil {
		b.Fatal(err)
	}
	parallel := func(b *testing.B, f func() error) {
		b.SetParallelism(32) // of 2 CPUs: 64 goroutines
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	b.Run("peek", func(b *testing.B) {
		parallel(b, func() error {
			_, err := s.Peek(b.Context(), tok.ID, "")
			return err
		})
	})
	b.Run("hmget", func(b *testing.B) {
		parallel(b, func() error {
			return s.RawClient().HMGet(b.Context(), s.RowKey(tok.ID), redisstore.PeekFields...).Err()
		})
	})
}
