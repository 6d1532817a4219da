package zoho_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/zoho"
)

// FuzzParse: whatever the answer, no panic; a refresh token in a readable
// success is never lost; an api_domain is one of the table; the throttle is never
// a refusal; and no error shows a secret.
func FuzzParse(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"at","refresh_token":"rt","api_domain":"https://www.zohoapis.eu","expires_in":3600}`,
		`{"access_token":"at","refresh_token":"rt","api_domain":"https://evil.example","expires_in":3600000}`,
		`{"access_token":"at","expires_in_sec":3600,"expires_in":3600000}`,
		`{"error":"planted-refresh-token"}`, `{"error":"invalid_code"}`, throttleBody,
		`{"access_token":"at","refresh_tok`, `<html>`, ``, `null`,
	} {
		for _, status := range []int{200, 400, 500} {
			f.Add(status, []byte(body))
		}
	}
	p := zoho.New(zoho.EU)
	planted := bellwether.Token{
		ClientID: "id", ClientSecret: secret("planted-client-secret"),
		RefreshToken: secret("planted-refresh-token"), AccessToken: secret("planted-access-token"),
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		got, err := p.Parse(planted, bellwether.Answer{Status: status, Body: body, Time: now})
		if err == nil && got.AccessToken.IsZero() {
			t.Error("neither an error nor an access token")
		}
		if d := got.APIDomain; d != "" && !strings.HasSuffix(d, ".zohoapis.eu") {
			t.Errorf("api_domain %q", d)
		}
		if !got.ExpiresAt.IsZero() && (got.ExpiresAt.Before(now) || got.ExpiresAt.After(now.Add(3651*24*time.Hour))) {
			t.Errorf("ExpiresAt %v", got.ExpiresAt)
		}
		var m map[string]any
		if status >= 200 && status < 300 && json.Unmarshal(body, &m) == nil {
			if want, _ := m["refresh_token"].(string); got.RefreshToken.Reveal() != want {
				t.Errorf("refresh token %q, want %q", got.RefreshToken.Reveal(), want)
			}
		}
		for _, err := range []error{err, p.ParseRevoke(planted, bellwether.Answer{Status: status, Body: body, Time: now})} {
			if err == nil {
				continue
			}
			e, ok := errors.AsType[*bellwether.ProviderError](err)
			if !ok {
				t.Fatalf("error %v is no *ProviderError", err)
			}
			if e.Class == bellwether.ClassRefused && e.Code != "invalid_code" && e.Code != "invalid_grant" {
				t.Errorf("code %q refuses", e.Code)
			}
			for _, s := range []bellwether.Secret{planted.ClientSecret, planted.RefreshToken, planted.AccessToken} {
				if strings.Contains(err.Error(), s.Reveal()) {
					t.Errorf("a planted secret in %q", err)
				}
			}
		}
	})
}

// FuzzRejects: whatever an API answers, no panic, and only the listed codes with
// status 400 and 401 cost a refresh.
func FuzzRejects(f *testing.F) {
	f.Add(401, []byte(`{"code":"INVALID_TOKEN"}`))
	f.Add(401, []byte(`{"code":"OAUTH_SCOPE_MISMATCH"}`))
	f.Add(400, []byte(`{"code":"INVALID_TOKEN","data":[`))
	f.Add(403, []byte(`{"code":"NO_PERMISSION"}`))
	f.Add(401, []byte(`<html>`))
	p := zoho.New(zoho.EU)
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if !p.Rejects(status, body) {
			return
		}
		if status != 400 && status != 401 {
			t.Errorf("status %d rejects", status)
		}
		if !strings.Contains(string(body), "INVALID_") && !strings.Contains(string(body), "AUTHENTICATION_FAIL") &&
			!strings.Contains(string(body), `\u`) {
			t.Errorf("%q rejects", body)
		}
	})
}
