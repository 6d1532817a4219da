package redisstore_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// What the client sends again because a reply was lost is executed again.

// ownNamespace is the configuration of stores that share a server with others.
func ownNamespace(t *testing.T) redisstore.Config {
	t.Helper()
	cfg := config(newSealer(t))
	cfg.Namespace = strings.ToLower(rand.Text())
	return cfg
}

// patientStore returns a store behind the proxy. Its client repeats a command as often
// as Open's, but not because a loaded machine is slow: only what the proxy has dropped
// is repeated.
func patientStore(t *testing.T, proxy *redistest.Proxy, cfg redisstore.Config) *redisstore.Store {
	t.Helper()
	o := redistest.DialOptions(proxy.Dial)
	o.MaxRetries = 2
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = time.Minute, time.Minute, time.Minute
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	s, err := redisstore.New(t.Context(), client, cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Every script of the attempt protocol is executed again when its reply is lost.
func TestScriptsRunUpToThreeTimes(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	srv := redistest.Single(t, redistest.Config{})
	proxy := srv.Proxy(t)
	s := patientStore(t, proxy, ownNamespace(t))
	dropped := func() { // the next two replies of a script are lost
		proxy.DropReplies(2, func(cmd []string) bool { return strings.HasPrefix(strings.ToUpper(cmd[0]), "EVAL") })
	}
	t.Run("go, commit", func(t *testing.T) {
		tok := save(t, s, newToken("p"))
		a := attempt(t, s, tok.ID, reusable, func(a *bellwether.Attempt) { a.Quotas = []bellwether.Quota{{N: 1, Per: time.Hour}} })
		dropped()
		ans := begin(t, s, a)
		wantWord(t, ans, bellwether.BeginGo)
		dropped()
		if got := commit(t, s, a, ans.Token); got.Word != bellwether.CommitOK || got.Generation != tok.Generation+1 {
			t.Errorf("commit = %+v, want ok and one generation more", got)
		}
	})
	t.Run("fail", func(t *testing.T) {
		tok := save(t, s, newToken("p"))
		a := attempt(t, s, tok.ID)
		wantWord(t, begin(t, s, a), bellwether.BeginGo)
		dropped()
		fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnknown, Sent: true, Class: bellwether.ClassUnknown})
		if snap := peek(t, s, tok.ID); snap.Failure == nil || snap.Failure.Count != 1 {
			t.Errorf("failure %+v, want one", snap.Failure)
		}
	})
	t.Run("a refusal", func(t *testing.T) {
		tok := save(t, s, newToken("p"))
		a := attempt(t, s, tok.ID, func(a *bellwether.Attempt) { a.Expected = rand.Text() })
		dropped()
		wantWord(t, begin(t, s, a), bellwether.BeginLost) // back to the start of the loop
		if peek(t, s, tok.ID).Intent {
			t.Error("an intent was left")
		}
	})
	t.Run("revoking", func(t *testing.T) {
		tok := save(t, s, newToken("p"))
		dropped()
		if err := s.MarkRevoking(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
		if got := peek(t, s, tok.ID).Generation; got != tok.Generation+1 {
			t.Errorf("generation %d, want %d", got, tok.Generation+1)
		}
	})
}

// TestSaveRepeated drops replies: the client executes the same script up to three
// times, and a save is still one save.
func TestSaveRepeated(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	server := redistest.Single(t, redistest.Config{})
	for _, drops := range []int{1, 2} {
		for skip := range 12 {
			t.Run(fmt.Sprintf("drops=%d/skip=%d", drops, skip), func(t *testing.T) {
				proxy := server.Proxy(t)
				s := patientStore(t, proxy, ownNamespace(t))
				n := 0
				match := func(cmd []string) bool {
					if !redistest.Scripts(cmd) {
						return false
					}
					n++
					return n > skip
				}
				proxy.DropReplies(drops, match)
				row := save(t, s, whole)
				row2 := save(t, s, bellwether.Token{ID: row.ID, RefreshToken: secret("r2"), UserName: "u2"})
				if row2.Generation != row.Generation+1 {
					t.Errorf("two saves made generations %d and %d", row.Generation, row2.Generation)
				}
				wantSound(t, s, 1)
				if err := s.Delete(t.Context(), row.ID); err != nil {
					t.Errorf("Delete: %v", err)
				}
				if proxy.Dropped() == 0 {
					t.Error("no reply was dropped")
				}
				wantSound(t, s, 0)
			})
		}
	}
}

// beforeRedial runs f, once, when the client replaces a connection that was cut.
type beforeRedial func()

func (f beforeRedial) DialHook(next redis.DialHook) redis.DialHook {
	once := sync.OnceFunc(f)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		once()
		return next(ctx, network, addr)
	}
}

func (beforeRedial) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (beforeRedial) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestDeleteRepeated: a row is deleted, the reply is lost, the row is saved anew, and
// the client sends the delete again. That ends well, and the new row stays.
func TestDeleteRepeated(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	server := redistest.Single(t, redistest.Config{})
	for name, remove := range map[string]func(ctx context.Context, s *redisstore.Store, id string) error{
		"Delete": func(ctx context.Context, s *redisstore.Store, id string) error { return s.Delete(ctx, id) },
		"DeleteRevoking": func(ctx context.Context, s *redisstore.Store, id string) error {
			if err := s.MarkRevoking(ctx, id); err != nil {
				return err
			}
			return s.DeleteRevoking(ctx, id)
		},
		"DeleteAll": func(ctx context.Context, s *redisstore.Store, id string) error { return s.DeleteAll(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			proxy, cfg := server.Proxy(t), ownNamespace(t)
			s := patientStore(t, proxy, cfg)
			other, err := redisstore.New(t.Context(), server.Client(t), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			// The server knows the script: the reply that is lost is that of the deletion.
			if err := s.Delete(t.Context(), save(t, s, newToken("p")).ID); err != nil {
				t.Fatal(err)
			}
			row := save(t, s, whole)
			again := whole
			again.ID, again.AccessToken, again.ClientSecret = row.ID, secret("another access"), secret("of the new row")
			s.RawClient().AddHook(beforeRedial(func() { again = save(t, other, again) }))
			proxy.DropReplies(1, func(cmd []string) bool { return redistest.Scripts(cmd) && cmd[1] == s.DeleteScript() })
			if err := remove(t.Context(), s, row.ID); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if proxy.Dropped() != 1 {
				t.Fatalf("%d replies were dropped, want 1", proxy.Dropped())
			}
			got := wantSound(t, s, 1)[0]
			if got.Generation != again.Generation || got.ClientSecret.Reveal() != "of the new row" {
				t.Errorf("the row has generation %d, want %d, that of the new one", got.Generation, again.Generation)
			}
		})
	}
}
