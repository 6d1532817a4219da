package providerfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/oauth"
	"github.com/bellwether-go/bellwether/provider/providerfile"
	"github.com/bellwether-go/bellwether/provider/zoho"
)

// full has a value for every key.
const full = `{"providers": [
  {"kind": "oauth", "name": "crm", "token_url": "https://login.example.com/token",
   "revoke_url": "https://login.example.com/revoke", "auth_style": "basic", "body_format": "json",
   "scopes": ["read"], "scope_separator": ",", "params": {"audience": "api"},
   "errors": {"slow": {"class": "throttled", "concern": "client", "retry_after": "90s", "hint": "wait"}},
   "error_fields": ["code"], "token_field": "user", "api_domain_field": "instance_url", "reject_codes": ["DEAD"],
   "rotation": "grace", "grace": "30s", "quotas": [{"n": 5, "per": "1m"}],
   "header_scheme": "Token", "default_life": "1h"},
  {"name": "local", "token_url": "http://127.0.0.1:1/token", "allow_http": true},
  {"kind": "zoho", "name": "zoho-ae", "home": "ae", "scopes": ["a"], "soid": "ZohoCRM.1",
   "endpoints": [{"data_center": "ae", "accounts": "https://accounts.example.ae", "api": ["https://www.example.ae"]}]}
]}`

func wantFull() providerfile.File {
	return providerfile.File{Entries: []providerfile.Entry{
		{OAuth: &oauth.Config{
			Name: "crm", TokenURL: "https://login.example.com/token", RevokeURL: "https://login.example.com/revoke",
			AuthStyle: oauth.AuthBasic, BodyFormat: oauth.BodyJSON, Scopes: []string{"read"}, ScopeSeparator: ",",
			Params: map[string]string{"audience": "api"},
			Errors: map[string]oauth.Rule{"slow": {Class: bellwether.ClassThrottled, Concern: bellwether.ConcernClient,
				RetryAfter: 90 * time.Second, Hint: "wait"}},
			ErrorFields: []string{"code"}, TokenField: "user", APIDomainField: "instance_url", RejectCodes: []string{"DEAD"},
			Rotation: bellwether.RotationGrace, Grace: 30 * time.Second,
			Quotas:       []bellwether.Quota{{N: 5, Per: time.Minute}},
			HeaderScheme: "Token", DefaultLife: time.Hour,
		}},
		{OAuth: &oauth.Config{Name: "local", TokenURL: "http://127.0.0.1:1/token", AllowHTTP: true}},
		{Zoho: &zoho.Config{
			Name: "zoho-ae", Home: "ae", Scopes: []string{"a"}, SOID: "ZohoCRM.1",
			Endpoints: append([]zoho.Endpoints{{DataCenter: "ae", Accounts: "https://accounts.example.ae", API: []string{"https://www.example.ae"}}},
				zoho.DefaultEndpoints()...),
		}},
	}}
}

func TestParse(t *testing.T) {
	got, err := providerfile.Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wantFull(), got); d != "" {
		t.Errorf("Parse (-want +got):\n%s", d)
	}
}

func TestEncodeIsTheInverse(t *testing.T) {
	for _, f := range []providerfile.File{{}, wantFull()} {
		data, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := providerfile.Parse(data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if d := cmp.Diff(f, got); d != "" {
			t.Errorf("Parse(Encode()) (-want +got):\n%s", d)
		}
	}
}

func TestProviders(t *testing.T) {
	for _, test := range []struct {
		name, file string
		want       []string
	}{
		{"blank", "", []string{"zoho"}},
		{"white space", " \n", []string{"zoho"}},
		{"no entries", `{"providers": []}`, []string{"zoho"}},
		{"Zoho comes along", full, []string{"crm", "local", "zoho-ae", "zoho"}},
		{"Zoho described", `{"providers": [{"kind": "zoho", "home": "eu"}]}`, []string{"zoho"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := providerfile.Parse([]byte(test.file))
			if err != nil {
				t.Fatal(err)
			}
			providers, err := f.Providers()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range providers {
				got = append(got, p.Name())
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("names (-want +got):\n%s", d)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "providers.json")
	if err := os.WriteFile(path, []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		"":   {"zoho"},
		path: {"crm", "local", "zoho-ae", "zoho"},
	} {
		providers, err := providerfile.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range providers {
			got = append(got, p.Name())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("names of Open(%q) (-want +got):\n%s", path, d)
		}
	}
	if _, err := providerfile.Open(filepath.Join(dir, "nowhere.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of no file: %v, want fs.ErrNotExist", err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := providerfile.Open(path); !errors.Is(err, bellwether.ErrInvalid) {
		t.Errorf("Open of half a file: %v, want ErrInvalid", err)
	}
}

// TestProvidersBehave: what the file says reaches the provider.
func TestProvidersBehave(t *testing.T) {
	f, err := providerfile.Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	providers, err := f.Providers()
	if err != nil {
		t.Fatal(err)
	}
	want := bellwether.Profile{
		Rotation: bellwether.RotationGrace, Grace: 30 * time.Second, Quotas: []bellwether.Quota{{N: 5, Per: time.Minute}},
		Hosts: []string{"login.example.com"}, HeaderScheme: "Token", DefaultLife: time.Hour,
	}
	if d := cmp.Diff(want, providers[0].Profile()); d != "" {
		t.Errorf("profile of crm (-want +got):\n%s", d)
	}
	row := bellwether.Token{ClientID: "c", ClientSecret: bellwether.NewSecret("s"), RefreshToken: bellwether.NewSecret("r")}
	req, err := providers[2].Request(row)
	if err != nil || req.URL.Host != "accounts.example.ae" {
		t.Errorf("request of zoho-ae goes to %v, %v; want its home", req, err)
	}
}

func TestLookup(t *testing.T) {
	f := wantFull()
	for _, name := range []string{"crm", "local", "zoho-ae", "zoho"} {
		if e, ok := f.Lookup(name); !ok || e.Name() != name {
			t.Errorf("Lookup(%q) = %q, %v", name, e.Name(), ok)
		}
	}
	if _, ok := f.Lookup("nobody"); ok {
		t.Error("Lookup finds a provider that is not there")
	}
}

func TestParseRefuses(t *testing.T) {
	entry := func(keys string) string { return `{"providers": [` + keys + `]}` }
	for _, test := range []struct{ name, file, want string }{
		{"no JSON", "providers:", "invalid character"},
		{"an unknown key", `{"provider": []}`, `unknown field "provider"`},
		{"an unknown key of an entry", entry(`{"name": "a", "token_uri": "https://a.example"}`), `provider "a": json: unknown field "token_uri"`},
		{"a key of the other kind", entry(`{"kind": "zoho", "token_url": "https://a.example"}`), `provider "zoho": json: unknown field "token_url"`},
		{"more behind the end", `{"providers": []} {}`, "more behind the end"},
		{"an entry that is no object", entry(`"zoho"`), "entry 1: "},
		{"an unknown kind", entry(`{"name": "a", "kind": "saml"}`), `provider "a": kind "saml"`},
		{"no name", entry(`{"token_url": "https://a.example"}`), "entry 1: no name"},
		{"no token URL", entry(`{"name": "a"}`), `provider "a": TokenURL`},
		{"http", entry(`{"name": "a", "token_url": "http://a.example/token"}`), "not https"},
		{"an unknown rotation", entry(`{"name": "a", "token_url": "https://a.example", "rotation": "often"}`), `unknown rotation "often"`},
		{"a number as duration", entry(`{"name": "a", "token_url": "https://a.example", "default_life": 60}`), "duration"},
		{"a duration without unit", entry(`{"name": "a", "token_url": "https://a.example", "default_life": "60"}`), "missing unit"},
		{"a home that is no data centre", entry(`{"kind": "zoho", "home": "mars"}`), "home data centre"},
		{"one name twice", entry(`{"kind": "zoho"}, {"name": "zoho", "token_url": "https://a.example"}`), `provider "zoho": this name stands twice`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := providerfile.Parse([]byte(test.file))
			if !errors.Is(err, bellwether.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Parse = %v, want ErrInvalid with %q", err, test.want)
			}
		})
	}
}
