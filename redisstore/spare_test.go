package redisstore_test

import (
	"crypto/rand"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
)

// The refresh token of an answer that came second may be the one that lives. It is
// kept, sealed, until the next commit or sign-in.
func TestSpare(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		spare := func(t *testing.T, id string) string {
			t.Helper()
			v, err := s.RawClient().HMGet(t.Context(), s.RowKey(id), "sp").Result()
			if err != nil {
				t.Fatal(err)
			}
			text, _ := v[0].(string)
			return text
		}
		// second commits twice from the same credentials and returns what was told the
		// slower one.
		second := func(t *testing.T, tok bellwether.Token, fast, slow bellwether.Secret) {
			t.Helper()
			a := attempt(t, s, tok.ID, reusable)
			ans := begin(t, s, a)
			freeLock(t, s, tok.ID, a.Nonce)
			b := attempt(t, s, tok.ID, reusable)
			wantWord(t, begin(t, s, b), bellwether.BeginGo)
			for _, c := range []struct {
				by    bellwether.Attempt
				token bellwether.Secret
				want  bellwether.CommitWord
			}{{b, fast, bellwether.CommitOK}, {a, slow, bellwether.CommitSibling}} {
				next := ans.Token
				next.AccessToken, next.RefreshToken = secret("at-"+rand.Text()), c.token
				got, err := s.Commit(t.Context(), bellwether.Commit{Attempt: c.by, Token: next})
				if err != nil || got.Word != c.want {
					t.Fatalf("Commit = %+v, %v; want %s", got, err, c.want)
				}
			}
		}
		t.Run("is kept until the next commit", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			second(t, tok, secret("fast-"+rand.Text()), secret("slow-"+rand.Text()))
			if spare(t, tok.ID) == "" {
				t.Error("the slower answer's refresh token was dropped")
			}
			a := attempt(t, s, tok.ID)
			ans := begin(t, s, a)
			commit(t, s, a, ans.Token)
			if spare(t, tok.ID) != "" {
				t.Error("the spare outlived the next rotation")
			}
		})
		t.Run("is kept until the next sign-in", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			second(t, tok, secret("fast-"+rand.Text()), secret("slow-"+rand.Text()))
			save(t, s, bellwether.Token{ID: tok.ID, RefreshToken: secret("new-" + rand.Text())})
			if spare(t, tok.ID) != "" {
				t.Error("the spare outlived its lineage")
			}
		})
		t.Run("is none when nothing was rotated", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			second(t, tok, tok.RefreshToken, tok.RefreshToken)
			if spare(t, tok.ID) != "" {
				t.Error("the row's own refresh token is its spare")
			}
		})
	})
}
