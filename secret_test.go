package bellwether_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
)

const forbidden = "s3cr3t-d0-not-print"

// printed returns everything that the usual ways of printing make of v.
func printed(t *testing.T, v any) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3s", "%p", "%!"} {
		out[verb] = fmt.Sprintf(verb, v)
	}
	out["Sprint"] = fmt.Sprint(v)
	out["Errorf"] = fmt.Errorf("save: %v", v).Error()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	out["json"] = string(b)
	var text, js bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("saved", "v", v)
	slog.New(slog.NewJSONHandler(&js, nil)).Info("saved", "v", v)
	out["slog text"], out["slog json"] = text.String(), js.String()
	return out
}

func leaks(s string) bool {
	return strings.Contains(s, forbidden) || strings.Contains(strings.ToLower(s), fmt.Sprintf("%x", forbidden))
}

func secretToken() bellwether.Token {
	s := bellwether.NewSecret(forbidden)
	return bellwether.Token{
		ID: "a", UserName: "bot", ClientID: "c", ClientSecret: s, GrantToken: s, RefreshToken: s, AccessToken: s,
		Extra: map[string]bellwether.Secret{"id_token": s}, ExpiresAt: time.UnixMilli(1),
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	type hidden struct{ s bellwether.Secret } // reflection reaches unexported fields without methods
	s := bellwether.NewSecret(forbidden)
	values := map[string]any{
		"secret":            s,
		"pointer":           &s,
		"unexported field":  hidden{s},
		"pointer to struct": &hidden{s},
		"token":             secretToken(),
		"pointer to token":  new(secretToken()),
		"slice":             []bellwether.Secret{s},
		"map":               map[string]any{"k": s},
		"begin answer":      bellwether.BeginAnswer{Token: secretToken()},
		"commit":            bellwether.Commit{Token: secretToken()},
		"snapshot":          bellwether.Snapshot{AccessToken: s, Extra: map[string]bellwether.Secret{"k": s}},
	}
	for name, v := range values {
		for how, got := range printed(t, v) {
			if leaks(got) {
				t.Errorf("%s printed by %s shows the secret: %s", name, how, got)
			}
		}
	}
	type element struct{ S bellwether.Secret }
	if b, err := xml.Marshal(element{s}); err != nil || leaks(string(b)) {
		t.Errorf("xml.Marshal = %s, %v", b, err)
	}
}

// TestLeakIsFound is the control of TestSecretDoesNotPrint: what holds the text in
// the open is found.
func TestLeakIsFound(t *testing.T) {
	for how, got := range printed(t, struct{ S string }{forbidden}) {
		if how == "%T" || how == "%!" || how == "%10.3s" || how == "%p" || how == "%d" {
			continue // these show no whole text, or an error around it
		}
		if !leaks(got) {
			t.Errorf("printed by %s: the secret is not found in %s", how, got)
		}
	}
}

func TestSecretAbsent(t *testing.T) {
	for name, s := range map[string]bellwether.Secret{"zero": {}, "empty": bellwether.NewSecret("")} {
		if !s.IsZero() || s.Reveal() != "" || s.String() != "" {
			t.Errorf("%s: IsZero %v, Reveal %q, String %q", name, s.IsZero(), s.Reveal(), s.String())
		}
	}
	s := bellwether.NewSecret(forbidden)
	if s.IsZero() || s.Reveal() != forbidden || s.String() != "[redacted]" {
		t.Errorf("IsZero %v, Reveal ok %v, String %q", s.IsZero(), s.Reveal() == forbidden, s)
	}
	b, err := json.Marshal(struct {
		S bellwether.Secret `json:",omitzero"`
	}{})
	if err != nil || string(b) != "{}" {
		t.Errorf("absent secret with omitzero = %s, %v; want {}", b, err)
	}
}

func TestSecretEqual(t *testing.T) {
	a, b := bellwether.NewSecret("one"), bellwether.NewSecret("one")
	if !a.Equal(b) {
		t.Error("two secrets with one text differ")
	}
	for _, o := range []string{"", "on", "onf", "one "} {
		if a.Equal(bellwether.NewSecret(o)) {
			t.Errorf("secret equals %q", o)
		}
	}
	if !(bellwether.Secret{}).Equal(bellwether.NewSecret("")) {
		t.Error("two absent secrets differ")
	}
}

func TestSecretUnmarshal(t *testing.T) {
	var v struct{ S bellwether.Secret }
	if err := json.Unmarshal([]byte(`{"S":"1000.abc"}`), &v); err != nil || v.S.Reveal() != "1000.abc" {
		t.Fatalf("Unmarshal = %q, %v", v.S.Reveal(), err)
	}
	// What was printed must not come back as a credential.
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err == nil {
		t.Errorf("%s was accepted as a secret", b)
	}
	if got := v.S.Reveal(); got != "1000.abc" {
		t.Errorf("a refused text replaced the secret by %q", got)
	}
}
