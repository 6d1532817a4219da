package redisstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// Claims: what belongs to one row stays with one row, whoever dies, is paused, or has
// left something in the index.

func secret(s string) bellwether.Secret { return bellwether.NewSecret(s) }

var errDead = errors.New("the process has died")

// The operations of a doomed process. each leaves what must be there in the end.
var doomed = []struct {
	name    string
	prepare func(t *testing.T, s *redisstore.Store)
	do      func(ctx context.Context, s *redisstore.Store) error
	id      string // the row, where the next save names it
}{
	{"insert", nil, func(ctx context.Context, s *redisstore.Store) error {
		_, err := s.Save(ctx, whole)
		return err
	}, ""},
	{"insert by access token", nil, func(ctx context.Context, s *redisstore.Store) error {
		_, err := s.Save(ctx, bellwether.Token{AccessToken: whole.AccessToken})
		return err
	}, ""},
	{"insert by ID", nil, func(ctx context.Context, s *redisstore.Store) error {
		tok := whole
		tok.ID = "row"
		_, err := s.Save(ctx, tok)
		return err
	}, "row"},
	{"new lineage and name", func(t *testing.T, s *redisstore.Store) {
		save(t, s, bellwether.Token{ID: "row", UserName: "before", RefreshToken: secret("before"), GrantToken: secret("gt before")})
	}, func(ctx context.Context, s *redisstore.Store) error {
		tok := whole
		tok.ID = "row"
		_, err := s.Save(ctx, tok)
		return err
	}, "row"},
	{"narrowed", func(t *testing.T, s *redisstore.Store) {
		save(t, s, bellwether.Token{ID: "row", UserName: whole.UserName, RefreshToken: secret("before")})
	}, func(ctx context.Context, s *redisstore.Store) error {
		_, err := s.Save(ctx, whole)
		return err
	}, ""},
	{"delete", func(t *testing.T, s *redisstore.Store) {
		save(t, s, whole)
	}, func(ctx context.Context, s *redisstore.Store) error {
		row, err := s.Find(ctx, bellwether.Token{UserName: whole.UserName})
		if err != nil {
			return err
		}
		return s.Delete(ctx, row.ID)
	}, ""},
	{"rotation", func(t *testing.T, s *redisstore.Store) {
		save(t, s, bellwether.Token{ID: "row", UserName: whole.UserName, RefreshToken: secret("before")})
	}, func(ctx context.Context, s *redisstore.Store) error {
		snap, err := s.Peek(ctx, "row", "")
		if err != nil {
			return err
		}
		a := bellwether.Attempt{ID: "row", Nonce: rand.Text(), Expected: snap.Cred, Budget: time.Minute}
		lease, err := s.Lock(ctx, "row", a.Nonce, time.Minute, time.Minute)
		if err != nil {
			return err
		}
		defer lease.Release(ctx)
		ans, err := s.Begin(ctx, a)
		if err != nil || ans.Word != bellwether.BeginGo {
			return fmt.Errorf("begin: %q, %w", ans.Word, err)
		}
		ans.Token.RefreshToken, ans.Token.AccessToken = whole.RefreshToken, whole.AccessToken
		_, err = s.Commit(ctx, bellwether.Commit{Attempt: a, Token: ans.Token})
		s.Idle()
		return err
	}, ""},
}

var whole = bellwether.Token{Provider: "zoho", UserName: "u", GrantToken: secret("the grant"),
	RefreshToken: secret("the refresh"), AccessToken: secret("the access")}

// TestDeathAnywhere lets a process die before or after each of its commands. Whoever
// comes next gets its work done in bounded time, and there is one row.
func TestDeathAnywhere(t *testing.T) {
	t.Parallel()
	for _, d := range doomed {
		for _, executed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/executed=%v", d.name, executed), func(t *testing.T) {
				deaths := 0
				for last := false; !last; deaths++ {
					synctest.Test(t, func(t *testing.T) { last = dieAt(t, d.prepare, d.do, d.id, deaths, executed) })
				}
				if deaths < 3 {
					t.Errorf("only %d commands to die at", deaths)
				}
			})
		}
	}
}

// dieAt reports whether do ended before its process died.
func dieAt(t *testing.T, prepare func(*testing.T, *redisstore.Store), do func(context.Context, *redisstore.Store) error, id string, at int, executed bool) bool {
	m, _ := redistest.Mini(t)
	sealer := newSealer(t)
	s, _ := replica(t, m, sealer)
	if prepare != nil {
		prepare(t, s)
	}
	victim, hook := replica(t, m, sealer)
	hook.set(func(n int, cmds []redis.Cmder, next func() error) error {
		if n <= at {
			return next()
		}
		if n == at+1 && executed {
			_ = next()
		}
		for _, cmd := range cmds {
			cmd.SetErr(errDead)
		}
		return errDead
	})
	err := do(t.Context(), victim)
	died := hook.count() > at
	if died && err == nil {
		victim.Idle() // it died after its answer, over the index
	} else if died != (err != nil) {
		t.Fatalf("died at %d: %v, error %v", at, died, err)
	}
	hook.set(nil)
	forceUnlock(t, s, "row")

	start := time.Now()
	then := whole
	then.ID = id
	row := save(t, s, then)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("died at %d: the next save took %v", at, took)
	}
	if !row.RefreshToken.Equal(whole.RefreshToken) || !row.AccessToken.Equal(whole.AccessToken) {
		t.Errorf("died at %d: the row has %q and %q", at, row.RefreshToken.Reveal(), row.AccessToken.Reveal())
	}
	wantSound(t, s, 1)
	return !died
}

// TestPauseAnywhere holds a saver up before each of its commands, for longer than
// ClaimGrace, while another saves the same. There is one row, and both are told of it.
func TestPauseAnywhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		first, then bellwether.Token
	}{
		{"same", whole, whole},
		{"two rules", bellwether.Token{RefreshToken: whole.RefreshToken}, whole},
		{"by access token", bellwether.Token{AccessToken: whole.AccessToken}, bellwether.Token{AccessToken: whole.AccessToken, RefreshToken: secret("r")}},
		{"other refresh token", bellwether.Token{UserName: "u", RefreshToken: secret("r1")}, whole},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pauses := 0
			for last := false; !last; pauses++ {
				synctest.Test(t, func(t *testing.T) {
					m, _ := redistest.Mini(t)
					sealer := newSealer(t)
					s, _ := replica(t, m, sealer)
					slow, hook := replica(t, m, sealer)
					hook.set(func(n int, _ []redis.Cmder, next func() error) error {
						if n == pauses+1 {
							time.Sleep(10 * time.Second)
						}
						return next()
					})
					var wg sync.WaitGroup
					var slowly bellwether.Token
					wg.Go(func() { slowly = save(t, slow, tt.first) })
					synctest.Wait() // it is held up, or done
					row := save(t, s, tt.then)
					if took := hook.count(); took <= pauses {
						last = true
					}
					wg.Wait()
					if slowly.ID != row.ID {
						t.Errorf("paused at %d: rows %q and %q", pauses, slowly.ID, row.ID)
					}
					wantSound(t, s, 1)
				})
			}
			if pauses < 4 {
				t.Errorf("only %d commands to pause at", pauses)
			}
		})
	}
}

// TestPausedConflict is TestPauseAnywhere for two rows that want one refresh token.
func TestPausedConflict(t *testing.T) {
	t.Parallel()
	pauses := 0
	for last := false; !last; pauses++ {
		synctest.Test(t, func(t *testing.T) {
			m, _ := redistest.Mini(t)
			sealer := newSealer(t)
			s, _ := replica(t, m, sealer)
			slow, hook := replica(t, m, sealer)
			save(t, s, bellwether.Token{ID: "x", UserName: "x", RefreshToken: secret("x")})
			save(t, s, bellwether.Token{ID: "y", UserName: "y", RefreshToken: secret("y")})
			hook.set(func(n int, _ []redis.Cmder, next func() error) error {
				if n == pauses+1 {
					time.Sleep(10 * time.Second)
				}
				return next()
			})
			var wg sync.WaitGroup
			var slowErr error
			wg.Go(func() {
				_, slowErr = slow.Save(t.Context(), bellwether.Token{ID: "x", RefreshToken: secret("wanted")})
			})
			synctest.Wait() // it is held up, or done
			_, err := s.Save(t.Context(), bellwether.Token{ID: "y", RefreshToken: secret("wanted")})
			last = hook.count() <= pauses
			wg.Wait()
			for _, e := range []error{err, slowErr} {
				if e != nil && !errors.Is(e, bellwether.ErrConflict) {
					t.Errorf("paused at %d: %v", pauses, e)
				}
			}
			if (err == nil) == (slowErr == nil) {
				t.Errorf("paused at %d: errors %v and %v, want one winner", pauses, slowErr, err)
			}
			wantSound(t, s, 2)
		})
	}
	if pauses < 4 {
		t.Errorf("only %d commands to pause at", pauses)
	}
}

// TestHostileIndex writes what should not be there.
func TestHostileIndex(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		ctx, raw := t.Context(), s.RawClient()
		other := save(t, s, bellwether.Token{ID: "other", UserName: "other", RefreshToken: secret("other")})
		pending := fmt.Sprintf("p %d ghost", time.Now().Add(-time.Hour).UnixMilli())
		for i, v := range []string{"c 1 ghost", "c 7 other", pending, "junk", "c", "p", " ", "c x y", "p  ", "c 1 "} {
			tok := bellwether.Token{UserName: fmt.Sprint("u", i), RefreshToken: secret(fmt.Sprint("r", i)),
				GrantToken: secret(fmt.Sprint("g", i)), AccessToken: secret(fmt.Sprint("a", i))}
			for kind, value := range map[string]bellwether.Secret{"rt": tok.RefreshToken, "gt": tok.GrantToken, "at": tok.AccessToken} {
				if err := raw.Set(ctx, s.IndexKey(kind, value.Reveal()), v, 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			members := []redis.Z{
				{Score: -1, Member: strings.Repeat("\x00", 12) + "ghost"},
				{Score: 5, Member: strings.Repeat("\x00", 12) + "ghost2"},
				{Score: -9, Member: strings.Repeat("\x00", 12) + "other"},
				{Score: -1, Member: "short"},
			}
			if err := raw.ZAdd(ctx, s.IndexKey("user", tok.UserName), members...).Err(); err != nil {
				t.Fatal(err)
			}
			for _, partial := range []bellwether.Token{{UserName: tok.UserName}, {RefreshToken: tok.RefreshToken},
				{GrantToken: tok.GrantToken}, {AccessToken: tok.AccessToken}} {
				if got, err := s.Find(ctx, partial); !errors.Is(err, bellwether.ErrNotFound) {
					t.Fatalf("entry %q leads to row %q, error %v", v, got.ID, err)
				}
			}
			row := save(t, s, tok)
			if row.ID == other.ID || row.ID == "ghost" {
				t.Fatalf("entry %q: saved to row %q", v, row.ID)
			}
			for _, partial := range []bellwether.Token{{UserName: tok.UserName}, {RefreshToken: tok.RefreshToken},
				{GrantToken: tok.GrantToken}, {AccessToken: tok.AccessToken}} {
				if got, err := s.Find(ctx, partial); err != nil || got.ID != row.ID {
					t.Fatalf("entry %q: Find gives row %q, error %v; want %q", v, got.ID, err, row.ID)
				}
			}
		}
		if got, err := s.FindByID(ctx, "other"); err != nil || got.Generation != other.Generation {
			t.Errorf("the other row is %+v, %v", got, err)
		}
	})
}

// TestFreshClaimIsWaitedFor: a claim of another saver may yet become a row.
func TestFreshClaimIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := redistest.Mini(t)
		s, _ := replica(t, m, newSealer(t))
		v := fmt.Sprintf("p %d ghost", time.Now().UnixMilli())
		if err := s.RawClient().Set(t.Context(), s.IndexKey("rt", "r"), v, 0).Err(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		save(t, s, bellwether.Token{RefreshToken: secret("r")})
		if took := time.Since(start); took < grace || took > 2*grace {
			t.Errorf("the save waited %v, want ClaimGrace, %v", took, grace)
		}
		// A ctx ends the wait.
		v = fmt.Sprintf("p %d ghost", time.Now().UnixMilli())
		if err := s.RawClient().Set(t.Context(), s.IndexKey("rt", "r2"), v, 0).Err(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), grace/2)
		defer cancel()
		_, err := s.Save(ctx, bellwether.Token{RefreshToken: secret("r2"), UserName: "u"})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Save = %v, want the error of its ctx", err)
		}
		if n := s.RawClient().ZCard(t.Context(), s.IndexKey("user", "u")).Val(); n != 0 {
			t.Errorf("the save left %d claims on the user name", n)
		}
	})
}
