package redisstore_test

import (
	"crypto/rand"
	"errors"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
)

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
