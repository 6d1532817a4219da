package redisstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
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

// What the outcome of an attempt meets when the row, or its surroundings, have gone on.

// A refusal that comes while the grant is revoked must not make the row one that a
// sign-in alone can end: the revocation goes on.
func TestRefusalDuringARevocation(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := save(t, s, newToken("p"))
		a := attempt(t, s, tok.ID)
		wantWord(t, begin(t, s, a), bellwether.BeginGo)
		if err := s.MarkRevoking(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
		fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeRefused, Sent: true, Class: bellwether.ClassRefused})
		if got := peek(t, s, tok.ID).State; got != bellwether.StateRevoking {
			t.Errorf("state is %q, want revoking", got)
		}
	})
}

// What was never sent is no refresh, and its interval does not count.
func TestForcedAttemptThatWasNotSent(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		forced := func(a *bellwether.Attempt) { a.Kind = bellwether.AttemptForced }
		for _, sent := range []bool{false, true} {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID, forced)
			wantWord(t, begin(t, s, a), bellwether.BeginGo)
			fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent, Sent: sent})
			want := bellwether.BeginGo
			if sent {
				want = bellwether.BeginDenied
			}
			wantWord(t, begin(t, s, attempt(t, s, tok.ID, forced)), want)
		}
	})
}

// The one attempt that doubt allows has been made, also for a replica that remembers a
// generation which the store has lost.
func TestRegressionKeepsTheOneAttempt(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := save(t, s, newToken("p"))
		next := func() bellwether.Attempt { return attempt(t, s, tok.ID, brief) }
		wantWord(t, begin(t, s, next()), bellwether.BeginGo) // dies
		forceUnlock(t, s, tok.ID)
		wantWord(t, after(t, s, bellwether.BeginRecover, next), bellwether.BeginGo) // the one attempt; dies too
		forceUnlock(t, s, tok.ID)
		wantWord(t, begin(t, s, attempt(t, s, tok.ID, brief, func(a *bellwether.Attempt) { a.MinGeneration += 5 })), bellwether.BeginRegressed)
		wantWord(t, after(t, s, bellwether.BeginRecover, next), bellwether.BeginState)
		wantReauth(t, s, tok.ID, bellwether.ReasonRotationLost)
	})
}

// Only a row that is still being revoked is deleted by the revocation.
func TestDeleteRevoking(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := save(t, s, newToken("p"))
		if err := s.DeleteRevoking(t.Context(), tok.ID); !errors.Is(err, bellwether.ErrConflict) {
			t.Errorf("an active row: %v, want ErrConflict", err)
		}
		if err := s.MarkRevoking(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
		again := newToken("p")
		again.ID, again.UserName = tok.ID, tok.UserName
		save(t, s, again)
		if err := s.DeleteRevoking(t.Context(), tok.ID); !errors.Is(err, bellwether.ErrConflict) {
			t.Errorf("after a new sign-in: %v, want ErrConflict", err)
		}
		if got := peek(t, s, tok.ID); got.State != bellwether.StateActive || !got.AccessToken.Equal(again.AccessToken) {
			t.Errorf("the new sign-in is %q", got.State)
		}
		if err := s.MarkRevoking(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteRevoking(t.Context(), tok.ID); err != nil {
			t.Errorf("a row that is being revoked: %v", err)
		}
		if err := s.DeleteRevoking(t.Context(), tok.ID); !errors.Is(err, bellwether.ErrNotFound) {
			t.Errorf("a row that is gone: %v, want ErrNotFound", err)
		}
	})
}

// A Delete comes between a commit and the work that is left after it. The index keeps
// nothing of the refresh token that the commit brought.
func TestDeleteBeforeTheIndexOfACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := redistest.Mini(t)
		sealer := newSealer(t)
		s, _ := replica(t, m, sealer)
		slow, hook := replica(t, m, sealer)
		tok := save(t, s, newToken("p"))
		a := attempt(t, slow, tok.ID)
		ans := begin(t, slow, a)
		wantWord(t, ans, bellwether.BeginGo)
		deleted := make(chan struct{})
		hook.set(func(_ int, cmds []redis.Cmder, next func() error) error {
			if len(cmds) > 1 && cmds[len(cmds)-1].Name() == "set" { // what is left after a commit
				<-deleted
			}
			return next()
		})
		next := ans.Token
		next.AccessToken, next.RefreshToken = secret("at-"+rand.Text()), secret("rt-"+rand.Text())
		if got, err := slow.Commit(t.Context(), bellwether.Commit{Attempt: a, Token: next}); err != nil || got.Word != bellwether.CommitOK {
			t.Fatalf("commit answered %q, %v", got.Word, err)
		}
		synctest.Wait()
		if err := s.Delete(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
		close(deleted)
		slow.Idle()
		if got := s.RawClient().Get(t.Context(), s.IndexKey("rt", next.RefreshToken.Reveal())).Val(); got != "" {
			t.Errorf("the index still has %q", got)
		}
	})
}

// clientCooldowns is a hook around each command on the cooldown of a client.
type clientCooldowns func(cmd redis.Cmder)

func (f clientCooldowns) each(cmds ...redis.Cmder) (err error) {
	for _, cmd := range cmds {
		for _, arg := range cmd.Args() {
			if key, ok := arg.(string); ok && strings.Contains(key, ":cd:") {
				f(cmd)
				if err == nil {
					err = cmd.Err()
				}
			}
		}
	}
	return err
}

func (f clientCooldowns) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f clientCooldowns) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := f.each(cmd); err != nil {
			return err
		}
		return next(ctx, cmd)
	}
}

func (f clientCooldowns) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if e := f.each(cmds...); e != nil {
			return e
		}
		return err
	}
}

// unreachable is the shard of a client's cooldown that is away.
func unreachable(cmd redis.Cmder) {
	cmd.SetErr(&net.OpError{Op: "dial", Err: errors.New("connection refused")})
}

// A client's cooldown lies on another shard than the row. When that one is away the
// row is read all the same.
func TestPeekWithoutTheClientsShard(t *testing.T) {
	_, client := redistest.Mini(t)
	s := newStore(t, client, newSealer(t))
	tok := save(t, s, newToken("p"))
	digest := peek(t, s, tok.ID).Client
	client.AddHook(clientCooldowns(unreachable))
	if _, err := s.Peek(t.Context(), tok.ID, digest); err != nil {
		t.Errorf("Peek: %v", err)
	}
}

// The cooldown of a client that cannot be written holds back at least the row.
func TestFailWithoutTheClientsShard(t *testing.T) {
	_, client := redistest.Mini(t)
	s := newStore(t, client, newSealer(t))
	tok := save(t, s, newToken("p"))
	a := attempt(t, s, tok.ID)
	wantWord(t, begin(t, s, a), bellwether.BeginGo)
	client.AddHook(clientCooldowns(unreachable))
	fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent, Sent: true, Class: bellwether.ClassThrottled,
		ClientCooldown: time.Minute, Client: peek(t, s, tok.ID).Client})
	if ans := begin(t, s, attempt(t, s, tok.ID)); ans.Word != bellwether.BeginDenied || ans.Why != bellwether.DenialCooldown {
		t.Errorf("begin answered %q %q, want denied by a cooldown", ans.Word, ans.Why)
	}
}

// The event of a failure wakes those who wait. By then the cooldown of the client is
// there, or each of them would make a call.
func TestClientCooldownComesBeforeTheEvent(t *testing.T) {
	m, client := redistest.Mini(t)
	sealer := newSealer(t)
	s := newStore(t, client, sealer)
	other, _ := replica(t, m, sealer)
	tok := save(t, s, newToken("p"))
	a := attempt(t, s, tok.ID)
	wantWord(t, begin(t, s, a), bellwether.BeginGo)
	var once sync.Once
	written := false
	client.AddHook(clientCooldowns(func(redis.Cmder) {
		once.Do(func() {
			written = true
			if !peek(t, other, tok.ID).Intent {
				t.Error("the failure was told before the client's cooldown was written")
			}
		})
	}))
	fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent, Sent: true, Class: bellwether.ClassThrottled,
		ClientCooldown: time.Minute, Client: peek(t, s, tok.ID).Client})
	if !written {
		t.Error("no cooldown of the client was written")
	}
}
