package zoho_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/zoho"
)

func secret(s string) bellwether.Secret { return bellwether.NewSecret(s) }

// row is a token that can be refreshed.
func row() bellwether.Token {
	return bellwether.Token{
		ID: "row-1", ClientID: "1000.ID", ClientSecret: secret("client-secret"), RefreshToken: secret("1000.rt.rt"),
	}
}

func sent(t *testing.T, req *http.Request) map[string]string {
	t.Helper()
	b, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	v, err := url.ParseQuery(string(b))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for k := range v {
		out[k] = strings.Join(v[k], "|")
	}
	return out
}

func TestDataCentres(t *testing.T) {
	for _, tc := range []struct {
		dc            zoho.DataCenter
		accounts, api string
	}{
		{zoho.US, "accounts.zoho.com", "zohoapis.com"},
		{zoho.EU, "accounts.zoho.eu", "zohoapis.eu"},
		{zoho.IN, "accounts.zoho.in", "zohoapis.in"},
		{zoho.AU, "accounts.zoho.com.au", "zohoapis.com.au"},
		{zoho.CN, "accounts.zoho.com.cn", "zohoapis.com.cn"},
		{zoho.JP, "accounts.zoho.jp", "zohoapis.jp"},
		{zoho.CA, "accounts.zohocloud.ca", "zohoapis.ca"},
		{zoho.SA, "accounts.zoho.sa", "zohoapis.sa"},
		{zoho.UK, "accounts.zoho.uk", "zohoapis.uk"},
	} {
		t.Run(string(tc.dc), func(t *testing.T) {
			want := "https://" + tc.accounts + "/oauth/v2/token"
			req, err := zoho.New(tc.dc).Request(row())
			if err != nil || req.URL.String() != want {
				t.Errorf("home: %v, %v; want %s", req.URL, err, want)
			}
			tok := row()
			tok.AccountsURL = "https://" + strings.ToUpper(tc.accounts) + ":443/"
			p := zoho.New(zoho.JP)
			if req, err = p.Request(tok); err != nil || req.URL.String() != want {
				t.Errorf("by AccountsURL: %v, %v; want %s", req.URL, err, want)
			}
			for _, prefix := range []string{"www.", "sandbox.", "developer."} {
				domain := "https://" + prefix + tc.api
				got, err := p.Parse(tok, answer(200, `{"access_token":"at","api_domain":"`+domain+`"}`))
				if err != nil || got.APIDomain != domain {
					t.Errorf("%s: %q, %v", domain, got.APIDomain, err)
				}
			}
			for _, name := range []string{string(tc.dc), strings.ToUpper(string(tc.dc)), "https://" + tc.accounts} {
				if got, err := zoho.ParseDataCenter(name); err != nil || got != tc.dc {
					t.Errorf("ParseDataCenter(%q) = %q, %v", name, got, err)
				}
			}
		})
	}
	if n := len(zoho.New(zoho.US).Profile().Hosts); n != len(zoho.DefaultEndpoints()) {
		t.Errorf("%d hosts for %d data centres", n, len(zoho.DefaultEndpoints()))
	}
	for _, name := range []string{"", "ae", "xx", "https://accounts.zoho.ae", "https://accounts.zoho.com.evil.example", "http://accounts.zoho.com"} {
		if got, err := zoho.ParseDataCenter(name); !errors.Is(err, bellwether.ErrInvalid) {
			t.Errorf("ParseDataCenter(%q) = %q, %v; want ErrInvalid", name, got, err)
		}
	}
}

func TestRequest(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  zoho.Config
		edit func(*bellwether.Token)
		want map[string]string
	}{
		{"refresh token", zoho.Config{}, func(t *bellwether.Token) { t.GrantToken = secret("code"); t.RedirectURL = "https://x" },
			map[string]string{"grant_type": "refresh_token", "refresh_token": "1000.rt.rt"}},
		{"grant token", zoho.Config{}, func(t *bellwether.Token) {
			t.RefreshToken, t.GrantToken, t.RedirectURL = secret(""), secret("code"), "https://app.example/cb"
		},
			map[string]string{"grant_type": "authorization_code", "code": "code", "redirect_uri": "https://app.example/cb"}},
		{"grant token of a self client", zoho.Config{}, func(t *bellwether.Token) {
			t.RefreshToken, t.GrantToken = secret(""), secret("code")
		},
			map[string]string{"grant_type": "authorization_code", "code": "code"}},
		{"client credentials", zoho.Config{SOID: "ZohoCRM.2", Scopes: []string{"other"}}, func(t *bellwether.Token) {
			t.RefreshToken, t.Scopes = secret(""), []string{"ZohoCRM.users.READ", "ZohoCRM.org.READ"}
			t.Extra = map[string]bellwether.Secret{zoho.ExtraSOID: secret("ZohoCRM.1")}
		},
			map[string]string{"grant_type": "client_credentials", "soid": "ZohoCRM.1", "scope": "ZohoCRM.users.READ,ZohoCRM.org.READ"}},
		{"client credentials by Config", zoho.Config{SOID: "ZohoCRM.2", Scopes: []string{"other"}}, func(t *bellwether.Token) {
			t.RefreshToken = secret("")
		},
			map[string]string{"grant_type": "client_credentials", "soid": "ZohoCRM.2", "scope": "other"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := zoho.NewWith(tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			tok := row()
			tc.edit(&tok)
			req, err := p.Request(tok)
			if err != nil {
				t.Fatal(err)
			}
			if got := req.Method + " " + req.URL.String(); got != "POST https://accounts.zoho.com/oauth/v2/token" {
				t.Errorf("request line %q", got)
			}
			tc.want["client_id"], tc.want["client_secret"] = "1000.ID", "client-secret"
			if d := cmp.Diff(tc.want, sent(t, req)); d != "" {
				t.Errorf("parameters (-want +got):\n%s", d)
			}
		})
	}
}

func TestRequestThatCannotBeBuilt(t *testing.T) {
	p := zoho.New(zoho.EU)
	for _, tc := range []struct {
		name string
		edit func(*bellwether.Token)
	}{
		{"no client id", func(t *bellwether.Token) { t.ClientID = "" }},
		{"no client secret", func(t *bellwether.Token) { t.ClientSecret = secret("") }},
		{"no credential", func(t *bellwether.Token) { t.RefreshToken = secret("") }},
		{"client credentials without scopes", func(t *bellwether.Token) {
			t.RefreshToken = secret("")
			t.Extra = map[string]bellwether.Secret{zoho.ExtraSOID: secret("ZohoCRM.1")}
		}},
		{"a user's token never becomes the application's", func(t *bellwether.Token) {
			t.RefreshToken, t.RedirectURL, t.Scopes = secret(""), "https://app.example/cb", []string{"s"}
			t.Extra = map[string]bellwether.Secret{zoho.ExtraSOID: secret("ZohoCRM.1")}
		}},
		{"foreign host", func(t *bellwether.Token) { t.AccountsURL = "https://evil.example" }},
		{"look-alike", func(t *bellwether.Token) { t.AccountsURL = "https://accounts.zoho.eu.evil.example" }},
		{"user info", func(t *bellwether.Token) { t.AccountsURL = "https://accounts.zoho.eu@evil.example" }},
		{"http", func(t *bellwether.Token) { t.AccountsURL = "http://accounts.zoho.eu" }},
		{"port", func(t *bellwether.Token) { t.AccountsURL = "https://accounts.zoho.eu:8443" }},
		{"path", func(t *bellwether.Token) { t.AccountsURL = "https://accounts.zoho.eu/x" }},
		{"unconfirmed data centre", func(t *bellwether.Token) { t.AccountsURL = "https://accounts.zoho.ae" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tok := row()
			tc.edit(&tok)
			_, err := p.Request(tok)
			e, ok := errors.AsType[*bellwether.Error](err)
			if !ok || !errors.Is(err, bellwether.ErrInvalid) || e.Hint == "" || e.ID != "row-1" {
				t.Fatalf("error %v, want an ErrInvalid with a hint for row-1", err)
			}
			if s := err.Error(); strings.Contains(s, "client-secret") || strings.Contains(s, "1000.rt") {
				t.Errorf("a secret in %q", s)
			}
		})
	}
}

func TestProfile(t *testing.T) {
	got := zoho.New(zoho.EU).Profile()
	got.Hosts = nil
	want := bellwether.Profile{
		Rotation:     bellwether.RotationReusable,
		Quotas:       []bellwether.Quota{{N: 10, Per: 10 * time.Minute}, {N: 10, Per: time.Hour}},
		HeaderScheme: "Zoho-oauthtoken",
		DefaultLife:  time.Hour,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("profile (-want +got):\n%s", d)
	}
}

func TestConfig(t *testing.T) {
	local := zoho.Endpoints{DataCenter: "test", Accounts: "http://127.0.0.1:9999", API: []string{"http://127.0.0.1:9998"}}
	p, err := zoho.NewWith(zoho.Config{Name: "zoho-test", Endpoints: []zoho.Endpoints{local}, AllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	req, err := p.Request(row())
	if err != nil || req.URL.String() != "http://127.0.0.1:9999/oauth/v2/token" || p.Name() != "zoho-test" {
		t.Errorf("%v, %v", req.URL, err)
	}
	if d := cmp.Diff([]string{"127.0.0.1:9999"}, p.Profile().Hosts); d != "" || !p.Profile().AllowHTTP {
		t.Errorf("profile %+v", p.Profile())
	}
	tok := row()
	tok.AccountsURL = "https://accounts.zoho.com"
	if _, err := p.Request(tok); !errors.Is(err, bellwether.ErrInvalid) {
		t.Errorf("a data centre that was replaced: %v, want ErrInvalid", err)
	}
	if _, err := zoho.NewWith(zoho.Config{Endpoints: append(zoho.DefaultEndpoints(), local), AllowHTTP: true, Home: "test"}); err != nil {
		t.Errorf("a data centre more: %v", err)
	}
	for name, cfg := range map[string]zoho.Config{
		"http":           {Endpoints: []zoho.Endpoints{local}},
		"no API":         {Endpoints: []zoho.Endpoints{{DataCenter: "x", Accounts: "https://x.example"}}},
		"API with path":  {Endpoints: []zoho.Endpoints{{DataCenter: "x", Accounts: "https://x.example", API: []string{"https://x.example/crm"}}}},
		"no code":        {Endpoints: []zoho.Endpoints{{Accounts: "https://x.example", API: []string{"https://x.example"}}}},
		"no data centre": {Endpoints: []zoho.Endpoints{}},
		"twice":          {Endpoints: append(zoho.DefaultEndpoints(), zoho.DefaultEndpoints()[3])},
		"home":           {Home: "ae"},
		"name":           {Name: "Zoho"},
	} {
		if _, err := zoho.NewWith(cfg); !errors.Is(err, bellwether.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("New took an unknown data centre")
		}
	}()
	zoho.New("ae")
}

func TestAuthURL(t *testing.T) {
	tok := bellwether.Token{
		AccountsURL: "https://accounts.zoho.in", ClientID: "1000.ID", RedirectURL: "https://app.example/cb?x=1",
		Scopes: []string{"ZohoCRM.modules.ALL", "ZohoCRM.org.READ"}, ClientSecret: secret("client-secret"),
	}
	got, err := zoho.New(zoho.EU).AuthURL(tok, "st&te")
	if err != nil {
		t.Fatal(err)
	}
	want := "https://accounts.zoho.in/oauth/v2/auth?access_type=offline&client_id=1000.ID&prompt=consent" +
		"&redirect_uri=https%3A%2F%2Fapp.example%2Fcb%3Fx%3D1&response_type=code" +
		"&scope=ZohoCRM.modules.ALL%2CZohoCRM.org.READ&state=st%26te"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, err := zoho.New(zoho.EU).AuthURL(tok, ""); !errors.Is(err, bellwether.ErrInvalid) {
		t.Errorf("without state: %v, want ErrInvalid", err)
	}
	tok.AccountsURL = "https://evil.example"
	if _, err := zoho.New(zoho.EU).AuthURL(tok, "s"); !errors.Is(err, bellwether.ErrInvalid) {
		t.Errorf("foreign host: %v, want ErrInvalid", err)
	}
}
