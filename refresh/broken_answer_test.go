package refresh

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/provider/oauth"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// Answers that break off in a place where it matters.

// The answer of a strict provider is cut between the access token and the refresh
// token. The access token is served; that the rotated refresh token is lost is told as
// what it is when the used one is refused.
func TestAnswerCutBetweenTokens(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, g := fl.expired("bob")
		// Half of the answer is sent; the refresh token is the longer half.
		f := oauthtest.EditAnswer(func(m map[string]any) { m["refresh_token"] = strings.Repeat("r", 400) })
		f.Cut = true
		fl.srv.Inject(f)
		a := fl.mustGet(tok.ID)
		fl.srv.ExpireAccess(g.ID)
		_, err := fl.get(tok.ID, Want{Rejected: a.Token})
		if e := wantKind(t, err, bellwether.ErrReauthRequired); e.Reason != bellwether.ReasonRotationLost {
			t.Errorf("reason %q, want rotation_lost", e.Reason)
		}
	})
}

// An answer in the form encoding is cut within the refresh token: its beginning must
// not replace the good one.
func TestFormCutWithinAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
			w.Header().Set("Content-Length", "200")
			_, _ = io.WriteString(w, "access_token=new-access&expires_in=3600&refresh_token=good-ref")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})}
		go func() { _ = srv.Serve(ln) }()
		t.Cleanup(func() { _ = srv.Close() })
		p, err := oauth.New(oauth.Config{Name: "form", TokenURL: "http://auth.test/token", AllowHTTP: true, Rotation: bellwether.RotationReusable})
		unexpected(t, err)
		_, client := redistest.Mini(t)
		store, err := redisstore.New(t.Context(), client, redisstore.Config{Namespace: "test", Sealer: seal.Plaintext{},
			Logger: slog.New(slog.DiscardHandler)})
		unexpected(t, err)
		t.Cleanup(func() { _ = store.Close() })
		tok, err := store.Save(t.Context(), bellwether.Token{Provider: "form", ClientID: "c", ClientSecret: bellwether.NewSecret("s"),
			RefreshToken: bellwether.NewSecret("good-refresh-token")})
		unexpected(t, err)
		r := newRefresher(t, store, Config{Providers: []bellwether.Provider{p}, DialContext: ln.dial})
		a, err := r.Get(t.Context(), tok.ID, Want{})
		if err != nil || a.Token.Reveal() != "new-access" {
			t.Errorf("Get = %v, want the access token, which is whole", err)
		}
		got, err := store.FindByID(t.Context(), tok.ID)
		unexpected(t, err)
		if !got.RefreshToken.Equal(tok.RefreshToken) {
			t.Error("the good refresh token was replaced")
		}
	})
}
