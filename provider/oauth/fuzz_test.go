package oauth_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/oauth"
)

// planted are secrets that no error may show.
var planted = bellwether.Token{
	ClientID:     "id",
	ClientSecret: secret("planted-client-secret"),
	RefreshToken: secret("planted-refresh-token"),
	AccessToken:  secret("planted-access-token"),
	Extra:        map[string]bellwether.Secret{"code_verifier": secret("planted-code-verifier")},
}

// FuzzParse: whatever the answer, no panic; a refresh token in a readable
// success is never lost; a nil error means an access token; a refusal needs a
// code that the table names; and no error shows a secret.
func FuzzParse(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"at","refresh_token":"rt","expires_in":3600}`,
		`{"access_token":"at","refresh_token":"rt","expires_in":"soon","scope":["a"]}`,
		`{"ok":false,"error":"invalid_refresh_token"}`,
		`{"ok":true,"authed_user":{"access_token":"at","refresh_token":"rt"}}`,
		`{"error":"planted-refresh-token","refresh_token":"planted-refresh-token"}`,
		`{"error":{"code":"x"}}`,
		`access_token=at&refresh_token=rt&expires_in=-1`,
		`{"access_token":"at","refresh_tok`,
		`<html>`, ``, `[]`, `{"expires_in":1e999}`,
	} {
		for _, status := range []int{200, 400, 429, 500} {
			f.Add(status, "30", "application/json", []byte(body))
		}
	}
	plain, slack := mustNew(f, oauth.Config{}), mustNew(f, slackUser())
	f.Fuzz(func(t *testing.T, status int, retry, contentType string, body []byte) {
		a := bellwether.Answer{
			Status: status, Body: body, Time: now,
			Header: http.Header{"Retry-After": {retry}, "Content-Type": {contentType}},
		}
		for _, p := range []*oauth.Provider{plain, slack} {
			got, err := p.Parse(planted, a)
			checkTokens(t, p == slack, got, err, a)
			checkError(t, err, got)
			checkError(t, p.ParseRevoke(planted, a), got)
		}
		plain.Rejects(status, body)
		slack.Rejects(status, body)
	})
}

func checkTokens(t *testing.T, nested bool, got bellwether.Token, err error, a bellwether.Answer) {
	t.Helper()
	if err == nil && got.AccessToken.IsZero() {
		t.Error("neither an error nor an access token")
	}
	if !got.ExpiresAt.IsZero() && (got.ExpiresAt.Before(now) || got.ExpiresAt.After(now.Add(3651*24*time.Hour))) {
		t.Errorf("ExpiresAt %v", got.ExpiresAt)
	}
	var m map[string]any
	if a.Status < 200 || a.Status > 299 || json.Unmarshal(a.Body, &m) != nil {
		return
	}
	want, _ := m["refresh_token"].(string)
	if in, _ := m["authed_user"].(map[string]any); nested && in != nil {
		access, _ := in["access_token"].(string)
		refresh, _ := in["refresh_token"].(string)
		if access != "" || refresh != "" {
			want = refresh
		}
	}
	if got.RefreshToken.Reveal() != want {
		t.Errorf("refresh token %q, want %q", got.RefreshToken.Reveal(), want)
	}
}

func checkError(t *testing.T, err error, got bellwether.Token) {
	t.Helper()
	if err == nil {
		return
	}
	e, ok := errors.AsType[*bellwether.ProviderError](err)
	if !ok {
		t.Fatalf("error %v is no *ProviderError", err)
	}
	if e.Class == bellwether.ClassRefused && e.Code != "invalid_grant" && e.Code != "invalid_refresh_token" && e.Code != "invalid_code" {
		t.Errorf("code %q refuses", e.Code)
	}
	if len(e.Code) > 64 || strings.ContainsFunc(e.Code, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("code %q", e.Code)
	}
	if e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour {
		t.Errorf("pause %v", e.RetryAfter)
	}
	for _, s := range []bellwether.Secret{planted.ClientSecret, planted.RefreshToken, planted.AccessToken, planted.Extra["code_verifier"]} {
		if strings.Contains(err.Error(), s.Reveal()) {
			t.Errorf("a planted secret in %q", err)
		}
	}
	if s := got.RefreshToken.Reveal(); len(s) > 12 && strings.Contains(e.Code, s) {
		t.Errorf("the answer's refresh token in %q", e.Code)
	}
}
