// Package storetest checks that a [bellwether.Store] keeps the contract that stands
// on the interface: every rule there is a subtest of [Run].
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{
//			New: func(testing.TB) bellwether.Store { return memstore.New() },
//		})
//	}
//
// What it does not check: bounded memory of List, and what a crash leaves behind. A
// store that several processes share also gives Harness.Process and calls [Main].
package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
)

// A Harness makes the stores under test.
type Harness struct {
	// New returns a fresh, empty store, and closes it by t.Cleanup where needed. Each
	// subtest asks for its own.
	New func(t testing.TB) bellwether.Store

	// Process returns environment entries ("KEY=value") by which the function given
	// to Main, in another process, opens the store s. Nil: the store cannot be shared
	// and only goroutines race.
	Process func(t testing.TB, s bellwether.Store) []string

	// Condemn puts the row id into StateReauthRequired with a Failure, as a refused
	// refresh does. Nil: the store runs no refresh, and how a Save treats that state
	// is not checked.
	Condemn func(t testing.TB, s bellwether.Store, id string)

	// Reopen closes s and opens what it stored again. Nil: the store ends with its
	// process.
	Reopen func(t testing.TB, s bellwether.Store) bellwether.Store

	// Trim returns what the store can carry of a token, for a store whose format
	// lacks fields. Nil: everything.
	Trim func(bellwether.Token) bellwether.Token

	// Groups names the groups of rules that Run checks. Nil: all.
	Groups []string

	// Rows is how many rows the listing tests use: 10,000 when zero, 1,000 at most
	// with -short.
	Rows int
}

// A rule is one subtest.
type rule struct {
	name string
	test func(t *testing.T, h Harness)
}

// Run checks every rule of the Store contract, each as a named subtest.
func Run(t *testing.T, h Harness) {
	groups := []struct {
		name  string
		rules []rule
		able  bool
	}{
		{"Values", valueRules, true},
		{"Save", saveRules, true},
		{"Identity", identityRules, true},
		{"Past", pastRules, true},
		{"Lineage", lineageRules, h.Condemn != nil},
		{"Delete", deleteRules, true},
		{"List", listRules, true},
		{"Context", contextRules, true},
		{"Race", raceRules, true},
		{"Process", processRules, h.Process != nil},
	}
	for _, g := range groups {
		if !g.able || h.Groups != nil && !slices.Contains(h.Groups, g.name) {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			for _, r := range g.rules {
				t.Run(r.name, func(t *testing.T) { r.test(t, h) })
			}
		})
	}
}

func (h Harness) rows() int {
	n := h.Rows
	if n == 0 {
		n = 10_000
	}
	if testing.Short() {
		n = min(n, 1_000)
	}
	return n
}

func (h Harness) trim(t bellwether.Token) bellwether.Token {
	if h.Trim == nil {
		return t
	}
	return h.Trim(t)
}

// secret is short for bellwether.NewSecret.
func secret(s string) bellwether.Secret { return bellwether.NewSecret(s) }

// day is a time to count from. It lies ahead, so that no token made here has ended.
var day = time.Date(2100, 3, 4, 5, 6, 7, 8_000_000, time.UTC)

// refreshable returns a small token that is whole: a user and a refresh token.
func refreshable(user, refresh string) bellwether.Token {
	return bellwether.Token{UserName: user, RefreshToken: secret(refresh)}
}

// full returns a token with every field that a Save takes, told apart by tag.
func full(tag string) bellwether.Token {
	return bellwether.Token{
		Provider:         "zoho",
		AccountsURL:      "https://accounts.zoho.eu",
		UserName:         "user-" + tag,
		ClientID:         "client-" + tag,
		ClientSecret:     secret("client-secret-" + tag),
		RedirectURL:      "https://example.com/callback/" + tag,
		GrantToken:       secret("grant-" + tag),
		RefreshToken:     secret("refresh-" + tag),
		AccessToken:      secret("access-" + tag),
		TokenType:        "Bearer",
		Scopes:           []string{"ZohoCRM.modules.ALL", "scope-" + tag},
		APIDomain:        "https://www.zohoapis.eu",
		IssuedAt:         day.Add(123 * time.Millisecond),
		ExpiresAt:        day.Add(time.Hour + 456*time.Millisecond),
		RefreshExpiresAt: day.AddDate(1, 0, 0).Add(789 * time.Millisecond),
		Extra:            map[string]bellwether.Secret{"id_token": secret("jwt-" + tag), "instance_url": secret("https://" + tag)},
	}
}

func save(t testing.TB, s bellwether.Store, tok bellwether.Token) bellwether.Token {
	t.Helper()
	got, err := s.Save(t.Context(), tok)
	if err != nil {
		t.Fatalf("Save(%s): %v", describe(tok), err)
	}
	return got
}

// load returns the row id as stored.
func load(t testing.TB, s bellwether.Store, id string) bellwether.Token {
	t.Helper()
	got, err := s.FindByID(t.Context(), id)
	if err != nil {
		t.Fatalf("FindByID(%q): %v", clip(id), err)
	}
	return got
}

// wantFound checks that partial finds the row id.
func wantFound(t testing.TB, s bellwether.Store, partial bellwether.Token, id string) bellwether.Token {
	t.Helper()
	got, err := s.Find(t.Context(), partial)
	if err != nil {
		t.Fatalf("Find(%s): %v", describe(partial), err)
	}
	if got.ID != id {
		t.Fatalf("Find(%s) found row %q, want %q", describe(partial), clip(got.ID), clip(id))
	}
	return got
}

func wantFindError(t testing.TB, s bellwether.Store, partial bellwether.Token, kinds ...error) {
	t.Helper()
	got, err := s.Find(t.Context(), partial)
	checkError(t, fmt.Sprintf("Find(%s) = row %q", describe(partial), clip(got.ID)), err, kinds...)
}

// wantSaveError checks that the Save fails with one of kinds and that no row was
// changed by it.
func wantSaveError(t testing.TB, s bellwether.Store, tok bellwether.Token, kinds ...error) {
	t.Helper()
	before := all(t, s)
	got, err := s.Save(t.Context(), tok)
	checkError(t, fmt.Sprintf("Save(%s) = row %q", describe(tok), clip(got.ID)), err, kinds...)
	if d := diff(before, all(t, s)); d != "" {
		t.Fatalf("a refused Save(%s) changed rows (-before +after):\n%s", describe(tok), d)
	}
}

func checkError(t testing.TB, what string, err error, kinds ...error) {
	t.Helper()
	for _, k := range kinds {
		if errors.Is(err, k) {
			return
		}
	}
	t.Fatalf("%s, error %v; want %v", what, err, kinds)
}

// all returns the whole store by ID.
func all(t testing.TB, s bellwether.Store) map[string]bellwether.Token {
	t.Helper()
	rows := make(map[string]bellwether.Token)
	for tok, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if _, twice := rows[tok.ID]; twice {
			t.Fatalf("List yields row %q twice", clip(tok.ID))
		}
		rows[tok.ID] = tok
	}
	return rows
}

func wantRows(t testing.TB, s bellwether.Store, n int) {
	t.Helper()
	if rows := all(t, s); len(rows) != n {
		for id, tok := range rows {
			t.Logf("row %q: %s", clip(id), describe(tok))
		}
		t.Fatalf("the store has %d rows, want %d", len(rows), n)
	}
}

// wantStored checks that every way to read the row id gives want, but for what the
// store keeps by itself.
func (h Harness) wantStored(t testing.TB, s bellwether.Store, id string, want bellwether.Token) {
	t.Helper()
	want.ID = id
	want = content(h.trim(want.Canonical()))
	if d := diff(want, content(load(t, s, id))); d != "" {
		t.Fatalf("row %q by FindByID (-want +got):\n%s", clip(id), d)
	}
	if d := diff(want, content(wantFound(t, s, bellwether.Token{ID: id}, id))); d != "" {
		t.Fatalf("row %q by Find (-want +got):\n%s", clip(id), d)
	}
	if d := diff(want, content(all(t, s)[id])); d != "" {
		t.Fatalf("row %q by List (-want +got):\n%s", clip(id), d)
	}
}

// content returns t without what the store keeps by itself.
func content(t bellwether.Token) bellwether.Token {
	t.CreatedAt, t.UpdatedAt, t.Generation, t.State, t.Failure = time.Time{}, time.Time{}, 0, "", nil
	return t
}

// diff shows the texts of secrets: all of them were made here.
func diff(want, got any) string {
	return cmp.Diff(want, got, cmp.Transformer("Reveal", bellwether.Secret.Reveal))
}

// describe names what identifies t.
func describe(t bellwether.Token) string {
	fields := []struct{ name, value string }{
		{"ID", t.ID}, {"provider", t.Provider}, {"accounts", t.AccountsURL}, {"user", t.UserName}, {"client", t.ClientID},
		{"grant", t.GrantToken.Reveal()}, {"refresh", t.RefreshToken.Reveal()}, {"access", t.AccessToken.Reveal()},
	}
	var out []string
	for _, f := range fields {
		if f.value != "" {
			out = append(out, fmt.Sprintf("%s %q", f.name, clip(f.value)))
		}
	}
	if t.Generation != 0 {
		out = append(out, fmt.Sprintf("generation %d", t.Generation))
	}
	if len(out) == 0 {
		return "blank"
	}
	return strings.Join(out, " ")
}

// clip shortens a text for a message.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
