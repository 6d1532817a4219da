package oauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/oauth"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func answer(status int, body string) bellwether.Answer {
	return bellwether.Answer{Status: status, Body: []byte(body), Time: now}
}

// same compares secrets by their text.
var same = cmp.Comparer(func(a, b bellwether.Secret) bool { return a.Equal(b) })

func TestParseTokens(t *testing.T) {
	full := bellwether.Token{
		AccessToken: secret("at"), RefreshToken: secret("rt"), TokenType: "Bearer",
		Scopes: []string{"a", "b"}, IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	with := func(edit func(*bellwether.Token)) bellwether.Token {
		t := full.Clone()
		edit(&t)
		return t
	}
	const head = `"access_token":"at","refresh_token":"rt","token_type":"Bearer","scope":"a b"`
	for _, tc := range []struct {
		name string
		cfg  oauth.Config
		body string
		want bellwether.Token
	}{
		{"number", oauth.Config{}, `{` + head + `,"expires_in":3600}`, full},
		{"string", oauth.Config{}, `{` + head + `,"expires_in":"3600"}`, full},
		{"float", oauth.Config{}, `{` + head + `,"expires_in":3600.0}`, full},
		{"scope array", oauth.Config{}, `{"access_token":"at","refresh_token":"rt","token_type":"Bearer","scope":["a",7,"b",""],"expires_in":3600}`, full},
		{"null error", oauth.Config{}, `{` + head + `,"expires_in":3600,"error":null}`, full},
		{"blank error", oauth.Config{}, `{` + head + `,"expires_in":3600,"error":""}`, full},
		{"absent life", oauth.Config{}, `{` + head + `}`,
			with(func(t *bellwether.Token) { t.ExpiresAt = time.Time{} })},
		{"null life", oauth.Config{}, `{` + head + `,"expires_in":null}`,
			with(func(t *bellwether.Token) { t.ExpiresAt = time.Time{} })},
		{"negative life", oauth.Config{}, `{` + head + `,"expires_in":-1}`,
			with(func(t *bellwether.Token) { t.ExpiresAt = time.Time{} })},
		{"huge life", oauth.Config{}, `{` + head + `,"expires_in":1e300}`,
			with(func(t *bellwether.Token) { t.ExpiresAt = now.Add(3650 * 24 * time.Hour) })},
		{"no refresh token", oauth.Config{}, `{"access_token":"at","token_type":"Bearer","scope":"a b","expires_in":3600,"refresh_token":null}`,
			with(func(t *bellwether.Token) { t.RefreshToken = secret("") })},
		{"refresh_token_expires_in", oauth.Config{}, `{` + head + `,"expires_in":3600,"refresh_token_expires_in":"86400"}`,
			with(func(t *bellwether.Token) { t.RefreshExpiresAt = now.Add(24 * time.Hour) })},
		{"refresh_expires_in", oauth.Config{}, `{` + head + `,"expires_in":3600,"refresh_expires_in":86400}`,
			with(func(t *bellwether.Token) { t.RefreshExpiresAt = now.Add(24 * time.Hour) })},
		{"offline refresh_expires_in", oauth.Config{}, `{` + head + `,"expires_in":3600,"refresh_expires_in":0}`, full},
		{"x_refresh_token_expires_in", oauth.Config{}, `{` + head + `,"expires_in":3600,"x_refresh_token_expires_in":8726400}`,
			with(func(t *bellwether.Token) { t.RefreshExpiresAt = now.Add(101 * 24 * time.Hour) })},
		{"extras", oauth.Config{}, `{` + head + `,"expires_in":3600,"id_token":"jwt","realmId":4620816365,"team":{"id":"T1"},"nothing":null,"code_verifier":"no","flag":true}`,
			with(func(t *bellwether.Token) {
				t.Extra = map[string]bellwether.Secret{
					"id_token": secret("jwt"), "realmId": secret("4620816365"), "team": secret(`{"id":"T1"}`), "flag": secret("true"),
				}
			})},
		{"form", oauth.Config{ScopeSeparator: ","}, `access_token=at&refresh_token=rt&token_type=Bearer&scope=a%2Cb&expires_in=3600`, full},
		{"Slack's bot", oauth.Slack(), `{"ok":true,` + strings.Replace(head, "a b", "a,b", 1) + `,"expires_in":3600}`, full},
		{"Slack's user", slackUser(), `{"ok":true,"access_token":"bot","refresh_token":"bot-rt","expires_in":1,"app_id":"A1","authed_user":{` + head + `,"expires_in":3600,"id":"U1"}}`,
			with(func(t *bellwether.Token) {
				t.Extra = map[string]bellwether.Secret{"app_id": secret("A1"), "id": secret("U1")}
			})},
		{"Slack's user at the top", slackUser(), `{"ok":true,` + head + `,"expires_in":3600,"authed_user":{"id":"U1"}}`, full},
		{"instance_url", oauth.Salesforce("https://login.salesforce.com"), `{` + head + `,"expires_in":3600,"instance_url":"https://X.my.salesforce.com"}`,
			with(func(t *bellwether.Token) {
				t.APIDomain = "https://x.my.salesforce.com"
				t.Extra = map[string]bellwether.Secret{"instance_url": secret("https://X.my.salesforce.com")}
			})},
		{"instance_url without TLS", oauth.Salesforce("https://login.salesforce.com"), `{` + head + `,"expires_in":3600,"instance_url":"http://x.my.salesforce.com"}`,
			with(func(t *bellwether.Token) {
				t.Extra = map[string]bellwether.Secret{"instance_url": secret("http://x.my.salesforce.com")}
			})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := mustNew(t, tc.cfg).Parse(bellwether.Token{}, answer(200, tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got, same); d != "" {
				t.Errorf("token (-want +got):\n%s", d)
			}
		})
	}
}

func slackUser() oauth.Config {
	c := oauth.Slack()
	c.TokenField = "authed_user"
	return c
}

func TestParseKeepsTokensOfABrokenAnswer(t *testing.T) {
	for _, tc := range []struct {
		name    string
		status  int
		body    string
		access  string
		refresh string
		class   bellwether.Class
	}{
		{"expires_in", 200, `{"access_token":"at-1","refresh_token":"rt-1","expires_in":"soon"}`, "at-1", "rt-1", bellwether.ClassUnknown},
		{"refresh life", 200, `{"access_token":"at-1","refresh_token":"rt-1","refresh_expires_in":{}}`, "at-1", "rt-1", bellwether.ClassUnknown},
		{"cut behind the tokens", 200, `{"access_token":"at-1","refresh_token":"rt-1","expi`, "at-1", "rt-1", bellwether.ClassUnknown},
		{"cut in the refresh token", 200, `{"access_token":"at-1","refresh_token":"rt-`, "at-1", "", bellwether.ClassUnknown},
		{"cut in the access token", 200, `{"refresh_token":"rt-1","access_token":"at-`, "", "rt-1", bellwether.ClassUnusable},
		{"garbage behind the tokens", 200, `{"refresh_token":"rt-1","access_token":"at-1",%%%`, "at-1", "rt-1", bellwether.ClassUnknown},
		{"no access token", 200, `{"refresh_token":"rt-1","expires_in":3600}`, "", "rt-1", bellwether.ClassUnusable},
		{"access token of another type", 200, `{"access_token":{"t":1},"refresh_token":"rt-1"}`, "", "rt-1", bellwether.ClassUnusable},
		{"access token that no header can hold", 200, `{"access_token":"a\nb","refresh_token":"rt-1"}`, "", "rt-1", bellwether.ClassUnusable},
		{"tokens and an error", 200, `{"access_token":"at-1","refresh_token":"rt-1","error":"invalid_grant"}`, "at-1", "rt-1", bellwether.ClassUnknown},
		{"tokens under status 500", 500, `{"access_token":"at-1","refresh_token":"rt-1"}`, "at-1", "rt-1", bellwether.ClassUnknown},
		{"form with a bad pair", 200, `access_token=at-1&refresh_token=rt-1&x=%zz`, "at-1", "rt-1", bellwether.ClassUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := mustNew(t, oauth.Config{}).Parse(bellwether.Token{RefreshToken: secret("rt-0")}, answer(tc.status, tc.body))
			e, ok := errors.AsType[*bellwether.ProviderError](err)
			if !ok || e.Class != tc.class || e.Hint == "" {
				t.Errorf("error %v, want class %q and a hint", err, tc.class)
			}
			if got.AccessToken.Reveal() != tc.access || got.RefreshToken.Reveal() != tc.refresh {
				t.Errorf("tokens %q and %q, want %q and %q",
					got.AccessToken.Reveal(), got.RefreshToken.Reveal(), tc.access, tc.refresh)
			}
		})
	}
}

// TestParseOfEveryCut cuts a good answer at every byte: from the end of the
// refresh token on it is never lost.
func TestParseOfEveryCut(t *testing.T) {
	const body = `{"refresh_token":"rt-1","access_token":"at-1","expires_in":3600,"x":[1,{"y":"z"}]}`
	p := mustNew(t, oauth.Config{})
	refreshEnd := strings.Index(body, `,"access`)
	accessEnd := strings.Index(body, `,"expires`)
	for n := range len(body) + 1 {
		got, err := p.Parse(bellwether.Token{}, answer(200, body[:n]))
		if (err == nil) != (n == len(body)) {
			t.Errorf("%d bytes: error %v", n, err)
		}
		if has := !got.RefreshToken.IsZero(); has != (n >= refreshEnd) {
			t.Errorf("%d bytes: refresh token found: %v", n, has)
		}
		if has := !got.AccessToken.IsZero(); has != (n >= accessEnd) {
			t.Errorf("%d bytes: access token found: %v", n, has)
		}
	}
}

func TestParseErrors(t *testing.T) {
	type verdict struct {
		Class   bellwether.Class
		Concern bellwether.Concern
		Code    string
		Retry   time.Duration
	}
	const (
		tok    = bellwether.ConcernToken
		client = bellwether.ConcernClient
	)
	plain := oauth.Config{}
	for _, tc := range []struct {
		cfg    oauth.Config
		status int
		retry  string
		body   string
		want   verdict
	}{
		// RFC 6749 section 5.2
		{plain, 400, "", `{"error":"invalid_request"}`, verdict{bellwether.ClassConfig, tok, "invalid_request", 0}},
		{plain, 401, "", `{"error":"invalid_client"}`, verdict{bellwether.ClassConfig, client, "invalid_client", 0}},
		{plain, 400, "", `{"error":"invalid_grant"}`, verdict{bellwether.ClassRefused, tok, "invalid_grant", 0}},
		{plain, 403, "", `{"error":"invalid_grant"}`, verdict{bellwether.ClassRefused, tok, "invalid_grant", 0}}, // Auth0
		{plain, 400, "", `{"error":"unauthorized_client"}`, verdict{bellwether.ClassConfig, client, "unauthorized_client", 0}},
		{plain, 400, "", `{"error":"unsupported_grant_type"}`, verdict{bellwether.ClassConfig, tok, "unsupported_grant_type", 0}},
		{plain, 400, "", `{"error":"invalid_scope"}`, verdict{bellwether.ClassConfig, tok, "invalid_scope", 0}},
		{plain, 400, "", `error=invalid_grant&error_description=gone`, verdict{bellwether.ClassRefused, tok, "invalid_grant", 0}},
		// the code must be the member, not a word of the body
		{plain, 400, "", `{"error":"other","error_description":"invalid_grant"}`, verdict{bellwether.ClassUnknown, tok, "other", 0}},
		{plain, 400, "", `invalid_grant`, verdict{bellwether.ClassUnknown, tok, "", 0}},
		{plain, 400, "", `["invalid_grant"]`, verdict{bellwether.ClassUnknown, tok, "", 0}},
		// throttles
		{plain, 429, "30", ``, verdict{bellwether.ClassThrottled, client, "", 30 * time.Second}},
		{plain, 429, "Mon, 23 Nov 2026 12:01:00 GMT", `{"error":"x"}`, verdict{bellwether.ClassThrottled, client, "x", time.Minute}},
		{plain, 429, "soon", `<html>`, verdict{bellwether.ClassThrottled, client, "", 0}},
		// nothing is known
		{plain, 500, "", `{"error":"temporarily_unavailable"}`, verdict{bellwether.ClassUnknown, tok, "temporarily_unavailable", 0}},
		{plain, 503, "7", `{}`, verdict{bellwether.ClassUnknown, tok, "", 7 * time.Second}},
		{plain, 502, "", `<html>Bad Gateway</html>`, verdict{bellwether.ClassUnknown, tok, "", 0}},
		{plain, 200, "", `<!DOCTYPE html>`, verdict{bellwether.ClassUnknown, tok, "", 0}},
		{plain, 302, "", ``, verdict{bellwether.ClassUnknown, tok, "", 0}},
		{plain, 404, "", `not found`, verdict{bellwether.ClassUnknown, tok, "", 0}},
		// a success that is none
		{plain, 200, "", `{}`, verdict{bellwether.ClassUnusable, tok, "", 0}},
		{plain, 200, "", ``, verdict{bellwether.ClassUnusable, tok, "", 0}},
		{plain, 200, "", `{"access_token":""}`, verdict{bellwether.ClassUnusable, tok, "", 0}},
		{plain, 200, "", `{"access_token":7}`, verdict{bellwether.ClassUnusable, tok, "", 0}},
		// errors in a success
		{oauth.Slack(), 200, "", `{"ok":false,"error":"invalid_refresh_token"}`, verdict{bellwether.ClassRefused, tok, "invalid_refresh_token", 0}},
		{oauth.Slack(), 200, "", `{"ok":false,"error":"bad_client_secret"}`, verdict{bellwether.ClassConfig, client, "bad_client_secret", 0}},
		{oauth.Slack(), 200, "", `{"ok":false,"error":"internal_error"}`, verdict{bellwether.ClassUnknown, tok, "internal_error", 0}},
		{oauth.Slack(), 200, "", `{"ok":false,"error":"ratelimited"}`, verdict{bellwether.ClassThrottled, client, "ratelimited", 0}},
		// errors in another member
		{oauth.HubSpot(), 400, "", `{"status":"BAD_REFRESH_TOKEN","message":"…"}`, verdict{bellwether.ClassRefused, tok, "BAD_REFRESH_TOKEN", 0}},
		{plain, 400, "", `{"status":"BAD_REFRESH_TOKEN"}`, verdict{bellwether.ClassUnknown, tok, "", 0}},
		{plain, 400, "", `{"error":{"code":190,"type":"OAuthException"}}`, verdict{bellwether.ClassUnknown, tok, "OAuthException", 0}},
		{oauth.Atlassian(), 403, "", `{"error":"access_denied"}`, verdict{bellwether.ClassConfig, client, "access_denied", 0}},
	} {
		t.Run(fmt.Sprintf("%d %.30s", tc.status, tc.body), func(t *testing.T) {
			a := answer(tc.status, tc.body)
			a.Header = http.Header{}
			if tc.retry != "" {
				a.Header.Set("Retry-After", tc.retry)
			}
			got, err := mustNew(t, tc.cfg).Parse(bellwether.Token{}, a)
			e, ok := errors.AsType[*bellwether.ProviderError](err)
			if !ok {
				t.Fatalf("error %v is no *ProviderError", err)
			}
			if d := cmp.Diff(tc.want, verdict{e.Class, e.Concern, e.Code, e.RetryAfter}); d != "" {
				t.Errorf("verdict (-want +got):\n%s", d)
			}
			if e.Status != tc.status {
				t.Errorf("status %d, want %d", e.Status, tc.status)
			}
			if d := cmp.Diff(bellwether.Token{}, got, same); d != "" {
				t.Errorf("a token came with it:\n%s", d)
			}
		})
	}
}

func TestRejects(t *testing.T) {
	plain, slack := mustNew(t, oauth.Config{}), mustNew(t, oauth.Slack())
	for _, tc := range []struct {
		p      *oauth.Provider
		status int
		body   string
		want   bool
	}{
		{plain, 401, ``, true},
		{plain, 401, `{"error":"invalid_token"}`, true},
		{plain, 401, `<html>`, true},
		{plain, 401, `{"error":"insufficient_scope"}`, false},
		{plain, 403, `{"error":"invalid_token"}`, false},
		{plain, 400, `{"error":"invalid_token"}`, false},
		{plain, 200, ``, false},
		{plain, 500, ``, false},
		{slack, 200, `{"ok":false,"error":"token_expired"}`, true},
		{slack, 403, `{"ok":false,"error":"token_expired"}`, false},
		{slack, 200, `{"ok":false,"error":"missing_scope"}`, false},
		{slack, 200, `{"ok":true}`, false},
	} {
		if got := tc.p.Rejects(tc.status, []byte(tc.body)); got != tc.want {
			t.Errorf("%s %d %s: %v, want %v", tc.p.Name(), tc.status, tc.body, got, tc.want)
		}
	}
}
