package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/bellwether-go/bellwether"
)

// Bench measures what callers of a Store do most, over a store of 1,000 rows, each
// with the goroutines that -cpu asks for. Only New of the Harness is used.
func Bench(b *testing.B, h Harness) {
	const rows = 1_000
	filled := func(b *testing.B) (bellwether.Store, []bellwether.Token) {
		s := h.New(b)
		tokens := make([]bellwether.Token, rows)
		parallel(b, 16, rows, func(i int) (err error) {
			tokens[i], err = s.Save(b.Context(), full(fmt.Sprint(i)))
			return err
		})
		return s, tokens
	}
	run := func(name string, do func(b *testing.B, s bellwether.Store, row bellwether.Token, n int64) error) {
		b.Run(name, func(b *testing.B) {
			s, tokens := filled(b)
			var n atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					if err := do(b, s, tokens[i%rows], i); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
	run("FindByID", func(b *testing.B, s bellwether.Store, row bellwether.Token, _ int64) error {
		_, err := s.FindByID(b.Context(), row.ID)
		return err
	})
	run("FindByUserName", func(b *testing.B, s bellwether.Store, row bellwether.Token, _ int64) error {
		_, err := s.Find(b.Context(), bellwether.Token{UserName: row.UserName})
		return err
	})
	run("SaveAccessToken", func(b *testing.B, s bellwether.Store, row bellwether.Token, n int64) error {
		_, err := s.Save(b.Context(), bellwether.Token{ID: row.ID, AccessToken: secret(fmt.Sprint("access-", n))})
		return err
	})
	run("SaveNewRow", func(b *testing.B, s bellwether.Store, _ bellwether.Token, n int64) error {
		_, err := s.Save(b.Context(), refreshable(fmt.Sprint("new user ", n), fmt.Sprint("new refresh ", n)))
		return err
	})
}
