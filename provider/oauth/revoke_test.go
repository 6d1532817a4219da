package oauth_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/oauth"
)

func TestRevokeRequest(t *testing.T) {
	tok := bellwether.Token{ClientID: "id", ClientSecret: secret("cs"), RefreshToken: secret("rt"), AccessToken: secret("at")}
	p := mustNew(t, oauth.Config{RevokeURL: "https://id.example/revoke", AuthStyle: oauth.AuthBasic})
	req, err := p.RevokeRequest(tok)
	if err != nil {
		t.Fatal(err)
	}
	if got := req.Method + " " + req.URL.String(); got != "POST https://id.example/revoke" {
		t.Errorf("request line %q", got)
	}
	want := map[string]string{"token": "rt", "token_type_hint": "refresh_token"}
	if d := cmp.Diff(want, sent(t, req)); d != "" {
		t.Errorf("parameters (-want +got):\n%s", d)
	}
	if _, _, ok := req.BasicAuth(); !ok {
		t.Error("the client did not identify itself")
	}
	tok.RefreshToken = secret("")
	if req, err = p.RevokeRequest(tok); err != nil {
		t.Fatal(err)
	}
	want = map[string]string{"token": "at", "token_type_hint": "access_token"}
	if d := cmp.Diff(want, sent(t, req)); d != "" {
		t.Errorf("parameters (-want +got):\n%s", d)
	}
	tok.AccessToken = secret("")
	if _, err := p.RevokeRequest(tok); !errors.Is(err, bellwether.ErrInvalid) {
		t.Errorf("nothing to revoke: %v, want ErrInvalid", err)
	}
	tok.RefreshToken, tok.AccountsURL = secret("rt"), "https://evil.example"
	if _, err := p.RevokeRequest(tok); !errors.Is(err, bellwether.ErrInvalid) {
		t.Errorf("another host: %v, want ErrInvalid", err)
	}
	if _, err := mustNew(t, oauth.Config{}).RevokeRequest(tok); !errors.Is(err, bellwether.ErrInvalid) {
		t.Errorf("no revocation URL: %v, want ErrInvalid", err)
	}
}

func TestParseRevoke(t *testing.T) {
	p := mustNew(t, oauth.Config{RevokeURL: "https://id.example/revoke"})
	for _, tc := range []struct {
		status int
		body   string
		want   bellwether.Class // "" is success
	}{
		{200, ``, ""},
		{200, `<html>`, ""},
		{204, ``, ""},
		{400, `{"error":"invalid_token"}`, ""},
		{400, `{"error":"invalid_grant"}`, ""},
		{200, `{"error":"invalid_client"}`, bellwether.ClassConfig},
		{400, `{"error":"unsupported_token_type"}`, bellwether.ClassConfig},
		{429, ``, bellwether.ClassThrottled},
		{503, ``, bellwether.ClassUnknown},
		{500, `{"error":"invalid_token"}`, bellwether.ClassUnknown},
		{404, ``, bellwether.ClassUnknown},
	} {
		err := p.ParseRevoke(bellwether.Token{}, answer(tc.status, tc.body))
		e, _ := errors.AsType[*bellwether.ProviderError](err)
		if (err == nil) != (tc.want == "") || err != nil && (e == nil || e.Class != tc.want) {
			t.Errorf("%d %s: %v, want class %q", tc.status, tc.body, err, tc.want)
		}
	}
}
