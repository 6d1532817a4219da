package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
	"golang.org/x/crypto/bcrypt"
)

const (
	clientID     = "herd"
	clientSecret = "a secret of the client"
	redirectURL  = "http://127.0.0.1/callback"
)

// authServer is fosite behind three endpoints. Rotation kills the previous access
// and refresh token at once; a refresh token presented twice revokes the grant.
type authServer struct {
	*httptest.Server
	provider fosite.OAuth2Provider

	// fosite's memory store checks a token and rotates it in two steps, so the token
	// endpoint handles one request at a time.
	serial sync.Mutex

	mu    sync.Mutex
	calls map[string]int // token requests by "grant_type outcome"
}

// newAuthServer serves access tokens of this life; a token request takes at least
// latency.
func newAuthServer(t *testing.T, life, latency time.Duration) *authServer {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(clientSecret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	store := storage.NewMemoryStore()
	store.Clients[clientID] = &fosite.DefaultClient{
		ID: clientID, Secret: hash, RedirectURIs: []string{redirectURL},
		ResponseTypes: []string{"code"}, GrantTypes: []string{"authorization_code", "refresh_token"},
		Scopes: []string{"offline"},
	}
	config := &fosite.Config{
		AccessTokenLifespan: life, RefreshTokenLifespan: time.Hour, AuthorizeCodeLifespan: time.Minute,
		GlobalSecret: []byte("thirty-two bytes of a test secret"), TokenURL: "http://127.0.0.1/token", HashCost: bcrypt.MinCost,
	}
	s := &authServer{calls: make(map[string]int)}
	s.provider = compose.Compose(config, store,
		&compose.CommonStrategy{CoreStrategy: compose.NewOAuth2HMACStrategy(config)},
		compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2RefreshTokenGrantFactory, compose.OAuth2TokenIntrospectionFactory)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", s.authorize)
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(latency)
		s.token(w, r)
	})
	mux.HandleFunc("GET /api", s.api)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func newSession() *fosite.DefaultSession { return &fosite.DefaultSession{Subject: "bot"} }

// authorize is a user who consents to everything at once.
func (s *authServer) authorize(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	req, err := s.provider.NewAuthorizeRequest(ctx, r)
	if err != nil {
		s.provider.WriteAuthorizeError(ctx, w, req, err)
		return
	}
	req.GrantScope("offline")
	answer, err := s.provider.NewAuthorizeResponse(ctx, req, newSession())
	if err != nil {
		s.provider.WriteAuthorizeError(ctx, w, req, err)
		return
	}
	s.provider.WriteAuthorizeResponse(ctx, w, req, answer)
}

func (s *authServer) token(w http.ResponseWriter, r *http.Request) {
	s.serial.Lock()
	defer s.serial.Unlock()
	// A client that went away does not undo what the server does.
	ctx := context.WithoutCancel(r.Context())
	grant := r.PostFormValue("grant_type")
	count := func(outcome string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls[grant+" "+outcome]++
	}
	req, err := s.provider.NewAccessRequest(ctx, r, newSession())
	if err != nil {
		count("refused")
		s.provider.WriteAccessError(ctx, w, req, err)
		return
	}
	answer, err := s.provider.NewAccessResponse(ctx, req)
	if err != nil {
		count("refused")
		s.provider.WriteAccessError(ctx, w, req, err)
		return
	}
	count("granted")
	s.provider.WriteAccessResponse(ctx, w, req, answer)
}

// api answers who calls, if the access token is alive.
func (s *authServer) api(w http.ResponseWriter, r *http.Request) {
	token := fosite.AccessTokenFromRequest(r)
	if _, _, err := s.provider.IntrospectToken(r.Context(), token, fosite.AccessToken, newSession()); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"user": "bot"})
}

// count returns how many token requests of this kind were seen.
func (s *authServer) count(grant, outcome string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[grant+" "+outcome]
}

// refreshes returns all refresh calls in the server's own log.
func (s *authServer) refreshes() int {
	return s.count("refresh_token", "granted") + s.count("refresh_token", "refused")
}

// code signs the user in and returns the authorization code.
func (s *authServer) code(t *testing.T) string {
	t.Helper()
	q := url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURL},
		"scope": {"offline"}, "state": {"at least eight characters"}}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(s.URL + "/authorize?" + q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	to, err := resp.Location()
	if err != nil || to.Query().Get("code") == "" {
		t.Fatalf("no code: %s %v", resp.Status, to)
	}
	return to.Query().Get("code")
}

type pair struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
}

// exchange posts a token request by hand.
func (s *authServer) exchange(t *testing.T, form url.Values) (pair, int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(clientSecret))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var p pair
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p, resp.StatusCode
}

// signIn returns the first pair of a new grant.
func (s *authServer) signIn(t *testing.T) pair {
	t.Helper()
	p, status := s.exchange(t, url.Values{"grant_type": {"authorization_code"}, "code": {s.code(t)}, "redirect_uri": {redirectURL}})
	if status != http.StatusOK || p.RefreshToken == "" {
		t.Fatalf("sign-in: %d", status)
	}
	return p
}

// alive presents a refresh token: the only way to learn whether the grant lives.
func (s *authServer) alive(t *testing.T, refreshToken string) bool {
	t.Helper()
	_, status := s.exchange(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}})
	return status == http.StatusOK
}

func TestAuthServerDetectsReuse(t *testing.T) {
	s := newAuthServer(t, time.Minute, 0)
	first := s.signIn(t)
	second, status := s.exchange(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.RefreshToken}})
	if status != http.StatusOK || second.RefreshToken == first.RefreshToken {
		t.Fatalf("no rotation: %d", status)
	}
	if s.alive(t, first.RefreshToken) {
		t.Fatal("a spent refresh token was taken")
	}
	if s.alive(t, second.RefreshToken) {
		t.Fatal("the grant survived a replay: this server cannot prove anything")
	}
}
