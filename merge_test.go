package bellwether_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
)

func secret(s string) bellwether.Secret { return bellwether.NewSecret(s) }

var (
	noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	one  = noon.Add(time.Hour)
)

// full returns a token with no blank field.
func full(t *testing.T) bellwether.Token {
	tok := bellwether.Token{
		ID: "row", Provider: "zoho", AccountsURL: "https://accounts.zoho.eu", UserName: "bot",
		ClientID: "client", ClientSecret: secret("cs"), RedirectURL: "https://example.com/cb",
		GrantToken: secret("g1"), RefreshToken: secret("r1"), AccessToken: secret("a1"), TokenType: "Bearer",
		Scopes: []string{"read", "write"}, APIDomain: "https://www.zohoapis.eu",
		IssuedAt: noon, ExpiresAt: one, RefreshExpiresAt: one.AddDate(1, 0, 0),
		Extra:     map[string]bellwether.Secret{"id_token": secret("jwt")},
		CreatedAt: noon, UpdatedAt: noon, Generation: 7, State: bellwether.StateReauthRequired,
		Failure: &bellwether.Failure{Reason: bellwether.ReasonRevoked, Code: "invalid_grant", Count: 2, At: noon, Until: one},
	}
	v := reflect.ValueOf(tok)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("full leaves %s blank", v.Type().Field(i).Name)
		}
	}
	return tok
}

func TestMergeOfNothingKeepsAll(t *testing.T) {
	stored := full(t)
	if d := cmp.Diff(stored, stored.Merge(bellwether.Token{})); d != "" {
		t.Errorf("(-stored +merged)\n%s", d)
	}
}

func TestMergeTakesEachField(t *testing.T) {
	stored := full(t)
	given := bellwether.Token{
		ID: "other", Provider: "oauth", AccountsURL: "https://accounts.zoho.com", UserName: "bot2",
		ClientID: "client2", ClientSecret: secret("cs2"), RedirectURL: "https://example.org/cb",
		GrantToken: secret("g2"), RefreshToken: secret("r2"), AccessToken: secret("a2"), TokenType: "Zoho",
		Scopes: []string{"admin"}, APIDomain: "https://www.zohoapis.com",
		IssuedAt: one, ExpiresAt: one.Add(time.Hour), RefreshExpiresAt: one.AddDate(2, 0, 0),
		Extra:     map[string]bellwether.Secret{"id_token": secret("jwt2"), "new": secret("n")},
		CreatedAt: one, UpdatedAt: one, Generation: 99, State: bellwether.StateActive,
	}
	want := given
	want.ID, want.CreatedAt, want.UpdatedAt = stored.ID, stored.CreatedAt, stored.UpdatedAt
	want.Generation, want.State, want.Failure = stored.Generation, stored.State, stored.Failure
	if d := cmp.Diff(want, stored.Merge(given)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestMerge(t *testing.T) {
	tests := []struct {
		name  string
		given bellwether.Token
		want  func(*bellwether.Token) // what changes of the stored row
	}{
		{"extra by key",
			bellwether.Token{Extra: map[string]bellwether.Secret{"instance_url": secret("i"), "id_token": {}}},
			func(w *bellwether.Token) { w.Extra["instance_url"] = secret("i") }},
		{"scopes as a whole",
			bellwether.Token{Scopes: []string{"admin"}},
			func(w *bellwether.Token) { w.Scopes = []string{"admin"} }},
		{"empty scopes are absent",
			bellwether.Token{Scopes: []string{}},
			func(*bellwether.Token) {}},
		{"another access token drops the old life",
			bellwether.Token{AccessToken: secret("a2")},
			func(w *bellwether.Token) {
				w.AccessToken, w.TokenType = secret("a2"), ""
				w.IssuedAt, w.ExpiresAt = time.Time{}, time.Time{}
			}},
		{"the same access token keeps its life",
			bellwether.Token{AccessToken: secret("a1"), ExpiresAt: one.Add(time.Minute)},
			func(w *bellwether.Token) { w.ExpiresAt = one.Add(time.Minute) }},
		{"another refresh token drops the old expiry and keeps the access token",
			bellwether.Token{RefreshToken: secret("r2")},
			func(w *bellwether.Token) { w.RefreshToken, w.RefreshExpiresAt = secret("r2"), time.Time{} }},
		{"a new code supersedes refresh and access token",
			bellwether.Token{GrantToken: secret("g2")},
			func(w *bellwether.Token) {
				*w = w.WithoutRefreshToken().WithoutAccessToken()
				w.GrantToken = secret("g2")
			}},
		{"a new code with a refresh token supersedes no access token",
			bellwether.Token{GrantToken: secret("g2"), RefreshToken: secret("r1")},
			func(w *bellwether.Token) { w.GrantToken = secret("g2") }},
		{"a new code with the same access token keeps its life",
			bellwether.Token{GrantToken: secret("g2"), AccessToken: secret("a1")},
			func(w *bellwether.Token) { *w = w.WithoutRefreshToken(); w.GrantToken = secret("g2") }},
		{"the same code changes nothing",
			bellwether.Token{GrantToken: secret("g1")},
			func(*bellwether.Token) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored, want := full(t), full(t)
			tt.want(&want)
			got := stored.Merge(tt.given)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if d := cmp.Diff(full(t), stored); d != "" {
				t.Errorf("Merge changed the stored row:\n%s", d)
			}
		})
	}
}

func TestReplaceClears(t *testing.T) {
	stored := full(t)
	given := bellwether.Token{ID: "other", RefreshToken: secret("r2"), Generation: 7, State: bellwether.StateActive}
	want := bellwether.Token{
		ID: stored.ID, RefreshToken: secret("r2"), CreatedAt: stored.CreatedAt, UpdatedAt: stored.UpdatedAt,
		Generation: stored.Generation, State: stored.State, Failure: stored.Failure,
	}
	got := stored.Replace(given)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if got.Failure == stored.Failure {
		t.Error("the result shares the Failure of the stored row")
	}
}

func TestLifeOfNothing(t *testing.T) {
	given := bellwether.Token{UserName: "bot", IssuedAt: noon, ExpiresAt: one, RefreshExpiresAt: one}
	want := bellwether.Token{UserName: "bot"}
	if d := cmp.Diff(want, bellwether.Token{}.Merge(given)); d != "" {
		t.Errorf("Merge (-want +got)\n%s", d)
	}
	if d := cmp.Diff(want, bellwether.Token{}.Replace(given)); d != "" {
		t.Errorf("Replace (-want +got)\n%s", d)
	}
}

func TestMergeSharesNoMemory(t *testing.T) {
	stored := full(t)
	given := bellwether.Token{Scopes: []string{"admin"}, Extra: map[string]bellwether.Secret{"k": secret("v")}}
	got := stored.Merge(given)
	got.Scopes[0] = "changed"
	got.Extra["k"], got.Extra["id_token"] = secret("changed"), secret("changed")
	got.Failure.Count = 99
	if d := cmp.Diff(full(t), stored); d != "" {
		t.Errorf("a change of the result reached the stored row:\n%s", d)
	}
	if given.Scopes[0] != "admin" || given.Extra["k"].Reveal() != "v" {
		t.Error("a change of the result reached the given token")
	}
}

func TestStartsLineage(t *testing.T) {
	stored := full(t)
	tests := []struct {
		name  string
		given bellwether.Token
		want  bool
	}{
		{"nothing", bellwether.Token{}, false},
		{"same refresh token", bellwether.Token{RefreshToken: secret("r1"), GrantToken: secret("g1")}, false},
		{"access token", bellwether.Token{AccessToken: secret("a2")}, false},
		{"refresh token", bellwether.Token{RefreshToken: secret("r2")}, true},
		{"grant token", bellwether.Token{GrantToken: secret("g2")}, true},
		{"client secret", bellwether.Token{ClientSecret: secret("cs2")}, false},
	}
	for _, tt := range tests {
		if got := stored.StartsLineage(tt.given); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestCompatible(t *testing.T) {
	type tok = bellwether.Token
	a := tok{Provider: "zoho", AccountsURL: "https://accounts.zoho.eu", ClientID: "c"}
	tests := []struct {
		name          string
		stored, given tok
		want          bool
	}{
		{"same", a, a, true},
		{"given blank does not narrow", a, tok{}, true},
		{"stored blank matches", tok{}, a, true},
		{"each its own blank", tok{Provider: "zoho"}, tok{ClientID: "c"}, true},
		{"provider", a, tok{Provider: "oauth"}, false},
		{"data centre", a, tok{AccountsURL: "https://accounts.zoho.com"}, false},
		{"client", a, tok{ClientID: "d"}, false},
		{"other fields do not matter", tok{UserName: "x"}, tok{UserName: "y"}, true},
	}
	for _, tt := range tests {
		if got := bellwether.Compatible(tt.stored, tt.given); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if got := bellwether.Compatible(tt.given, tt.stored); got != tt.want {
			t.Errorf("%s, swapped: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestCanonical(t *testing.T) {
	local := time.FixedZone("x", 3600)
	in := bellwether.Token{
		IssuedAt: noon.Add(1999 * time.Microsecond).In(local), ExpiresAt: time.Now(),
		Scopes: []string{}, Extra: map[string]bellwether.Secret{"gone": {}},
	}
	got := in.Canonical()
	want := bellwether.Token{IssuedAt: noon.Add(time.Millisecond), ExpiresAt: time.UnixMilli(in.ExpiresAt.UnixMilli()).UTC()}
	if !reflect.DeepEqual(got, want) { // Equal of time.Time would not see the zone
		t.Errorf("got %#v, want %#v", got, want)
	}
	if len(in.Extra) != 1 {
		t.Error("Canonical changed its receiver")
	}
}

func TestValidate(t *testing.T) {
	big := strings.Repeat("x", bellwether.MaxValueLen)
	hostile := "nul\x00:colon:{brace}\r\n\t\"' \U0001f511 %s ../.. "
	good := map[string]bellwether.Token{
		"zero":           {},
		"full":           full(t),
		"255 byte id":    {ID: strings.Repeat("i", 255)},
		"hostile id":     {ID: hostile},
		"hostile values": {UserName: hostile, ClientID: hostile, ClientSecret: secret(hostile), RefreshToken: secret(hostile), TokenType: hostile, Scopes: []string{hostile}, Extra: map[string]bellwether.Secret{hostile: secret(hostile)}},
		"64 KiB":         {UserName: big, AccessToken: secret(big), Extra: map[string]bellwether.Secret{big: secret(big)}},
		"custom scheme":  {RedirectURL: "urn:ietf:wg:oauth:2.0:oob"},
		"bare API host":  {APIDomain: "www.zohoapis.eu"},
	}
	for name, tok := range good {
		if err := tok.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	over, broken := big+"x", "bad\xff"+forbidden
	bad := map[string]bellwether.Token{
		"256 byte id":         {ID: strings.Repeat("i", 256)},
		"broken id":           {ID: broken},
		"provider space":      {Provider: "my provider"},
		"provider capital":    {Provider: "Zoho"},
		"long provider":       {Provider: strings.Repeat("p", 256)},
		"long user name":      {UserName: over},
		"long client":         {ClientID: over},
		"long secret":         {ClientSecret: secret(over)},
		"long grant":          {GrantToken: secret(over)},
		"long refresh":        {RefreshToken: secret(over)},
		"long access":         {AccessToken: secret(over)},
		"long type":           {TokenType: over},
		"long redirect":       {RedirectURL: over},
		"long scope":          {Scopes: []string{"ok", over}},
		"long extra":          {Extra: map[string]bellwether.Secret{"k": secret(over)}},
		"long extra key":      {Extra: map[string]bellwether.Secret{over: secret("v")}},
		"broken user name":    {UserName: broken},
		"broken refresh":      {RefreshToken: secret(broken)},
		"broken extra":        {Extra: map[string]bellwether.Secret{"k": secret(broken)}},
		"accounts URL":        {AccountsURL: "https://a b:c/" + forbidden},
		"API domain":          {APIDomain: "http://[::1/" + forbidden},
		"password":            {AccountsURL: "https://me:" + forbidden + "@accounts.example.com"},
		"negative expiry":     {ExpiresAt: time.UnixMilli(-1)},
		"year 10000":          {ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"refresh year 1":      {RefreshExpiresAt: time.Time{}.Add(time.Second)},
		"negative generation": {Generation: -1},
	}
	for name, tok := range bad {
		err := tok.Validate()
		if !errors.Is(err, bellwether.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
			continue
		}
		e, ok := errors.AsType[*bellwether.Error](err)
		if !ok || e.Hint == "" || e.Detail == "" {
			t.Errorf("%s: %v has no detail or hint", name, err)
		}
		if leaks(err.Error()) || len(err.Error()) > 300 {
			t.Errorf("%s: the error shows the value: %.300s", name, err)
		}
	}
	if err := bellwether.ValidateID(""); !errors.Is(err, bellwether.ErrInvalid) {
		t.Errorf("ValidateID of a blank: %v, want ErrInvalid", err)
	}
}
