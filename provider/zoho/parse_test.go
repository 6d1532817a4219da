package zoho_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/zoho"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func answer(status int, body string) bellwether.Answer {
	return bellwether.Answer{Status: status, Body: []byte(body), Time: now}
}

// same compares secrets by their text.
var same = cmp.Comparer(func(a, b bellwether.Secret) bool { return a.Equal(b) })

// throttleBody is Zoho's answer to the eleventh refresh in ten minutes.
const throttleBody = `{"error_description":"You have made too many requests continuously. Please try again after some time.",` +
	`"error":"Access Denied","status":"failure"}`

func TestParseTokens(t *testing.T) {
	body := `{"access_token":"1000.a.b","refresh_token":"1000.c.d","scope":"ZohoCRM.modules.ALL ZohoCRM.org.READ",` +
		`"api_domain":"https://www.zohoapis.eu","token_type":"Bearer","expires_in":3600,"status":"success","id_token":"jwt","soid":"no"}`
	got, err := zoho.New(zoho.EU).Parse(row(), answer(200, body))
	if err != nil {
		t.Fatal(err)
	}
	want := bellwether.Token{
		AccessToken: secret("1000.a.b"), RefreshToken: secret("1000.c.d"), TokenType: "Bearer",
		Scopes: []string{"ZohoCRM.modules.ALL", "ZohoCRM.org.READ"}, APIDomain: "https://www.zohoapis.eu",
		IssuedAt: now, ExpiresAt: now.Add(time.Hour),
		Extra: map[string]bellwether.Secret{"id_token": secret("jwt")},
	}
	if d := cmp.Diff(want, got, same); d != "" {
		t.Errorf("token (-want +got):\n%s", d)
	}
}

func TestParseLife(t *testing.T) {
	for _, tc := range []struct {
		members string
		want    time.Duration // 0: not told
		bad     bool
	}{
		{`"expires_in":3600`, time.Hour, false},
		{`"expires_in":"3600"`, time.Hour, false},
		{`"expires_in":3600000,"expires_in_sec":3600`, time.Hour, false},
		{`"expires_in":3600000,"expires_in_sec":"3600"`, time.Hour, false},
		{`"expires_in":3600000`, time.Hour, false},
		{`"expires_in":3600000,"expires_in_sec":null`, time.Hour, false},
		{`"expires_in":3600000,"expires_in_sec":"soon"`, time.Hour, false},
		{`"expires_in":86400`, 24 * time.Hour, false},
		{`"expires_in":1e300`, 3650 * 24 * time.Hour, false},
		{`"expires_in":-1`, 0, false},
		{`"x":1`, 0, false},
		{`"expires_in":"soon"`, 0, true},
		{`"expires_in_sec":"soon"`, 0, true},
	} {
		got, err := zoho.New(zoho.US).Parse(row(), answer(200, `{"access_token":"at",`+tc.members+`}`))
		if (err != nil) != tc.bad || got.AccessToken.IsZero() {
			t.Errorf("%s: %+v, %v", tc.members, got, err)
		}
		var life time.Duration
		if !got.ExpiresAt.IsZero() {
			life = got.ExpiresAt.Sub(now)
		}
		if life != tc.want {
			t.Errorf("%s: life %v, want %v", tc.members, life, tc.want)
		}
	}
}

func TestForeignAPIDomainIsDroppedAndTheTokensKept(t *testing.T) {
	for _, domain := range []string{
		`"https://evil.example"`, `"https://www.zohoapis.com"`, // another data centre
		`"http://www.zohoapis.eu"`, `"https://www.zohoapis.eu:8443"`, `"https://www.zohoapis.eu@evil.example"`,
		`"https://www.zohoapis.eu.evil.example"`, `"https://www.zohoapis.eu/crm"`, `"www.zohoapis.eu"`, `7`, `{"a":1}`,
	} {
		body := `{"access_token":"at","refresh_token":"rt-2","expires_in":3600,"api_domain":` + domain + `}`
		got, err := zoho.New(zoho.EU).Parse(row(), answer(200, body))
		e, ok := errors.AsType[*bellwether.ProviderError](err)
		if !ok || e.Class != bellwether.ClassUnknown || !strings.Contains(e.Hint, "api_domain") {
			t.Errorf("%s: error %v, want a hint about api_domain", domain, err)
		}
		if err != nil && strings.Contains(err.Error(), "evil") {
			t.Errorf("%s: the answer's text in %q", domain, err)
		}
		want := bellwether.Token{
			AccessToken: secret("at"), RefreshToken: secret("rt-2"), IssuedAt: now, ExpiresAt: now.Add(time.Hour),
		}
		if d := cmp.Diff(want, got, same); d != "" {
			t.Errorf("%s: token (-want +got):\n%s", domain, d)
		}
	}
}

// TestErrorTable sends each code with status 200 and 400, as Zoho does, and with
// 500, which proves nothing but a refusal.
func TestErrorTable(t *testing.T) {
	type verdict struct {
		Class   bellwether.Class
		Concern bellwether.Concern
		Retry   time.Duration
	}
	const (
		tok    = bellwether.ConcernToken
		client = bellwether.ConcernClient
	)
	unknown := verdict{bellwether.ClassUnknown, tok, 0}
	for _, tc := range []struct {
		code string
		body string // blank: {"error": code}
		want verdict
	}{
		{"invalid_code", "", verdict{bellwether.ClassRefused, tok, 0}},
		{"invalid_client", "", verdict{bellwether.ClassConfig, client, 0}},
		{"invalid_client_secret", "", verdict{bellwether.ClassConfig, client, 0}},
		{"invalid_redirect_uri", "", verdict{bellwether.ClassConfig, tok, 0}},
		{"Access Denied", throttleBody, verdict{bellwether.ClassThrottled, tok, time.Minute}},
		{"access_denied", "", verdict{bellwether.ClassConfig, tok, 0}},
		{"general_error", "", unknown},
		{"missing_org_info", "", verdict{bellwether.ClassConfig, tok, 0}},
		{"invalid_scope", "", verdict{bellwether.ClassConfig, tok, 0}},
		{"never heard of", "", unknown},
	} {
		body := tc.body
		if body == "" {
			body = `{"error":"` + tc.code + `"}`
		}
		for _, status := range []int{200, 400, 500} {
			want := tc.want
			if status == 500 && want.Class != bellwether.ClassRefused {
				want = unknown
			}
			got, err := zoho.New(zoho.EU).Parse(row(), answer(status, body))
			e, ok := errors.AsType[*bellwether.ProviderError](err)
			if !ok {
				t.Fatalf("%s: %v is no *ProviderError", tc.code, err)
			}
			if d := cmp.Diff(want, verdict{e.Class, e.Concern, e.RetryAfter}); d != "" {
				t.Errorf("%s, status %d (-want +got):\n%s", tc.code, status, d)
			}
			if e.Code != tc.code || e.Hint == "" || e.Status != status || e.Provider != "zoho" {
				t.Errorf("%s, status %d: error %+v", tc.code, status, e)
			}
			if !got.AccessToken.IsZero() || !got.RefreshToken.IsZero() {
				t.Errorf("%s: a token came with it", tc.code)
			}
		}
	}
	_, err := zoho.New(zoho.EU).Parse(row(), answer(400, `{"error":"invalid_client"}`))
	if !strings.Contains(err.Error(), "data centre") {
		t.Errorf("%v does not mention the data centre", err)
	}
}

func TestAnswersWithoutACode(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
		want   bellwether.Class
	}{
		{200, ``, bellwether.ClassUnusable},
		{200, `{}`, bellwether.ClassUnusable},
		{200, `{"status":"failure"}`, bellwether.ClassUnusable},
		{200, `{"refresh_token":"rt-2"}`, bellwether.ClassUnusable},
		{200, `{"access_token":"a`, bellwether.ClassUnknown},
		{200, `<html>`, bellwether.ClassUnknown},
		{200, `access_token=at`, bellwether.ClassUnusable},
		{302, ``, bellwether.ClassUnknown},
		{400, `invalid_code`, bellwether.ClassUnknown},
		{404, `<html>`, bellwether.ClassUnknown},
		{429, ``, bellwether.ClassThrottled},
		{503, ``, bellwether.ClassUnknown},
	} {
		_, err := zoho.New(zoho.EU).Parse(row(), answer(tc.status, tc.body))
		e, ok := errors.AsType[*bellwether.ProviderError](err)
		if !ok || e.Class != tc.want {
			t.Errorf("%d %s: %v, want class %q", tc.status, tc.body, err, tc.want)
		}
	}
}

func TestThrottleHonoursRetryAfter(t *testing.T) {
	a := answer(200, throttleBody)
	a.Header = http.Header{"Retry-After": {"400"}}
	_, err := zoho.New(zoho.EU).Parse(row(), a)
	if e, ok := errors.AsType[*bellwether.ProviderError](err); !ok || e.RetryAfter != 400*time.Second {
		t.Errorf("error %v, want a pause of 400s", err)
	}
}

func TestRejects(t *testing.T) {
	p := zoho.New(zoho.EU)
	for _, tc := range []struct {
		status int
		body   string
		want   bool
	}{
		{401, `{"code":"INVALID_TOKEN","details":{},"message":"invalid oauth token","status":"error"}`, true},
		{400, `{"code":"INVALID_TOKEN","message":"invalid oauth token","status":"error"}`, true}, // Phonebridge
		{401, `{"code":"AUTHENTICATION_FAILURE","message":"Authentication failed"}`, true},
		{401, `{"code":"AUTHENTICATION_FAILED"}`, true},
		{401, `{"code":"INVALID_OAUTHTOKEN"}`, true},
		{400, `{"code":"AUTHENTICATION_FAILURE"}`, false},
		{401, `{"code":"OAUTH_SCOPE_MISMATCH","message":"invalid scope"}`, false},
		{401, `{"code":"OAUTH_SCOPE_MISMATCH","message":"INVALID_TOKEN"}`, false},
		{403, `{"code":"NO_PERMISSION"}`, false},
		{403, `{"code":"INVALID_TOKEN"}`, false},
		{500, `{"code":"INVALID_TOKEN"}`, false},
		{200, `{"code":"INVALID_TOKEN"}`, false},
		{400, `{"code":"INVALID_DATA"}`, false},
		{401, ``, false},
		{401, `<html>INVALID_TOKEN</html>`, false},
	} {
		if got := p.Rejects(tc.status, []byte(tc.body)); got != tc.want {
			t.Errorf("%d %s: %v, want %v", tc.status, tc.body, got, tc.want)
		}
	}
}

func TestRevoke(t *testing.T) {
	p := zoho.New(zoho.EU)
	tok := row()
	tok.AccessToken, tok.AccountsURL = secret("1000.at.at"), "https://accounts.zohocloud.ca"
	req, err := p.RevokeRequest(tok)
	if err != nil {
		t.Fatal(err)
	}
	if got := req.Method + " " + req.URL.String(); got != "POST https://accounts.zohocloud.ca/oauth/v2/token/revoke" {
		t.Errorf("request line %q", got)
	}
	if d := cmp.Diff(map[string]string{"token": "1000.rt.rt"}, sent(t, req)); d != "" {
		t.Errorf("parameters (-want +got):\n%s", d)
	}
	tok.RefreshToken = secret("")
	if req, err = p.RevokeRequest(tok); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"token": "1000.at.at"}, sent(t, req)); d != "" {
		t.Errorf("parameters (-want +got):\n%s", d)
	}
	tok.AccessToken = secret("")
	if _, err := p.RevokeRequest(tok); !errors.Is(err, bellwether.ErrInvalid) {
		t.Errorf("nothing to revoke: %v, want ErrInvalid", err)
	}
	tok.AccountsURL = "https://evil.example"
	if _, err := p.RevokeRequest(tok); !errors.Is(err, bellwether.ErrInvalid) {
		t.Errorf("foreign host: %v, want ErrInvalid", err)
	}
	for _, tc := range []struct {
		status int
		body   string
		want   bellwether.Class // "" is success
	}{
		{200, `{"status":"success"}`, ""},
		{400, ``, ""},
		{400, `{"status":"failure"}`, ""},
		{400, `{"error":"invalid_code"}`, ""},
		{200, `{"error":"invalid_code"}`, ""},
		{200, `{"status":"failure"}`, bellwether.ClassUnusable},
		{400, throttleBody, bellwether.ClassThrottled},
		{400, `<html>`, bellwether.ClassUnknown},
		{401, `{}`, bellwether.ClassUnknown},
		{500, `{"status":"success"}`, bellwether.ClassUnknown},
	} {
		err := p.ParseRevoke(row(), answer(tc.status, tc.body))
		e, _ := errors.AsType[*bellwether.ProviderError](err)
		if (err == nil) != (tc.want == "") || err != nil && (e == nil || e.Class != tc.want) {
			t.Errorf("%d %s: %v, want class %q", tc.status, tc.body, err, tc.want)
		}
	}
}
