package redisstore_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
)

// What begin answers, word by word, on every kind of server.

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
			if d := ans.Until.Sub(ans.Now); ans.Why != bellwether.DenialForced || d <= 0 || d > time.Minute {
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
