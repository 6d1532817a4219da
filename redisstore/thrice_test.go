package redisstore_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// TestEveryScriptThrice executes every script three times, as the client does when it
// loses two replies, and gives the last answer to the caller.
func TestEveryScriptThrice(t *testing.T) {
	t.Parallel()
	thrice := func(t *testing.T) *redisstore.Store {
		m, _ := redistest.Mini(t)
		s, hook := replica(t, m, newSealer(t))
		hook.set(func(_ int, cmds []redis.Cmder, next func() error) error {
			for _, cmd := range cmds {
				if name := cmd.Name(); name != "evalsha" && name != "eval" {
					return next()
				}
			}
			for range 2 {
				if err := next(); err != nil {
					return err
				}
			}
			return next()
		})
		return s
	}
	race := func(n int, f func(i int)) {
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { f(i) })
		}
		wg.Wait()
	}

	t.Run("one identity", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := thrice(t)
			race(16, func(i int) {
				tok := whole
				if i%2 == 0 {
					tok = bellwether.Token{RefreshToken: whole.RefreshToken}
				}
				if _, err := s.Save(t.Context(), tok); err != nil {
					t.Errorf("Save: %v", err)
				}
			})
			if got := wantSound(t, s, 1)[0]; got.Generation != 16 {
				t.Errorf("16 saves made generation %d", got.Generation)
			}
		})
	})
	t.Run("one refresh token", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := thrice(t)
			var won atomic.Int64
			race(8, func(i int) {
				_, err := s.Save(t.Context(), bellwether.Token{ID: fmt.Sprint("row", i), UserName: fmt.Sprint("u", i), RefreshToken: whole.RefreshToken})
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, bellwether.ErrConflict) {
					t.Errorf("Save: %v", err)
				}
			})
			if won.Load() != 1 {
				t.Errorf("%d rows got the refresh token", won.Load())
			}
			wantSound(t, s, 1)
		})
	})
	t.Run("a life", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := thrice(t)
			for want := int64(1); want < 20; {
				tok := whole
				tok.ID = "row"
				steps := []func(){
					func() { save(t, s, tok) },
					func() { save(t, s, bellwether.Token{ID: "row", UserName: "renamed", AccessToken: secret("another")}) },
					func() { save(t, s, bellwether.Token{ID: "row", RefreshToken: secret(fmt.Sprint("lineage", want))}) },
					func() { rotate(t, s, "row", int(want)*10, 1) },
					func() { rotate(t, s, "row", int(want)*10+1, 1) },
					func() {
						if err := s.Delete(t.Context(), "row"); err != nil {
							t.Errorf("Delete: %v", err)
						}
					},
				}
				for i, step := range steps {
					step()
					if i == len(steps)-1 {
						wantSound(t, s, 0)
					} else if got := wantSound(t, s, 1)[0]; got.Generation != want {
						t.Fatalf("step %d made generation %d, want %d", i, got.Generation, want)
					}
					want++
				}
			}
			if err := s.DeleteAll(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}
