package redisstore_test

import (
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
)

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
			if ans.Why != bellwether.DenialCooldown || ans.Class != bellwether.ClassThrottled || ans.Code != "Access Denied" {
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
