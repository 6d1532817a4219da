package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
)

var valueRules = []rule{
	{"EveryField", testEveryField},
	{"TimesToTheMillisecond", testTimes},
	{"HostileIDs", testHostileIDs},
	{"HostileValues", testHostileValues},
	{"RefusedValues", testRefusedValues},
	{"LargeValues", testLargeValues},
	{"NoSharedMemory", testNoSharedMemory},
	{"Miss", testMiss},
}

func testEveryField(t *testing.T, h Harness) {
	s := h.New(t)
	want := full("a")
	got := save(t, s, want)
	if got.ID == "" {
		t.Fatal("Save gave the new row no ID")
	}
	if err := bellwether.ValidateID(got.ID); err != nil {
		t.Fatalf("Save gave the new row the ID %q: %v", got.ID, err)
	}
	want.ID = got.ID
	if d := diff(content(h.trim(want)), content(got)); d != "" {
		t.Fatalf("Save returned (-want +got):\n%s", d)
	}
	h.wantStored(t, s, got.ID, want)
	if stored := load(t, s, got.ID); diff(got, stored) != "" {
		t.Fatalf("what Save returned is not what is stored (-returned +stored):\n%s", diff(got, stored))
	}
	if got.State != bellwether.StateActive || got.Failure != nil {
		t.Errorf("a new row has state %q and failure %v, want %q and none", got.State, got.Failure, bellwether.StateActive)
	}
	if got.Generation < 1 {
		t.Errorf("a new row has generation %d, want at least 1", got.Generation)
	}
	if got.CreatedAt.IsZero() || got.UpdatedAt.Before(got.CreatedAt) {
		t.Errorf("a new row was created %v and updated %v", got.CreatedAt, got.UpdatedAt)
	}

	// The smallest row: nothing appears that was not given.
	small := save(t, s, bellwether.Token{AccessToken: secret("alone")})
	h.wantStored(t, s, small.ID, bellwether.Token{AccessToken: secret("alone")})
}

func testTimes(t *testing.T, h Harness) {
	s := h.New(t)
	zone := time.FixedZone("east", 5*3600+1800)
	for name, at := range map[string]time.Time{
		"sub-millisecond": day.Add(999_999 * time.Nanosecond),
		"local zone":      day.In(zone),
		"monotonic":       time.Now(),
		"epoch":           time.UnixMilli(1),
		"far":             time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC),
	} {
		want := bellwether.Token{ID: name, AccessToken: secret("a-" + name), RefreshToken: secret("r-" + name),
			IssuedAt: at, ExpiresAt: at, RefreshExpiresAt: at}
		got := save(t, s, want)
		h.wantStored(t, s, name, want)
		for _, p := range []time.Time{got.CreatedAt, got.UpdatedAt} {
			if p.Nanosecond()%int(time.Millisecond) != 0 {
				t.Errorf("%s: the store keeps a time finer than a millisecond: %v", name, p)
			}
		}
	}
}

// hostileTexts are legal wherever a text is.
var hostileTexts = []string{
	"\x00", "a\x00b", "\x00\x00trailing\x00",
	":", "a:b:c", "t:l:due", "::",
	"{", "}", "{}", "{0001}", "a{b}c", "}{", "{tag}:t:id",
	"\n", "a\r\nb", "line\nSET x 1\n", "\t", " ", " leading", "trailing ",
	"\U0001f511", "\U0001f469\u200d\U0001f4bb", "café", "cafe\u0301", "\u202e", "\ufeff", "日本語",
	"*", "?", "[a-z]", "%s%d%n", "%00", "..", "../../etc/passwd", "/", "\\",
	"'", `"`, "'; DROP TABLE tokens; --", `{"json":true}`, "a,b;c\"d\"", "=cmd()", "null", "0", "-1", "1e9", "true",
	"[redacted]",
}

func testHostileIDs(t *testing.T, h Harness) {
	s := h.New(t)
	ids := append([]string{
		strings.Repeat("x", bellwether.MaxIDLen),
		strings.Repeat("\x00", bellwether.MaxIDLen),
		strings.Repeat("é", bellwether.MaxIDLen/2),
	}, hostileTexts...)
	for i, id := range ids {
		if got := save(t, s, bellwether.Token{ID: id, AccessToken: secret("token of " + id), TokenType: "t"}); got.ID != id {
			t.Fatalf("Save under ID %q returned row %q", id, got.ID)
		}
		if i%2 == 0 {
			save(t, s, bellwether.Token{ID: id, TokenType: "updated"})
		}
	}
	wantRows(t, s, len(ids)) // none stands for another
	for i, id := range ids {
		kind := "t"
		if i%2 == 0 {
			kind = "updated"
		}
		h.wantStoredQuickly(t, s, bellwether.Token{ID: id, AccessToken: secret("token of " + id), TokenType: kind})
	}
	for i, id := range ids {
		if err := s.Delete(t.Context(), id); err != nil {
			t.Fatalf("Delete(%q): %v", clip(id), err)
		}
		if i == 0 {
			wantRows(t, s, len(ids)-1)
		}
	}
	wantRows(t, s, 0)
}

// wantStoredQuickly is wantStored without the listing.
func (h Harness) wantStoredQuickly(t testing.TB, s bellwether.Store, want bellwether.Token) {
	t.Helper()
	if d := diff(content(h.trim(want.Canonical())), content(load(t, s, want.ID))); d != "" {
		t.Fatalf("row %q (-want +got):\n%s", clip(want.ID), d)
	}
}

func testHostileValues(t *testing.T, h Harness) {
	s := h.New(t)
	ids := make(map[string]string)
	for _, v := range hostileTexts {
		want := bellwether.Token{
			UserName: "u" + v, ClientID: "c" + v, ClientSecret: secret(v), TokenType: v,
			GrantToken: secret("g" + v), RefreshToken: secret("r" + v), AccessToken: secret("a" + v),
			Scopes: []string{v, "read", v},
			Extra:  map[string]bellwether.Secret{v: secret(v), "plain": secret(v)},
		}
		got := save(t, s, want)
		if other, twice := ids[got.ID]; twice {
			t.Fatalf("the values %q and %q went into one row", other, v)
		}
		ids[got.ID] = v
		h.wantStoredQuickly(t, s, withID(want, got.ID))
	}
	for id, v := range ids {
		wantFound(t, s, bellwether.Token{UserName: "u" + v}, id)
		wantFound(t, s, bellwether.Token{UserName: "u" + v, ClientID: "c" + v}, id)
		wantFound(t, s, bellwether.Token{AccessToken: secret("a" + v)}, id)
		wantFound(t, s, bellwether.Token{RefreshToken: secret("r" + v)}, id)
		wantFound(t, s, bellwether.Token{GrantToken: secret("g" + v)}, id)
	}
	// A part cannot flow into its neighbour.
	save(t, s, bellwether.Token{UserName: "ab", ClientID: "c", RefreshToken: secret("parts")})
	wantFindError(t, s, bellwether.Token{UserName: "a", ClientID: "bc"}, bellwether.ErrNotFound)
}

func withID(t bellwether.Token, id string) bellwether.Token {
	t.ID = id
	return t
}

func testRefusedValues(t *testing.T, h Harness) {
	s := h.New(t)
	save(t, s, withID(full("a"), "row"))
	ids := map[string]string{
		"256 bytes":       strings.Repeat("x", bellwether.MaxIDLen+1),
		"256 in letters":  strings.Repeat("é", bellwether.MaxIDLen/2+1),
		"invalid UTF-8":   "a\xffb",
		"truncated UTF-8": "\xf0\x9f\x94",
	}
	for name, id := range ids {
		wantSaveError(t, s, bellwether.Token{ID: id, AccessToken: secret("a")}, bellwether.ErrInvalid)
		wantFindError(t, s, bellwether.Token{ID: id}, bellwether.ErrInvalid)
		_, err := s.FindByID(t.Context(), id)
		checkError(t, "FindByID of an ID with "+name, err, bellwether.ErrInvalid)
		checkError(t, "Delete of an ID with "+name, s.Delete(t.Context(), id), bellwether.ErrInvalid)
	}
	_, err := s.FindByID(t.Context(), "")
	checkError(t, "FindByID of a blank", err, bellwether.ErrInvalid)
	checkError(t, "Delete of a blank", s.Delete(t.Context(), ""), bellwether.ErrInvalid)

	over := strings.Repeat("x", bellwether.MaxValueLen+1)
	for _, bad := range []bellwether.Token{
		{UserName: over}, {ClientID: over}, {ClientSecret: secret(over)}, {RefreshToken: secret(over)},
		{AccessToken: secret(over)}, {Extra: map[string]bellwether.Secret{"k": secret(over)}},
		{Provider: "Not A Name"}, {UserName: "bad\xff"}, {RefreshToken: secret("bad\xff")}, {Generation: -1},
	} {
		wantSaveError(t, s, withID(bad, "row"), bellwether.ErrInvalid)
	}
}

func testLargeValues(t *testing.T, h Harness) {
	s := h.New(t)
	big := func(tag string) string {
		return tag + strings.Repeat("\U0001f511{:\x00", bellwether.MaxValueLen)[:bellwether.MaxValueLen-len(tag)-7] + "1234567"
	}
	want := bellwether.Token{
		UserName: valid(big("u")), ClientID: valid(big("c")), ClientSecret: secret(valid(big("s"))),
		GrantToken: secret(valid(big("g"))), RefreshToken: secret(valid(big("r"))), AccessToken: secret(valid(big("a"))),
		Scopes: []string{valid(big("scope"))},
		Extra:  map[string]bellwether.Secret{"id_token": secret(valid(big("e")))},
	}
	got := save(t, s, want)
	h.wantStored(t, s, got.ID, want)
	wantFound(t, s, bellwether.Token{UserName: want.UserName}, got.ID)
	wantFound(t, s, bellwether.Token{RefreshToken: want.RefreshToken}, got.ID)
	wantFound(t, s, bellwether.Token{AccessToken: want.AccessToken}, got.ID)
	// Long texts that differ at the end only are two.
	wantFindError(t, s, bellwether.Token{UserName: want.UserName[:len(want.UserName)-1]}, bellwether.ErrNotFound)
}

// valid takes out what cutting through a character has left.
func valid(s string) string { return strings.ToValidUTF8(s, "") }

func testNoSharedMemory(t *testing.T, h Harness) {
	s := h.New(t)
	given := full("a")
	kept := given.Clone()
	spoil := func(tok bellwether.Token) {
		tok.Scopes[0] = "spoilt"
		tok.Extra["id_token"] = secret("spoilt")
		tok.Extra["more"] = secret("spoilt")
	}
	saved := save(t, s, given)
	spoil(given)
	h.wantStored(t, s, saved.ID, kept)
	spoil(saved)
	h.wantStored(t, s, saved.ID, kept)
	spoil(load(t, s, saved.ID))
	spoil(wantFound(t, s, bellwether.Token{UserName: kept.UserName}, saved.ID))
	spoil(all(t, s)[saved.ID])
	h.wantStored(t, s, saved.ID, kept)
}

func testMiss(t *testing.T, h Harness) {
	s := h.New(t)
	for range 2 { // on an empty store, then beside another row
		_, err := s.FindByID(t.Context(), "missing")
		checkError(t, "FindByID of a missing row", err, bellwether.ErrNotFound)
		checkError(t, "Delete of a missing row", s.Delete(t.Context(), "missing"), bellwether.ErrNotFound)
		for _, partial := range []bellwether.Token{
			{ID: "missing"}, {UserName: "missing"}, {AccessToken: secret("missing")},
			{RefreshToken: secret("missing")}, {GrantToken: secret("missing")},
			{ID: "missing", UserName: "user-a"}, // an ID ends the search
		} {
			wantFindError(t, s, partial, bellwether.ErrNotFound)
		}
		save(t, s, full("a"))
	}
	for _, partial := range []bellwether.Token{
		{}, {Provider: "zoho"}, {ClientID: "client-a"}, {ClientID: "client-a", ClientSecret: secret("client-secret-a")},
		{Scopes: []string{"x"}}, {Provider: "zoho", AccountsURL: "https://accounts.zoho.eu", APIDomain: "https://www.zohoapis.eu"},
	} {
		wantFindError(t, s, partial, bellwether.ErrInvalid)
	}
}
