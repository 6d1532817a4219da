package customstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/examples/customstore"
	"github.com/bellwether-go/bellwether/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New:  func(t testing.TB) bellwether.Store { return open(t, filepath.Join(t.TempDir(), "journal")) },
		Rows: 300,
	})
}

func open(t testing.TB, path string) *customstore.Store {
	t.Helper()
	s, err := customstore.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func save(t testing.TB, s bellwether.Store, tok bellwether.Token) bellwether.Token {
	t.Helper()
	saved, err := s.Save(t.Context(), tok)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

var secret = bellwether.NewSecret

// TestReopen: what was acknowledged is there again, whole, and the past stays past.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s := open(t, path)
	full := save(t, s, bellwether.Token{
		Provider: "zoho", AccountsURL: "https://accounts.zoho.eu", UserName: "ann\x00\n☃", ClientID: "c", ClientSecret: secret("cs"),
		RedirectURL: "https://example.com", GrantToken: secret("gt"), RefreshToken: secret("rt"), AccessToken: secret("at"),
		TokenType: "Bearer", Scopes: []string{"a", "b"}, APIDomain: "https://www.zohoapis.eu", IssuedAt: time.UnixMilli(4102444800001),
		ExpiresAt: time.UnixMilli(4102448400123), RefreshExpiresAt: time.UnixMilli(4202448400123),
		Extra: map[string]bellwether.Secret{"id_token": secret("jwt")},
	})
	bob := save(t, s, bellwether.Token{UserName: "bob", RefreshToken: secret("rt-0"), AccessToken: secret("at-0"), TokenType: "x"})
	bob = save(t, s, bellwether.Token{ID: bob.ID, RefreshToken: secret("rt-1")})
	bob.TokenType, bob.AccessToken = "", secret("at-1")
	bob = save(t, s, bob) // replaces, and so clears
	gone := save(t, s, bellwether.Token{UserName: "gone", RefreshToken: secret("rt-gone")})
	if err := s.Delete(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, path)
	for _, want := range []bellwether.Token{full, bob} {
		got, err := s.FindByID(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmp.Transformer("Reveal", bellwether.Secret.Reveal)); d != "" {
			t.Errorf("(-saved +read again):\n%s", d)
		}
	}
	if again := save(t, s, bellwether.Token{UserName: "bob", RefreshToken: secret("rt-0")}); again.RefreshToken.Reveal() != "rt-1" {
		t.Error("a superseded refresh token is stored again")
	}
	if _, err := s.FindByID(t.Context(), gone.ID); !errors.Is(err, bellwether.ErrNotFound) {
		t.Errorf("the deleted row: %v, want ErrNotFound", err)
	}
	if err := s.DeleteAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	for tok := range open(t, path).List(t.Context()) {
		t.Errorf("row %q is there after DeleteAll", tok.ID)
	}
}

// TestCutOff: a crash at any byte of the last line leaves all lines before it.
func TestCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s := open(t, path)
	first := save(t, s, bellwether.Token{UserName: "ann", RefreshToken: secret("rt-ann")})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	save(t, s, bellwether.Token{UserName: "bob", RefreshToken: secret("rt-bob")})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := int(info.Size()); n < len(whole)-1; n++ {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		if _, err := s.FindByID(t.Context(), first.ID); err != nil {
			t.Fatalf("cut at byte %d: %v", n, err)
		}
		save(t, s, bellwether.Token{UserName: "cid", RefreshToken: secret("rt-cid")})
		if _, err := open(t, path).Find(t.Context(), bellwether.Token{UserName: "cid"}); err != nil {
			t.Fatalf("cut at byte %d, after the next save: %v", n, err)
		}
	}
	if err := os.WriteFile(path, append([]byte("x"), whole...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := customstore.Open(path); err == nil {
		t.Error("a damaged line in the middle is passed over")
	}
}

// TestFailedWrite: a store whose file takes no line takes no further write.
func TestFailedWrite(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "journal"))
	save(t, s, bellwether.Token{UserName: "ann", RefreshToken: secret("rt-ann")})
	if err := s.Close(); err != nil { // as a full disk does
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Save(t.Context(), bellwether.Token{UserName: "bob", RefreshToken: secret("rt-bob")}); !errors.Is(err, bellwether.ErrUnavailable) {
			t.Errorf("Save: %v, want ErrUnavailable", err)
		}
	}
	if err := s.DeleteAll(t.Context()); !errors.Is(err, bellwether.ErrUnavailable) {
		t.Errorf("DeleteAll: %v, want ErrUnavailable", err)
	}
	if _, err := s.Find(t.Context(), bellwether.Token{UserName: "ann"}); err != nil {
		t.Errorf("Find: %v", err)
	}
}

// TestDocument: docs/custom-store.md quotes this package as it is, and the store is as
// short as it says.
func TestDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/custom-store.md")
	if err != nil {
		t.Fatal(err)
	}
	store, err := os.ReadFile("store.go")
	if err != nil {
		t.Fatal(err)
	}
	test, err := os.ReadFile("store_test.go")
	if err != nil {
		t.Fatal(err)
	}
	quotes := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if len(quotes) < 3 {
		t.Fatalf("the document quotes %d pieces, want three", len(quotes))
	}
	for _, q := range quotes {
		if !strings.Contains(string(store), q[1]) && !strings.Contains(string(test), q[1]) {
			t.Errorf("the document quotes what is not here:\n%s", q[1])
		}
	}
	_, code, _ := strings.Cut(string(store), "\n)\n") // behind the imports
	lines := 0
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			lines++
		}
	}
	if lines >= 100 {
		t.Errorf("the store has %d lines of code, the document says fewer than 100", lines)
	}
}
