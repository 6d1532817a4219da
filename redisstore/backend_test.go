package redisstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
)

var _ refresh.Backend = (*redisstore.Store)(nil)

// The attempt protocol, step by step, for the tests of each step.

func newToken(provider string) bellwether.Token {
	return bellwether.Token{
		Provider: provider, UserName: rand.Text(), ClientID: "client", ClientSecret: bellwether.NewSecret("hush"),
		RefreshToken: bellwether.NewSecret("rt-" + rand.Text()), AccessToken: bellwether.NewSecret("at-" + rand.Text()),
		ExpiresAt: time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC(),
	}
}

func save(t *testing.T, s *redisstore.Store, tok bellwether.Token) bellwether.Token {
	t.Helper()
	got, err := s.Save(t.Context(), tok)
	if err != nil {
		t.Fatalf("Save: %v", err)
	}
	return got
}

func peek(t *testing.T, s *redisstore.Store, id string) bellwether.Snapshot {
	t.Helper()
	snap, err := s.Peek(t.Context(), id, "")
	if err != nil {
		t.Fatalf("Peek: %v", err)
	}
	return snap
}

// attempt is a strict, mandatory attempt on the row as it stands, with a long
// budget, whose lock is held.
func attempt(t *testing.T, s *redisstore.Store, id string, set ...func(*bellwether.Attempt)) bellwether.Attempt {
	t.Helper()
	snap := peek(t, s, id)
	a := bellwether.Attempt{ID: id, Nonce: rand.Text(), Expected: snap.Cred, MinGeneration: snap.Generation,
		Kind: bellwether.AttemptMandatory, ForcedInterval: time.Minute, Budget: time.Minute, Rotation: bellwether.RotationStrict}
	for _, f := range set {
		f(&a)
	}
	l, err := s.Lock(t.Context(), id, a.Nonce, 10*time.Second, time.Minute)
	if err != nil {
		t.Fatalf("Lock: %v", err)
	}
	t.Cleanup(func() { _ = l.Release(context.Background()) })
	return a
}

func begin(t *testing.T, s *redisstore.Store, a bellwether.Attempt) bellwether.BeginAnswer {
	t.Helper()
	ans, err := s.Begin(t.Context(), a)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return ans
}

func wantWord(t *testing.T, ans bellwether.BeginAnswer, want bellwether.BeginWord) {
	t.Helper()
	if ans.Word != want {
		t.Fatalf("begin answered %q, want %q (%+v)", ans.Word, want, ans)
	}
}

// commit offers a rotated token.
func commit(t *testing.T, s *redisstore.Store, a bellwether.Attempt, tok bellwether.Token) bellwether.CommitAnswer {
	t.Helper()
	tok.AccessToken, tok.RefreshToken = bellwether.NewSecret("at-"+rand.Text()), bellwether.NewSecret("rt-"+rand.Text())
	tok.GrantToken = bellwether.Secret{}
	ans, err := s.Commit(t.Context(), bellwether.Commit{Attempt: a, Token: tok})
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return ans
}

func fail(t *testing.T, s *redisstore.Store, f bellwether.Fail) bellwether.FailAnswer {
	t.Helper()
	ans, err := s.Fail(t.Context(), f)
	if err != nil {
		t.Fatalf("Fail: %v", err)
	}
	return ans
}

func wantReauth(t *testing.T, s *redisstore.Store, id string, want bellwether.Reason) {
	t.Helper()
	snap := peek(t, s, id)
	if snap.State != bellwether.StateReauthRequired || snap.Failure == nil || snap.Failure.Reason != want {
		t.Fatalf("row is %q %+v, want reauth_required(%s)", snap.State, snap.Failure, want)
	}
}

// after polls begin until it stops answering not.
func after(t *testing.T, s *redisstore.Store, not bellwether.BeginWord, next func() bellwether.Attempt) bellwether.BeginAnswer {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ans := begin(t, s, next()); ans.Word != not {
			return ans
		}
	}
	t.Fatalf("begin went on answering %q", not)
	panic("unreachable")
}

func reusable(a *bellwether.Attempt) { a.Rotation = bellwether.RotationReusable }
func brief(a *bellwether.Attempt)    { a.Budget = 20 * time.Millisecond }

func TestEvents(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		events := make(chan bellwether.Event, 100)
		stop := s.Subscribe(func(e bellwether.Event) {
			select {
			case events <- e:
			default:
			}
		})
		defer stop()
		next := func(want bellwether.EventKind) bellwether.Event {
			t.Helper()
			for {
				select {
				case e := <-events:
					if e.Kind == want {
						return e
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("no event %q", want)
				}
			}
		}
		next(bellwether.EventResync) // the subscription stands
		tok := save(t, s, newToken("p"))
		if e := next(bellwether.EventSaved); e.ID != tok.ID || e.Generation != tok.Generation {
			t.Errorf("saved event %+v, want id %s generation %d", e, tok.ID, tok.Generation)
		}
		a := attempt(t, s, tok.ID)
		begin(t, s, a)
		commit(t, s, a, tok)
		if e := next(bellwether.EventCommitted); e.ID != tok.ID || e.Generation != tok.Generation+1 {
			t.Errorf("committed event %+v, want generation %d", e, tok.Generation+1)
		}
		b := attempt(t, s, tok.ID)
		begin(t, s, b)
		fail(t, s, bellwether.Fail{Attempt: b, Outcome: bellwether.OutcomeUnspent})
		next(bellwether.EventFailed)
		if err := s.MarkRevoking(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
		next(bellwether.EventRevoking)
		if err := s.Delete(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
		next(bellwether.EventDeleted)
	})
}

func TestNowIsNeverBehind(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := save(t, s, newToken("p"))
		ans := begin(t, s, attempt(t, s, tok.ID))
		now, ok := s.Now()
		if !ok || now.Before(ans.Now) || now.Sub(ans.Now) > 5*time.Second {
			t.Errorf("Now = %v, %v; want shortly after %v", now, ok, ans.Now)
		}
	})
}

func TestLockedTellsTheRemainder(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		id := rand.Text()
		l, err := s.Lock(t.Context(), id, rand.Text(), 10*time.Second, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Lock(t.Context(), id, rand.Text(), 10*time.Second, time.Minute)
		var held *bellwether.LockedError
		if !errors.As(err, &held) || held.Remaining <= 0 || held.Remaining > 10*time.Second {
			t.Fatalf("second Lock = %v; want locked with up to 10s remaining", err)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err = s.Lock(t.Context(), id, rand.Text(), 10*time.Second, time.Minute); err != nil {
			t.Errorf("Lock after release: %v", err)
		}
	})
}

// A row moved under another id, or an end moved into the future, does not open.
func TestSealedFieldsAreBound(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		a, b := save(t, s, newToken("p")), save(t, s, newToken("p"))
		field := func(id, f string) string { return rawField(t, s, id, f) }
		before := slices.Clone([]string{field(a.ID, "at"), field(a.ID, "sec"), field(a.ID, "exp"), field(a.ID, "pn")})
		for i, c := range []struct{ field, value string }{
			{"at", field(b.ID, "at")}, {"sec", field(b.ID, "sec")},
			{"exp", fmt.Sprint(time.Now().Add(1000 * time.Hour).UnixMilli())}, {"pn", "other"},
		} {
			setField(t, s, a.ID, c.field, c.value)
			if _, err := s.FindByID(t.Context(), a.ID); !errors.Is(err, bellwether.ErrUnreadable) {
				t.Errorf("with a foreign %s: FindByID = %v, want ErrUnreadable", c.field, err)
			}
			setField(t, s, a.ID, c.field, before[i])
		}
		if _, err := s.FindByID(t.Context(), a.ID); err != nil {
			t.Errorf("restored row: %v", err)
		}
	})
}
