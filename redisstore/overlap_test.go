package redisstore_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
)

// TestOverlappingSavesLoseNothing holds a saver up before each of its commands while
// another changes another field of the row. Both changes stay.
func TestOverlappingSavesLoseNothing(t *testing.T) {
	t.Parallel()
	pauses := 0
	for last := false; !last; pauses++ {
		synctest.Test(t, func(t *testing.T) {
			m, _ := redistest.Mini(t)
			sealer := newSealer(t)
			s, _ := replica(t, m, sealer)
			slow, hook := replica(t, m, sealer)
			row := save(t, s, newToken("p"))
			hook.set(func(n int, _ []redis.Cmder, next func() error) error {
				if n == pauses+1 {
					time.Sleep(100 * time.Millisecond)
				}
				return next()
			})
			var wg sync.WaitGroup
			wg.Go(func() { save(t, slow, bellwether.Token{ID: row.ID, RedirectURL: "https://slow.test"}) })
			synctest.Wait() // it is held up, or done
			last = hook.count() <= pauses
			save(t, s, bellwether.Token{ID: row.ID, ClientSecret: secret("changed meanwhile")})
			wg.Wait()
			got, err := s.FindByID(t.Context(), row.ID)
			if err != nil || got.RedirectURL != "https://slow.test" || got.ClientSecret.Reveal() != "changed meanwhile" {
				t.Errorf("paused at %d: redirect URL %q, client secret changed %v, error %v; want both changes", pauses,
					got.RedirectURL, got.ClientSecret.Reveal() == "changed meanwhile", err)
			}
			if got.Generation != row.Generation+2 {
				t.Errorf("paused at %d: generation %d after %d, want one for each save", pauses, got.Generation, row.Generation)
			}
		})
	}
	if pauses < 3 {
		t.Errorf("only %d commands to pause at", pauses)
	}
}

// TestAnyCommandRunsTwice executes one command again, as a client does whose reply was
// lost, each in its turn. Nothing is done twice.
func TestAnyCommandRunsTwice(t *testing.T) {
	t.Parallel()
	repeats := 0
	for last := false; !last; repeats++ {
		synctest.Test(t, func(t *testing.T) {
			m, _ := redistest.Mini(t)
			s, hook := replica(t, m, newSealer(t))
			hook.set(func(n int, cmds []redis.Cmder, next func() error) error {
				err := next()
				if n != repeats+1 {
					return err
				}
				for _, cmd := range cmds {
					cmd.SetErr(nil)
				}
				return next()
			})
			row := save(t, s, whole)
			if row.Generation != 1 {
				t.Errorf("command %d twice: the insert made generation %d", repeats, row.Generation)
			}
			row = save(t, s, bellwether.Token{ID: row.ID, RefreshToken: secret("next"), UserName: "renamed"})
			if row.Generation != 2 {
				t.Errorf("command %d twice: the save made generation %d, want 2", repeats, row.Generation)
			}
			if err := s.Delete(t.Context(), row.ID); err != nil {
				t.Errorf("command %d twice: Delete: %v", repeats, err)
			}
			last = hook.count() <= repeats
			wantSound(t, s, 0)
		})
	}
	if repeats < 10 {
		t.Errorf("only %d commands to repeat", repeats)
	}
}
