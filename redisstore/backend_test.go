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

// The attempt protocol, word by word, on every kind of server.

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

func TestBegin(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		t.Run("go gives the whole row", func(t *testing.T) {
			want := newToken("p")
			want.Extra = map[string]bellwether.Secret{"soid": bellwether.NewSecret("x")}
			tok := save(t, s, want)
			ans := begin(t, s, attempt(t, s, tok.ID))
			wantWord(t, ans, bellwether.BeginGo)
			got := ans.Token
			if !got.RefreshToken.Equal(want.RefreshToken) || !got.ClientSecret.Equal(want.ClientSecret) ||
				got.UserName != want.UserName || !got.Extra["soid"].Equal(want.Extra["soid"]) || got.Generation != tok.Generation {
				t.Errorf("begin gave another row: %+v", got)
			}
			if d := ans.Until.Sub(ans.Now); d != time.Minute {
				t.Errorf("until is %v after now, want the budget, 1m", d)
			}
		})
		t.Run("a repeated begin goes again and logs one call", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID, reusable, func(a *bellwether.Attempt) { a.Quotas = []bellwether.Quota{{N: 2, Per: time.Hour}} })
			wantWord(t, begin(t, s, a), bellwether.BeginGo)
			wantWord(t, begin(t, s, a), bellwether.BeginGo)
			fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent, Sent: true})
			b := attempt(t, s, tok.ID, reusable, func(b *bellwether.Attempt) { b.Quotas = a.Quotas })
			wantWord(t, begin(t, s, b), bellwether.BeginGo)
		})
		t.Run("lost without the lock", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID)
			a.Nonce = rand.Text()
			wantWord(t, begin(t, s, a), bellwether.BeginLost)
			if peek(t, s, tok.ID).Intent {
				t.Error("lost left an intent")
			}
		})
		t.Run("a refusal frees the lock", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID, func(a *bellwether.Attempt) { a.Expected = rand.Text() })
			wantWord(t, begin(t, s, a), bellwether.BeginChanged)
			wantWord(t, begin(t, s, a), bellwether.BeginLost)
			wantWord(t, begin(t, s, attempt(t, s, tok.ID)), bellwether.BeginGo)
		})
		t.Run("gone", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID)
			if err := s.Delete(t.Context(), tok.ID); err != nil {
				t.Fatal(err)
			}
			wantWord(t, begin(t, s, a), bellwether.BeginGone)
		})
		t.Run("revoking", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			if err := s.MarkRevoking(t.Context(), tok.ID); err != nil {
				t.Fatal(err)
			}
			ans := begin(t, s, attempt(t, s, tok.ID))
			wantWord(t, ans, bellwether.BeginState)
			if ans.State != bellwether.StateRevoking {
				t.Errorf("state is %q, want revoking", ans.State)
			}
		})
		t.Run("forced at most once an interval", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			forced := func(a *bellwether.Attempt) { a.Kind = bellwether.AttemptForced }
			a := attempt(t, s, tok.ID, reusable, forced)
			wantWord(t, begin(t, s, a), bellwether.BeginGo)
			commit(t, s, a, tok)
			ans := begin(t, s, attempt(t, s, tok.ID, reusable, forced))
			wantWord(t, ans, bellwether.BeginDenied)
			if d := ans.Until.Sub(ans.Now); ans.Why != "forced" || d <= 0 || d > time.Minute {
				t.Errorf("denied %q for %v, want forced for up to 1m", ans.Why, d)
			}
			wantWord(t, begin(t, s, attempt(t, s, tok.ID, reusable)), bellwether.BeginGo)
		})
		t.Run("regressed", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			behind := func(a *bellwether.Attempt) { a.MinGeneration += 5; a.Budget = 20 * time.Millisecond }
			wantWord(t, begin(t, s, attempt(t, s, tok.ID, behind)), bellwether.BeginRegressed)
			wantWord(t, begin(t, s, attempt(t, s, tok.ID)), bellwether.BeginRecover)
			ans := after(t, s, bellwether.BeginRecover, func() bellwether.Attempt { return attempt(t, s, tok.ID) })
			wantWord(t, ans, bellwether.BeginGo)
			if !ans.Doubt {
				t.Error("the attempt after a lost write is not in doubt")
			}
		})
	})
}

func TestQuota(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		quotas := []bellwether.Quota{{N: 4, Per: time.Hour}, {N: 9, Per: 2 * time.Hour}}
		limited := func(kind bellwether.AttemptKind) func(*bellwether.Attempt) {
			return func(a *bellwether.Attempt) { a.Kind, a.Quotas, a.ForcedInterval = kind, quotas, 0; reusable(a) }
		}
		tok := save(t, s, newToken("p"))
		call := func(kind bellwether.AttemptKind, sent bool) bellwether.BeginAnswer {
			a := attempt(t, s, tok.ID, limited(kind))
			ans := begin(t, s, a)
			if ans.Word == bellwether.BeginGo {
				fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent, Sent: sent})
			}
			return ans
		}
		wantWord(t, call(bellwether.AttemptMandatory, false), bellwether.BeginGo) // not sent: not counted
		wantWord(t, call(bellwether.AttemptBackground, true), bellwether.BeginGo)
		wantWord(t, call(bellwether.AttemptBackground, true), bellwether.BeginGo)
		wantWord(t, call(bellwether.AttemptBackground, true), bellwether.BeginDenied) // two are kept back
		wantWord(t, call(bellwether.AttemptForced, true), bellwether.BeginGo)
		wantWord(t, call(bellwether.AttemptMandatory, true), bellwether.BeginGo)
		ans := call(bellwether.AttemptMandatory, true)
		wantWord(t, ans, bellwether.BeginDenied)
		if d := ans.Until.Sub(ans.Now); ans.Why != "quota" || d < 59*time.Minute || d > time.Hour {
			t.Errorf("denied %q for %v, want quota until the oldest call is an hour old", ans.Why, d)
		}
	})
}

func TestQuotaWindowSlides(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := save(t, s, newToken("p"))
		next := func() bellwether.Attempt {
			return attempt(t, s, tok.ID, reusable, func(a *bellwether.Attempt) { a.Quotas = []bellwether.Quota{{N: 1, Per: 50 * time.Millisecond}} })
		}
		a := next()
		first := begin(t, s, a)
		wantWord(t, first, bellwether.BeginGo)
		fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent, Sent: true})
		ans := after(t, s, bellwether.BeginDenied, next)
		wantWord(t, ans, bellwether.BeginGo)
		if d := ans.Now.Sub(first.Now); d < 50*time.Millisecond {
			t.Errorf("the second call came %v after the first, want at least the window", d)
		}
	})
}

func TestIntentOfAnother(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		// died leaves a row whose holder has died after begin.
		died := func(t *testing.T, tok bellwether.Token, set ...func(*bellwether.Attempt)) bellwether.Attempt {
			a := attempt(t, s, tok.ID, set...)
			wantWord(t, begin(t, s, a), bellwether.BeginGo)
			freeLock(t, s, tok.ID, a.Nonce)
			return a
		}
		t.Run("reusable goes on at once", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			died(t, tok, reusable)
			wantWord(t, begin(t, s, attempt(t, s, tok.ID, reusable)), bellwether.BeginGo)
		})
		t.Run("strict waits, then has one attempt", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			died(t, tok, brief)
			next := func() bellwether.Attempt { return attempt(t, s, tok.ID, brief) }
			ans := begin(t, s, attempt(t, s, tok.ID))
			if ans.Word == bellwether.BeginRecover && ans.Until.Sub(ans.Now) > 20*time.Millisecond {
				t.Errorf("recover until %v, want the first holder's budget", ans.Until.Sub(ans.Now))
			}
			if ans.Word != bellwether.BeginGo {
				ans = after(t, s, bellwether.BeginRecover, next)
			}
			wantWord(t, ans, bellwether.BeginGo)
			if !ans.Doubt {
				t.Error("the attempt after an unresolved one is not in doubt")
			}
		})
		t.Run("a second unresolved attempt condemns", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			died(t, tok, brief)
			next := func() bellwether.Attempt { return attempt(t, s, tok.ID, brief) }
			wantWord(t, after(t, s, bellwether.BeginRecover, next), bellwether.BeginGo)
			// the holder of the one attempt dies as well
			var held bellwether.Attempt
			ans := after(t, s, bellwether.BeginRecover, func() bellwether.Attempt {
				forceUnlock(t, s, tok.ID)
				held = next()
				return held
			})
			wantWord(t, ans, bellwether.BeginState)
			wantReauth(t, s, tok.ID, bellwether.ReasonRotationLost)
		})
		t.Run("a code is never sent twice", func(t *testing.T) {
			tok := newToken("p")
			tok.RefreshToken, tok.AccessToken, tok.ExpiresAt = bellwether.Secret{}, bellwether.Secret{}, time.Time{}
			tok.GrantToken = bellwether.NewSecret("code-" + rand.Text())
			tok = save(t, s, tok)
			died(t, tok, reusable, brief)
			ans := after(t, s, bellwether.BeginRecover, func() bellwether.Attempt { return attempt(t, s, tok.ID, reusable) })
			wantWord(t, ans, bellwether.BeginState)
			wantReauth(t, s, tok.ID, bellwether.ReasonCodeOutcomeUnknown)
		})
		t.Run("unspent never clears doubt", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			died(t, tok, brief)
			var a bellwether.Attempt
			next := func() bellwether.Attempt { a = attempt(t, s, tok.ID); return a }
			wantWord(t, after(t, s, bellwether.BeginRecover, next), bellwether.BeginGo)
			fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent})
			if ans := begin(t, s, next()); ans.Word != bellwether.BeginGo || !ans.Doubt {
				t.Errorf("begin answered %q, doubt %v; want go in doubt", ans.Word, ans.Doubt)
			}
		})
	})
}

func TestCommit(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		t.Run("ok, and again ok", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID)
			ans := begin(t, s, a)
			next := ans.Token
			next.AccessToken, next.RefreshToken = bellwether.NewSecret("new-at"+rand.Text()), bellwether.NewSecret("new-rt"+rand.Text())
			c := bellwether.Commit{Attempt: a, Token: next}
			for range 2 {
				got, err := s.Commit(t.Context(), c)
				if err != nil || got.Word != bellwether.CommitOK || got.Generation != tok.Generation+1 {
					t.Fatalf("Commit = %+v, %v; want ok and generation %d", got, err, tok.Generation+1)
				}
			}
			got, err := s.FindByID(t.Context(), tok.ID)
			if err != nil || !got.AccessToken.Equal(next.AccessToken) || !got.RefreshToken.Equal(next.RefreshToken) {
				t.Errorf("row after commit: %+v, %v", got, err)
			}
			if !got.ClientSecret.Equal(tok.ClientSecret) || got.UserName != tok.UserName {
				t.Errorf("commit changed what an operator gave: %+v", got)
			}
			if snap := peek(t, s, tok.ID); snap.Cred != a.Nonce || snap.Intent {
				t.Errorf("cred %q, intent %v; want the nonce and no intent", snap.Cred, snap.Intent)
			}
		})
		t.Run("never refused for a lost lock", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID)
			wantWord(t, begin(t, s, a), bellwether.BeginGo)
			freeLock(t, s, tok.ID, a.Nonce)
			other := attempt(t, s, tok.ID) // holds the lock now
			if got := commit(t, s, a, tok); got.Word != bellwether.CommitOK {
				t.Fatalf("commit answered %q, want ok", got.Word)
			}
			wantWord(t, begin(t, s, other), bellwether.BeginChanged)
		})
		t.Run("sibling", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID, reusable)
			wantWord(t, begin(t, s, a), bellwether.BeginGo)
			freeLock(t, s, tok.ID, a.Nonce)
			b := attempt(t, s, tok.ID, reusable)
			wantWord(t, begin(t, s, b), bellwether.BeginGo)
			commit(t, s, b, tok)
			first := peek(t, s, tok.ID)
			if got := commit(t, s, a, tok); got.Word != bellwether.CommitSibling {
				t.Fatalf("commit answered %q, want sibling", got.Word)
			}
			if now := peek(t, s, tok.ID); !now.AccessToken.Equal(first.AccessToken) || now.Generation != first.Generation {
				t.Error("a sibling changed the row")
			}
		})
		t.Run("stale after a new sign-in", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID)
			wantWord(t, begin(t, s, a), bellwether.BeginGo)
			again := tok
			again.Generation, again.RefreshToken = 0, bellwether.NewSecret("signed-in-again"+rand.Text())
			save(t, s, again)
			if got := commit(t, s, a, tok); got.Word != bellwether.CommitStale {
				t.Fatalf("commit answered %q, want stale", got.Word)
			}
			if got, err := s.FindByID(t.Context(), tok.ID); err != nil || !got.RefreshToken.Equal(again.RefreshToken) {
				t.Errorf("the new sign-in is gone: %+v, %v", got, err)
			}
		})
		t.Run("gone after a delete", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID)
			wantWord(t, begin(t, s, a), bellwether.BeginGo)
			if err := s.Delete(t.Context(), tok.ID); err != nil {
				t.Fatal(err)
			}
			if got := commit(t, s, a, tok); got.Word != bellwether.CommitGone {
				t.Fatalf("commit answered %q, want gone", got.Word)
			}
			if _, err := s.FindByID(t.Context(), tok.ID); !errors.Is(err, bellwether.ErrNotFound) {
				t.Errorf("the deleted row is back: %v", err)
			}
		})
		t.Run("a save in between is kept", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID)
			ans := begin(t, s, a)
			save(t, s, bellwether.Token{ID: tok.ID, RedirectURL: "https://new", ClientSecret: bellwether.NewSecret("new hush")})
			if got := commit(t, s, a, ans.Token); got.Word != bellwether.CommitOK {
				t.Fatalf("commit answered %q, want ok", got.Word)
			}
			got, err := s.FindByID(t.Context(), tok.ID)
			if err != nil || got.RedirectURL != "https://new" || got.ClientSecret.Reveal() != "new hush" {
				t.Errorf("the commit undid the save: %+v, %v", got, err)
			}
			if got.AccessToken.Equal(tok.AccessToken) {
				t.Error("the save undid the commit")
			}
		})
		t.Run("a late commit clears rotation_lost, and the next refusal is believed less", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID)
			wantWord(t, begin(t, s, a), bellwether.BeginGo)
			fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnknown, Sent: true, Lost: true})
			wantReauth(t, s, tok.ID, bellwether.ReasonRotationLost)
			commit(t, s, a, tok)
			if snap := peek(t, s, tok.ID); snap.State != bellwether.StateActive {
				t.Fatalf("state is %q, want active", snap.State)
			}
			b := attempt(t, s, tok.ID)
			wantWord(t, begin(t, s, b), bellwether.BeginGo)
			fail(t, s, bellwether.Fail{Attempt: b, Outcome: bellwether.OutcomeRefused, Sent: true, Class: bellwether.ClassRefused})
			wantReauth(t, s, tok.ID, bellwether.ReasonRotationLost)
		})
	})
}

func TestFail(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		gone := func(t *testing.T, set ...func(*bellwether.Attempt)) (bellwether.Token, bellwether.Attempt) {
			tok := save(t, s, newToken("p"))
			a := attempt(t, s, tok.ID, set...)
			wantWord(t, begin(t, s, a), bellwether.BeginGo)
			return tok, a
		}
		t.Run("unspent clears the intent", func(t *testing.T) {
			tok, a := gone(t)
			ans := fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent})
			if !ans.Applied || ans.State != bellwether.StateActive || peek(t, s, tok.ID).Intent {
				t.Errorf("fail = %+v, intent %v; want applied, active, none", ans, peek(t, s, tok.ID).Intent)
			}
			wantWord(t, begin(t, s, attempt(t, s, tok.ID)), bellwether.BeginGo)
		})
		t.Run("refused is a revocation", func(t *testing.T) {
			tok, a := gone(t)
			ans := fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeRefused, Sent: true, Class: bellwether.ClassRefused, Code: "invalid_grant"})
			if ans.Reason != bellwether.ReasonRevoked {
				t.Errorf("reason is %q, want revoked", ans.Reason)
			}
			wantReauth(t, s, tok.ID, bellwether.ReasonRevoked)
			begun := begin(t, s, attempt(t, s, tok.ID))
			wantWord(t, begun, bellwether.BeginState)
			if begun.Code != "invalid_grant" {
				t.Errorf("begin tells code %q, want invalid_grant", begun.Code)
			}
		})
		t.Run("unknown leaves the intent, strict waits", func(t *testing.T) {
			tok, a := gone(t)
			for range 2 { // a repetition finds nothing to do
				if ans := fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnknown, Sent: true, Class: bellwether.ClassUnknown}); !ans.Applied {
					t.Fatal("not applied")
				}
			}
			snap := peek(t, s, tok.ID)
			if !snap.Intent || snap.Failure == nil || snap.Failure.Count != 1 {
				t.Errorf("intent %v, failure %+v; want an intent and one failure", snap.Intent, snap.Failure)
			}
			wantWord(t, begin(t, s, attempt(t, s, tok.ID)), bellwether.BeginRecover)
		})
		t.Run("unknown and lost", func(t *testing.T) {
			tok, a := gone(t)
			fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnknown, Sent: true, Lost: true, Class: bellwether.ClassUnusable})
			wantReauth(t, s, tok.ID, bellwether.ReasonRotationLost)
		})
		t.Run("reusable is never lost", func(t *testing.T) {
			tok, a := gone(t, reusable)
			fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnknown, Sent: true, Lost: true, Class: bellwether.ClassUnusable})
			if snap := peek(t, s, tok.ID); snap.State != bellwether.StateActive {
				t.Errorf("state is %q, want active", snap.State)
			}
			wantWord(t, begin(t, s, attempt(t, s, tok.ID, reusable)), bellwether.BeginGo)
		})
		t.Run("after a commit by a sibling nothing is condemned", func(t *testing.T) {
			tok, a := gone(t, reusable)
			freeLock(t, s, tok.ID, a.Nonce)
			b := attempt(t, s, tok.ID, reusable)
			wantWord(t, begin(t, s, b), bellwether.BeginGo)
			commit(t, s, b, tok)
			if ans := fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeRefused, Sent: true, Class: bellwether.ClassRefused}); ans.Applied {
				t.Error("an invalid_grant for replaced credentials was believed")
			}
			if snap := peek(t, s, tok.ID); snap.State != bellwether.StateActive {
				t.Errorf("state is %q, want active", snap.State)
			}
		})
		t.Run("cooldown of the row", func(t *testing.T) {
			tok, a := gone(t)
			fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent, Sent: true, Class: bellwether.ClassThrottled, Code: "Access Denied", Cooldown: time.Minute})
			ans := begin(t, s, attempt(t, s, tok.ID))
			wantWord(t, ans, bellwether.BeginDenied)
			if ans.Why != "cooldown" || ans.Class != bellwether.ClassThrottled || ans.Code != "Access Denied" {
				t.Errorf("denied by %+v, want the cooldown and its cause", ans)
			}
		})
		t.Run("cooldown of the client reaches its other tokens", func(t *testing.T) {
			tok, a := gone(t)
			other := save(t, s, newToken("p"))
			client := peek(t, s, tok.ID).Client
			if client == "" || client != peek(t, s, other.ID).Client {
				t.Fatal("two tokens of a client have different digests")
			}
			fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent, Sent: true, Class: bellwether.ClassThrottled,
				Code: "slow|down", ClientCooldown: time.Minute, Client: client})
			snap, err := s.Peek(t.Context(), other.ID, client)
			if err != nil || !snap.Cooldown.Client || snap.Cooldown.Class != bellwether.ClassThrottled || snap.Cooldown.Code != "slowdown" {
				t.Errorf("Peek = %+v, %v; want the client's cooldown", snap.Cooldown, err)
			}
		})
	})
}

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
