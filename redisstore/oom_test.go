package redisstore_test

import (
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
)

// At maxmemory Redis lets a script go on that has freed something before, such as its
// lock. What a holder without its lock has to say must land all the same.
func TestMaxMemoryReachedAndLockLost(t *testing.T) {
	redistest.Need(t)
	srv := redistest.Single(t, redistest.Config{})
	s := openStore(t, srv.URL(), newSealer(t))
	tok, other := save(t, s, newToken("p")), save(t, s, newToken("p"))
	a, b := attempt(t, s, tok.ID), attempt(t, s, other.ID)
	ans := begin(t, s, a)
	wantWord(t, begin(t, s, b), bellwether.BeginGo)
	freeLock(t, s, tok.ID, a.Nonce)
	freeLock(t, s, other.ID, b.Nonce)
	if err := srv.Client(t).ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if got := commit(t, s, a, ans.Token); got.Word != bellwether.CommitOK {
		t.Errorf("commit answered %q, want ok", got.Word)
	}
	fail(t, s, bellwether.Fail{Attempt: b, Outcome: bellwether.OutcomeRefused, Sent: true, Class: bellwether.ClassRefused})
	wantReauth(t, s, other.ID, bellwether.ReasonRevoked)
}
