package redisstore_test

import (
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
)

// Nothing that Redis is told, as a key, a value, an argument or a message, holds a
// secret, a user name or a client id, nor the beginning or the end of one.
func TestNothingInClear(t *testing.T) {
	m, _ := redistest.Mini(t)
	s, hook := replica(t, m, newSealer(t))
	var mu sync.Mutex
	var told strings.Builder
	hook.set(func(_ int, cmds []redis.Cmder, next func() error) error {
		mu.Lock()
		defer mu.Unlock()
		for _, cmd := range cmds {
			fmt.Fprintln(&told, cmd.Args()...)
		}
		return next()
	})

	var hidden []string
	hide := func(tok bellwether.Token) bellwether.Token {
		for _, v := range []bellwether.Secret{tok.AccessToken, tok.RefreshToken, tok.GrantToken, tok.ClientSecret, tok.Extra["id_token"]} {
			if !v.IsZero() {
				hidden = append(hidden, v.Reveal())
			}
		}
		hidden = append(hidden, tok.UserName, tok.ClientID, tok.RedirectURL)
		return tok
	}
	given := newToken("p")
	given.ID, given.ClientID, given.ClientSecret = "visible-id", "hidden-client-id", secret("hidden-client-secret")
	given.RedirectURL, given.GrantToken = "https://hidden.test/callback", secret("hidden-grant-token")
	given.Extra = map[string]bellwether.Secret{"id_token": secret("hidden-extra-value")}
	tok := save(t, s, hide(given))
	for _, partial := range []bellwether.Token{{UserName: tok.UserName}, {RefreshToken: tok.RefreshToken},
		{GrantToken: tok.GrantToken}, {AccessToken: tok.AccessToken}} {
		if _, err := s.Find(t.Context(), partial); err != nil {
			t.Fatal(err)
		}
	}
	a := attempt(t, s, tok.ID, reusable)
	ans := begin(t, s, a)
	freeLock(t, s, tok.ID, a.Nonce)
	b := attempt(t, s, tok.ID, reusable)
	wantWord(t, begin(t, s, b), bellwether.BeginGo)
	for _, c := range []struct {
		by   bellwether.Attempt
		word bellwether.CommitWord
	}{{b, bellwether.CommitOK}, {a, bellwether.CommitSibling}} {
		next := ans.Token
		next.AccessToken, next.RefreshToken = secret("next-access-"+rand.Text()), secret("next-refresh-"+rand.Text())
		got, err := s.Commit(t.Context(), bellwether.Commit{Attempt: c.by, Token: hide(next)})
		if err != nil || got.Word != c.word {
			t.Fatalf("Commit = %+v, %v; want %s", got, err, c.word)
		}
	}
	f := attempt(t, s, tok.ID)
	wantWord(t, begin(t, s, f), bellwether.BeginGo)
	fail(t, s, bellwether.Fail{Attempt: f, Outcome: bellwether.OutcomeRefused, Sent: true, Class: bellwether.ClassRefused})
	save(t, s, bellwether.Token{ID: tok.ID, RedirectURL: "https://other.test"})
	if err := s.Delete(t.Context(), tok.ID); err != nil {
		t.Fatal(err)
	}
	s.Idle()
	hook.set(nil)

	text := told.String()
	if !strings.Contains(text, tok.ID) {
		t.Fatal("what Redis was told does not name the row: the search proves nothing")
	}
	for _, v := range hidden {
		for _, part := range []string{v[:8], v[len(v)-8:]} {
			if strings.Contains(text, part) {
				t.Errorf("Redis was told %q, a part of %q", part, v)
			}
		}
	}
}
