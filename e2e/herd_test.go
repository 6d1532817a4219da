package e2e

import (
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

const (
	replicas = 8
	callers  = 50
	expiries = 3
)

// 8 processes of 50 callers, three expiries: the server's own log shows three
// refresh calls, and the grant lives.
func TestHerdRefreshesOncePerExpiry(t *testing.T) {
	redistest.Need(t)
	const life = 4 * time.Second
	server := newAuthServer(t, life, 200*time.Millisecond)
	srv := redistest.Single(t, redistest.Config{})
	keyset, keys := newKeyset(t)
	store, err := redisstore.Open(t.Context(), srv.URL(), redisstore.Config{Namespace: "e2e", Sealer: keys, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	first := server.signIn(t)
	tok, err := store.Save(t.Context(), bellwether.Token{
		Provider: "fosite", UserName: "bot", ClientID: clientID, ClientSecret: bellwether.NewSecret(clientSecret),
		RefreshToken: bellwether.NewSecret(first.RefreshToken),
	})
	if err != nil {
		t.Fatal(err)
	}
	var herd []*replica
	for range replicas {
		herd = append(herd, startReplica(t, order{Mode: "bellwether", TokenURL: server.URL + "/token", Callers: callers,
			Redis: srv.URL(), Keyset: keyset, ID: tok.ID}))
	}
	for n := 1; n <= expiries; n++ {
		got := round(t, herd)
		if got.OK != replicas*callers || got.Failed != 0 || len(got.Tokens) != 1 {
			t.Fatalf("expiry %d: %d callers served, %d failed (%s), %d different tokens", n, got.OK, got.Failed, got.Error, len(got.Tokens))
		}
		if calls := server.refreshes(); calls != n {
			t.Fatalf("expiry %d: the server saw %d refresh calls, want %d", n, calls, n)
		}
		for tok := range got.Tokens {
			if !server.accepts(t, tok) {
				t.Fatalf("expiry %d: the API refuses the token", n)
			}
			awaitEnd(t, server, tok)
		}
	}
	final, err := store.FindByID(t.Context(), tok.ID)
	if err != nil {
		t.Fatal(err)
	}
	if server.count("refresh_token", "refused") != 0 || !server.alive(t, final.RefreshToken.Reveal()) {
		t.Error("the grant is dead")
	}
	fmt.Printf("with Bellwether: %d processes x %d callers, %d expiries: %d refresh calls, 0 failed callers, the grant lives\n",
		replicas, callers, expiries, expiries)
}

// The same herd, each replica with an x/oauth2 source of its own: one expiry kills
// the grant.
func TestHerdWithoutBellwetherLosesTheGrant(t *testing.T) {
	server := newAuthServer(t, time.Minute, 200*time.Millisecond)
	first := server.signIn(t)
	var herd []*replica
	for range replicas {
		herd = append(herd, startReplica(t, order{Mode: "x/oauth2", TokenURL: server.URL + "/token", Callers: callers, RefreshToken: first.RefreshToken}))
	}
	got := round(t, herd)
	if got.Failed == 0 || server.refreshes() < replicas {
		t.Fatalf("%d failed callers, %d refresh calls: this herd does not show the problem", got.Failed, server.refreshes())
	}
	calls := server.refreshes()
	if len(got.Tokens) == 0 || len(got.Successors) == 0 {
		t.Fatalf("%d access and %d refresh tokens were handed out: nothing can show that the grant is dead", len(got.Tokens), len(got.Successors))
	}
	for tok := range got.Tokens {
		if server.accepts(t, tok) {
			t.Fatal("an access token survived the revocation of the grant")
		}
	}
	// The newest refresh tokens were never presented before.
	for tok := range got.Successors {
		if server.alive(t, tok) {
			t.Fatal("a refresh token survived the revocation of the grant")
		}
	}
	fmt.Printf("with x/oauth2 alone: %d processes x %d callers, 1 expiry: %d refresh calls, %d failed callers, the grant is dead\n",
		replicas, callers, calls, got.Failed)
}

// accepts asks the API.
func (s *authServer) accepts(t *testing.T, token string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// awaitEnd waits until the server takes the token for expired.
func awaitEnd(t *testing.T, s *authServer, token string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); s.accepts(t, token); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the access token does not end")
		}
	}
}
