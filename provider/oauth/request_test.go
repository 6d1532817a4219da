package oauth_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/oauth"
)

func secret(s string) bellwether.Secret { return bellwether.NewSecret(s) }

func mustNew(t testing.TB, cfg oauth.Config) *oauth.Provider {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "crm"
	}
	if cfg.TokenURL == "" {
		cfg.TokenURL = "https://id.example/oauth/token"
	}
	p, err := oauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sent returns the parameters that stand in a request's body.
func sent(t *testing.T, req *http.Request) map[string]string {
	t.Helper()
	b, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	if req.Header.Get("Content-Type") == "application/json" {
		if err := json.Unmarshal(b, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	v, err := url.ParseQuery(string(b))
	if err != nil {
		t.Fatal(err)
	}
	for k := range v {
		out[k] = strings.Join(v[k], "|")
	}
	return out
}

func TestRequest(t *testing.T) {
	client := bellwether.Token{ClientID: "id", ClientSecret: secret("se&cret")}
	with := func(edit func(*bellwether.Token)) bellwether.Token {
		t := client
		edit(&t)
		return t
	}
	for _, tc := range []struct {
		name  string
		cfg   oauth.Config
		token bellwether.Token
		want  map[string]string
	}{
		{
			"refresh token", oauth.Config{},
			with(func(t *bellwether.Token) {
				t.RefreshToken = secret("r/t+1")
				t.GrantToken = secret("code")
				t.Scopes = []string{"granted"}
			}),
			map[string]string{"grant_type": "refresh_token", "refresh_token": "r/t+1", "client_id": "id", "client_secret": "se&cret"},
		},
		{
			"refresh token with scopes and parameters",
			oauth.Config{Scopes: []string{"a", "b"}, Params: map[string]string{"audience": "api"}},
			with(func(t *bellwether.Token) { t.RefreshToken = secret("rt") }),
			map[string]string{"grant_type": "refresh_token", "refresh_token": "rt", "scope": "a b", "audience": "api",
				"client_id": "id", "client_secret": "se&cret"},
		},
		{
			"code with PKCE", oauth.Config{Scopes: []string{"a"}},
			with(func(t *bellwether.Token) {
				t.GrantToken = secret("code")
				t.RedirectURL = "https://app.example/cb"
				t.Extra = map[string]bellwether.Secret{oauth.ExtraCodeVerifier: secret("verifier")}
			}),
			map[string]string{"grant_type": "authorization_code", "code": "code", "redirect_uri": "https://app.example/cb",
				"code_verifier": "verifier", "client_id": "id", "client_secret": "se&cret"},
		},
		{
			"code of a public client by Basic", oauth.Config{AuthStyle: oauth.AuthBasic},
			bellwether.Token{ClientID: "id", GrantToken: secret("code")},
			map[string]string{"grant_type": "authorization_code", "code": "code", "client_id": "id"},
		},
		{
			"client credentials with the token's scopes", oauth.Config{ScopeSeparator: ","},
			with(func(t *bellwether.Token) { t.Scopes = []string{"x", "y"} }),
			map[string]string{"grant_type": "client_credentials", "scope": "x,y", "client_id": "id", "client_secret": "se&cret"},
		},
		{
			"client credentials with the provider's scopes", oauth.Config{Scopes: []string{"p"}},
			with(func(t *bellwether.Token) { t.Scopes = []string{"x"} }),
			map[string]string{"grant_type": "client_credentials", "scope": "p", "client_id": "id", "client_secret": "se&cret"},
		},
		{
			"Basic", oauth.Config{AuthStyle: oauth.AuthBasic},
			with(func(t *bellwether.Token) { t.RefreshToken = secret("rt") }),
			map[string]string{"grant_type": "refresh_token", "refresh_token": "rt"},
		},
		{
			"JSON", oauth.Config{BodyFormat: oauth.BodyJSON},
			with(func(t *bellwether.Token) { t.RefreshToken = secret(`r"t<`) }),
			map[string]string{"grant_type": "refresh_token", "refresh_token": `r"t<`, "client_id": "id", "client_secret": "se&cret"},
		},
		{
			"accounts URL of its own", oauth.Config{},
			with(func(t *bellwether.Token) { t.RefreshToken = secret("rt"); t.AccountsURL = "https://ID.example:443/" }),
			map[string]string{"grant_type": "refresh_token", "refresh_token": "rt", "client_id": "id", "client_secret": "se&cret"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := mustNew(t, tc.cfg).Request(tc.token)
			if err != nil {
				t.Fatal(err)
			}
			if got := req.Method + " " + req.URL.String(); got != "POST https://id.example/oauth/token" {
				t.Errorf("request line %q", got)
			}
			if d := cmp.Diff(tc.want, sent(t, req)); d != "" {
				t.Errorf("parameters (-want +got):\n%s", d)
			}
			user, pass, basic := req.BasicAuth()
			wantBasic := tc.cfg.AuthStyle == oauth.AuthBasic && !tc.token.ClientSecret.IsZero()
			if basic != wantBasic || basic && (user != "id" || pass != "se%26cret") {
				t.Errorf("Basic %v %q %q", basic, user, pass)
			}
			if got := req.Header.Get("Accept"); got != "application/json" {
				t.Errorf("Accept %q", got)
			}
		})
	}
}

func TestRequestThatCannotBeBuilt(t *testing.T) {
	good := bellwether.Token{ID: "row-1", ClientID: "id", ClientSecret: secret("hush-hush"), RefreshToken: secret("r-token")}
	for _, tc := range []struct {
		name string
		edit func(*bellwether.Token)
	}{
		{"no client id", func(t *bellwether.Token) { t.ClientID = "" }},
		{"no credential", func(t *bellwether.Token) { t.RefreshToken, t.ClientSecret = secret(""), secret("") }},
		{"a user's token never becomes the application's", func(t *bellwether.Token) {
			t.RefreshToken = secret("")
			t.AccessToken = secret("at")
			t.RedirectURL = "https://app.example/cb"
		}},
		{"another host", func(t *bellwether.Token) { t.AccountsURL = "https://evil.example" }},
		{"another port", func(t *bellwether.Token) { t.AccountsURL = "https://id.example:8443" }},
		{"another scheme", func(t *bellwether.Token) { t.AccountsURL = "http://id.example" }},
		{"user info", func(t *bellwether.Token) { t.AccountsURL = "https://id.example@evil.example" }},
		{"a path", func(t *bellwether.Token) { t.AccountsURL = "https://id.example/other" }},
		{"no URL", func(t *bellwether.Token) { t.AccountsURL = "\x7f" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tok := good
			tc.edit(&tok)
			_, err := mustNew(t, oauth.Config{}).Request(tok)
			e, ok := errors.AsType[*bellwether.Error](err)
			if !ok || !errors.Is(err, bellwether.ErrInvalid) || e.Hint == "" || e.ID != "row-1" {
				t.Fatalf("error %v, want an ErrInvalid with a hint for row-1", err)
			}
			if s := err.Error(); strings.Contains(s, "hush-hush") || strings.Contains(s, "r-token") {
				t.Errorf("a secret in %q", s)
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := oauth.Config{Name: "crm", TokenURL: "https://id.example/token"}
	for _, tc := range []struct {
		name string
		edit func(*oauth.Config)
	}{
		{"no name", func(c *oauth.Config) { c.Name = "" }},
		{"name in capitals", func(c *oauth.Config) { c.Name = "CRM" }},
		{"no token URL", func(c *oauth.Config) { c.TokenURL = "" }},
		{"http", func(c *oauth.Config) { c.TokenURL = "http://id.example/token" }},
		{"http for revocation", func(c *oauth.Config) { c.RevokeURL = "http://id.example/revoke" }},
		{"fragment", func(c *oauth.Config) { c.TokenURL += "#x" }},
		{"auth style", func(c *oauth.Config) { c.AuthStyle = "auto" }},
		{"body format", func(c *oauth.Config) { c.BodyFormat = "xml" }},
		{"protocol parameter", func(c *oauth.Config) { c.Params = map[string]string{"grant_type": "password"} }},
		{"class of a code", func(c *oauth.Config) {
			c.Errors = map[string]oauth.Rule{"x": {Class: bellwether.ClassTransport}}
		}},
		{"concern of a code", func(c *oauth.Config) {
			c.Errors = map[string]oauth.Rule{"x": {Class: bellwether.ClassConfig, Concern: "world"}}
		}},
		{"rotation", func(c *oauth.Config) { c.Rotation = "sometimes" }},
		{"grace without its time", func(c *oauth.Config) { c.Rotation = bellwether.RotationGrace }},
		{"grace time alone", func(c *oauth.Config) { c.Grace = 1 }},
		{"negative life", func(c *oauth.Config) { c.DefaultLife = -1 }},
		{"scheme with a space", func(c *oauth.Config) { c.HeaderScheme = "Bearer x" }},
		{"quota of none", func(c *oauth.Config) { c.Quotas = []bellwether.Quota{{N: 0, Per: 1}} }},
		{"quota too large", func(c *oauth.Config) { c.Quotas = []bellwether.Quota{{N: 101, Per: 1}} }},
		{"five quotas", func(c *oauth.Config) {
			c.Quotas = slices.Repeat([]bellwether.Quota{{N: 1, Per: 1}}, 5)
		}},
	} {
		cfg := good
		tc.edit(&cfg)
		if _, err := oauth.New(cfg); !errors.Is(err, bellwether.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", tc.name, err)
		}
	}
}

func TestProfile(t *testing.T) {
	p := mustNew(t, oauth.Config{TokenURL: "https://A.example:443/t", RevokeURL: "https://b.example/r"})
	want := bellwether.Profile{Rotation: bellwether.RotationStrict, Hosts: []string{"a.example", "b.example"}}
	if d := cmp.Diff(want, p.Profile()); d != "" {
		t.Errorf("profile (-want +got):\n%s", d)
	}
	p.Profile().Hosts[0] = "evil.example"
	if got := p.Profile().Hosts[0]; got != "a.example" {
		t.Errorf("a caller changed the allow-list to %q", got)
	}
}

func TestConfigIsCopied(t *testing.T) {
	params := map[string]string{"audience": "a"}
	p := mustNew(t, oauth.Config{Params: params})
	params["audience"] = "b"
	req, err := p.Request(bellwether.Token{ClientID: "id", RefreshToken: secret("rt")})
	if err != nil {
		t.Fatal(err)
	}
	if got := sent(t, req)["audience"]; got != "a" {
		t.Errorf("audience %q after the caller changed its map", got)
	}
}

func TestPresets(t *testing.T) {
	for name, cfg := range map[string]oauth.Config{
		"google": oauth.Google(), "microsoft": oauth.Microsoft("common"),
		"okta": oauth.Okta("https://x.okta.com/oauth2/default", 30e9), "auth0": oauth.Auth0("x.eu.auth0.com", 0),
		"atlassian": oauth.Atlassian(), "hubspot": oauth.HubSpot(), "xero": oauth.Xero(),
		"slack": oauth.Slack(), "salesforce": oauth.Salesforce("https://login.salesforce.com"),
	} {
		p, err := oauth.New(cfg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.Name() != name || len(p.Profile().Hosts) == 0 {
			t.Errorf("%s: name %q, hosts %q", name, p.Name(), p.Profile().Hosts)
		}
	}
	if got := oauth.Okta("https://x.okta.com", 0).Rotation; got != bellwether.RotationStrict {
		t.Errorf("Okta without leeway rotates %q, want strict", got)
	}
}
