package storetest

import (
	"testing"

	"github.com/bellwether-go/bellwether"
)

var identityRules = []rule{
	{"IDWins", testIDWins},
	{"UserName", testUserName},
	{"UserNameNarrowed", testUserNameNarrowed},
	{"UserNameFillsBlanks", testUserNameFills},
	{"FindFillsNothing", testFindFillsNothing},
	{"AccessToken", testAccessToken},
	{"RefreshAndGrantToken", testRefreshToken},
	{"TokenNarrowed", testTokenNarrowed},
	{"TokenFillsBlanks", testTokenFills},
	{"UserNameBeforeToken", testUserNameBeforeToken},
	{"NamelessRowTakesTheName", testTakesName},
	{"NamedRowKeepsItsName", testKeepsName},
	{"OneRowPerRefreshToken", testOneRowPerToken},
	{"OneRowPerUserName", testOneRowPerUserName},
	{"IdentityMoves", testIdentityMoves},
	{"TwoRowsByTwoTokens", testTwoTokens},
}

func testIDWins(t *testing.T, h Harness) {
	s := h.New(t)
	save(t, s, withID(full("a"), "one"))
	save(t, s, withID(full("b"), "two"))
	wantFound(t, s, bellwether.Token{ID: "two", UserName: "user-a", RefreshToken: secret("refresh-a")}, "two")
	got := save(t, s, bellwether.Token{ID: "two", AccessToken: secret("access-c")})
	if got.ID != "two" || got.UserName != "user-b" {
		t.Errorf("a Save by ID went to row %q of %q", got.ID, got.UserName)
	}
	wantRows(t, s, 2)
}

func testUserName(t *testing.T, h Harness) {
	s := h.New(t)
	a := save(t, s, full("a"))
	b := save(t, s, full("b"))
	wantFound(t, s, bellwether.Token{UserName: "user-a"}, a.ID)
	wantFound(t, s, bellwether.Token{UserName: "user-b"}, b.ID)
	for _, near := range []string{"user-", "user-A", "user-a ", "User-a", "user-ab"} {
		wantFindError(t, s, bellwether.Token{UserName: near}, bellwether.ErrNotFound)
	}
	got := save(t, s, refreshable("user-a", "another"))
	if got.ID != a.ID {
		t.Errorf("a Save by user name went to row %q, want %q", got.ID, a.ID)
	}
	wantFound(t, s, bellwether.Token{RefreshToken: secret("another")}, a.ID)
	wantRows(t, s, 2)
}

// The three fields that narrow, with two values each.
var narrowing = []struct {
	name     string
	one, two string
	set      func(*bellwether.Token, string)
}{
	{"provider", "zoho", "oauth", func(t *bellwether.Token, v string) { t.Provider = v }},
	{"accounts URL", "https://accounts.zoho.eu", "https://accounts.zoho.com", func(t *bellwether.Token, v string) { t.AccountsURL = v }},
	{"client id", "client-one", "client-two", func(t *bellwether.Token, v string) { t.ClientID = v }},
}

func testUserNameNarrowed(t *testing.T, h Harness) {
	for _, n := range narrowing {
		t.Run(n.name, func(t *testing.T) {
			s := h.New(t)
			with := func(tok bellwether.Token, v string) bellwether.Token { n.set(&tok, v); return tok }
			user := bellwether.Token{UserName: "u"}
			one := save(t, s, with(refreshable("u", "r1"), n.one))
			wantFound(t, s, user, one.ID)
			two := save(t, s, with(refreshable("u", "r2"), n.two))
			if one.ID == two.ID {
				t.Fatalf("the %s does not narrow a Save", n.name)
			}
			wantFound(t, s, with(user, n.one), one.ID)
			wantFound(t, s, with(user, n.two), two.ID)
			wantFindError(t, s, with(user, "third"), bellwether.ErrNotFound)
			wantFindError(t, s, user, bellwether.ErrAmbiguous)
			wantSaveError(t, s, bellwether.Token{UserName: "u", APIDomain: "https://x"}, bellwether.ErrAmbiguous)
			wantSaveError(t, s, bellwether.Token{UserName: "u", RefreshToken: secret("r3")}, bellwether.ErrAmbiguous)
			if got := save(t, s, with(bellwether.Token{UserName: "u", TokenType: "t"}, n.two)); got.ID != two.ID {
				t.Errorf("a narrowed Save went to row %q, want %q", got.ID, two.ID)
			}
			wantRows(t, s, 2)
			if err := s.Delete(t.Context(), one.ID); err != nil {
				t.Fatal(err)
			}
			wantFound(t, s, user, two.ID) // no longer ambiguous
		})
	}
}

func testUserNameFills(t *testing.T, h Harness) {
	for _, n := range narrowing {
		t.Run(n.name, func(t *testing.T) {
			s := h.New(t)
			row := save(t, s, refreshable("u", "r"))
			given := bellwether.Token{UserName: "u"}
			n.set(&given, n.one)
			if got := save(t, s, given); got.ID != row.ID {
				t.Fatalf("a Save did not match the blank %s: row %q, want %q", n.name, got.ID, row.ID)
			}
			h.wantStored(t, s, row.ID, row.Merge(given))
			// Filled, it narrows.
			n.set(&given, n.two)
			wantFindError(t, s, given, bellwether.ErrNotFound)
			given.RefreshToken = secret("r2")
			if got := save(t, s, given); got.ID == row.ID {
				t.Errorf("the filled %s does not narrow", n.name)
			}
			wantRows(t, s, 2)
		})
	}
}

func testFindFillsNothing(t *testing.T, h Harness) {
	s := h.New(t)
	row := save(t, s, refreshable("u", "r"))
	for _, n := range narrowing {
		for _, v := range []string{n.one, n.two} {
			partial := bellwether.Token{UserName: "u"}
			n.set(&partial, v)
			wantFound(t, s, partial, row.ID)
		}
	}
	if got := load(t, s, row.ID); diff(row, got) != "" {
		t.Errorf("Find changed the row (-before +after):\n%s", diff(row, got))
	}
}

func testAccessToken(t *testing.T, h Harness) {
	s := h.New(t)
	row := save(t, s, bellwether.Token{AccessToken: secret("a"), Provider: "zoho"})
	wantFound(t, s, bellwether.Token{AccessToken: secret("a")}, row.ID)
	wantFound(t, s, bellwether.Token{AccessToken: secret("a"), Provider: "zoho"}, row.ID)
	wantFindError(t, s, bellwether.Token{AccessToken: secret("a"), Provider: "oauth"}, bellwether.ErrNotFound)
	if got := save(t, s, bellwether.Token{AccessToken: secret("a"), TokenType: "t"}); got.ID != row.ID {
		t.Errorf("a Save by access token went to row %q, want %q", got.ID, row.ID)
	}
	wantRows(t, s, 1)

	// Beside client credentials the access token identifies nothing.
	for _, given := range []bellwether.Token{
		{AccessToken: secret("a"), ClientID: "c"},
		{AccessToken: secret("a"), ClientSecret: secret("s")},
	} {
		if got, err := s.Find(t.Context(), given); err == nil {
			t.Errorf("Find(%s) found row %q by access token", describe(given), got.ID)
		}
	}
	if got := save(t, s, bellwether.Token{AccessToken: secret("a"), ClientID: "c", ClientSecret: secret("s")}); got.ID == row.ID {
		t.Error("a Save with client credentials matched by access token")
	}
	wantRows(t, s, 2)
}

func testRefreshToken(t *testing.T, h Harness) {
	s := h.New(t)
	row := save(t, s, bellwether.Token{
		RefreshToken: secret("r"), GrantToken: secret("g"), ClientID: "c", ClientSecret: secret("s")})
	for _, partial := range []bellwether.Token{
		{RefreshToken: secret("r")},
		{GrantToken: secret("g")},
		{RefreshToken: secret("r"), GrantToken: secret("g")},
		{RefreshToken: secret("r"), ClientID: "c", ClientSecret: secret("s")},
		{GrantToken: secret("g"), ClientID: "c"},
		{RefreshToken: secret("r"), GrantToken: secret("unknown")},
		{RefreshToken: secret("r"), AccessToken: secret("unknown")}, // rule 2 finds nothing
	} {
		wantFound(t, s, partial, row.ID)
	}
	if got := save(t, s, bellwether.Token{RefreshToken: secret("r"), TokenType: "t"}); got.ID != row.ID {
		t.Errorf("a Save by refresh token went to row %q, want %q", got.ID, row.ID)
	}
	if got := save(t, s, bellwether.Token{GrantToken: secret("g"), AccessToken: secret("a")}); got.ID != row.ID {
		t.Errorf("a Save by grant token went to row %q, want %q", got.ID, row.ID)
	}
	wantRows(t, s, 1)
}

func testTokenNarrowed(t *testing.T, h Harness) {
	for _, n := range narrowing {
		t.Run(n.name, func(t *testing.T) {
			s := h.New(t)
			given := bellwether.Token{RefreshToken: secret("r"), GrantToken: secret("g")}
			n.set(&given, n.one)
			row := save(t, s, given)
			for _, partial := range []bellwether.Token{{RefreshToken: secret("r")}, {GrantToken: secret("g")}} {
				wantFound(t, s, partial, row.ID)
				n.set(&partial, n.one)
				wantFound(t, s, partial, row.ID)
				n.set(&partial, n.two)
				wantFindError(t, s, partial, bellwether.ErrNotFound)
				wantSaveError(t, s, partial, bellwether.ErrConflict) // it would be a second owner
			}
		})
	}
}

func testTokenFills(t *testing.T, h Harness) {
	for _, n := range narrowing {
		t.Run(n.name, func(t *testing.T) {
			s := h.New(t)
			row := save(t, s, bellwether.Token{RefreshToken: secret("r")})
			given := bellwether.Token{RefreshToken: secret("r")}
			n.set(&given, n.one)
			if got := save(t, s, given); got.ID != row.ID {
				t.Fatalf("a Save did not match the blank %s: row %q, want %q", n.name, got.ID, row.ID)
			}
			h.wantStored(t, s, row.ID, given)
			n.set(&given, n.two)
			wantFindError(t, s, given, bellwether.ErrNotFound)
		})
	}
}

func testUserNameBeforeToken(t *testing.T, h Harness) {
	s := h.New(t)
	named := save(t, s, refreshable("u", "r1"))
	save(t, s, bellwether.Token{RefreshToken: secret("r2"), AccessToken: secret("a2")})
	wantFound(t, s, bellwether.Token{UserName: "u", RefreshToken: secret("r2")}, named.ID)
	wantFound(t, s, bellwether.Token{UserName: "u", AccessToken: secret("a2")}, named.ID)
	// The user's row cannot take the other row's refresh token.
	wantSaveError(t, s, refreshable("u", "r2"), bellwether.ErrConflict)
}

// testTakesName is the boot of Zoho's SDKs: first a Save with the refresh token, then
// one with the user name that an API call brought.
func testTakesName(t *testing.T, h Harness) {
	for name, token := range map[string]bellwether.Token{
		"refresh": {RefreshToken: secret("x")},
		"grant":   {GrantToken: secret("x")},
		"access":  {AccessToken: secret("x")},
	} {
		t.Run(name, func(t *testing.T) {
			s := h.New(t)
			row := save(t, s, token)
			given := token
			given.UserName = "u"
			wantFound(t, s, given, row.ID)
			if got := save(t, s, given); got.ID != row.ID || got.UserName != "u" {
				t.Fatalf("the nameless row %q did not take the name: row %q of %q", row.ID, got.ID, got.UserName)
			}
			wantFound(t, s, bellwether.Token{UserName: "u"}, row.ID)
			wantFound(t, s, token, row.ID)
			wantRows(t, s, 1)
		})
	}
}

func testKeepsName(t *testing.T, h Harness) {
	s := h.New(t)
	row := save(t, s, bellwether.Token{UserName: "u", RefreshToken: secret("r"), AccessToken: secret("a")})
	wantFindError(t, s, refreshable("v", "r"), bellwether.ErrNotFound)
	wantFindError(t, s, bellwether.Token{UserName: "v", AccessToken: secret("a")}, bellwether.ErrNotFound)
	wantSaveError(t, s, refreshable("v", "r"), bellwether.ErrConflict)
	// Without a name any row of the token matches.
	wantFound(t, s, bellwether.Token{RefreshToken: secret("r")}, row.ID)
	wantFound(t, s, bellwether.Token{AccessToken: secret("a")}, row.ID)
}

func testOneRowPerToken(t *testing.T, h Harness) {
	s := h.New(t)
	a := save(t, s, withID(full("a"), "one"))
	b := save(t, s, withID(full("b"), "two"))
	for _, bad := range []bellwether.Token{
		{ID: "three", RefreshToken: a.RefreshToken},
		{ID: "three", GrantToken: a.GrantToken},
		{ID: "two", RefreshToken: a.RefreshToken},
		{ID: "two", GrantToken: a.GrantToken},
		{ID: "two", RefreshToken: a.RefreshToken, Generation: b.Generation},
		{UserName: "new", RefreshToken: a.RefreshToken, AccessToken: secret("x")},
		{UserName: "user-b", RefreshToken: a.RefreshToken},
	} {
		wantSaveError(t, s, bad, bellwether.ErrConflict)
	}
	_, err := s.FindByID(t.Context(), "three")
	checkError(t, "a refused row", err, bellwether.ErrNotFound)

	// The owner may say it again, under every rule.
	save(t, s, bellwether.Token{ID: "one", RefreshToken: a.RefreshToken})
	save(t, s, bellwether.Token{UserName: "user-a", RefreshToken: a.RefreshToken, GrantToken: a.GrantToken})
	wantRows(t, s, 2)
}

func testOneRowPerUserName(t *testing.T, h Harness) {
	s := h.New(t)
	one := save(t, s, bellwether.Token{ID: "one", UserName: "u", Provider: "zoho", ClientID: "c1", RefreshToken: secret("r1")})
	two := save(t, s, bellwether.Token{ID: "two", UserName: "u", Provider: "oauth", RefreshToken: secret("r2")})
	for _, bad := range []bellwether.Token{
		{ID: "new", UserName: "u", Provider: "zoho", ClientID: "c1", RefreshToken: secret("r3")}, // the same
		{ID: "new", UserName: "u", Provider: "zoho", RefreshToken: secret("r3")},                 // blank client
		{ID: "new", UserName: "u", RefreshToken: secret("r3")},                                   // all blank
		{ID: "two", Provider: "zoho"},                                                            // by a merge
		{ID: "two", UserName: "u", Provider: "zoho", RefreshToken: two.RefreshToken, Generation: two.Generation},
		{ID: "one", UserName: "u", RefreshToken: one.RefreshToken, Generation: one.Generation}, // by clearing
	} {
		wantSaveError(t, s, bad, bellwether.ErrConflict)
	}
	save(t, s, bellwether.Token{ID: "three", UserName: "u", Provider: "zoho", ClientID: "c2", RefreshToken: secret("r3")})
	save(t, s, bellwether.Token{ID: "four", UserName: "v", RefreshToken: secret("r4")})
	wantSaveError(t, s, bellwether.Token{ID: "four", UserName: "u"}, bellwether.ErrConflict) // by a new name
	save(t, s, bellwether.Token{ID: "four", UserName: "u", Provider: "saml"})
	wantRows(t, s, 4)
}

func testIdentityMoves(t *testing.T, h Harness) {
	s := h.New(t)
	save(t, s, bellwether.Token{ID: "row", UserName: "old", ClientID: "c1", RefreshToken: secret("r")})
	save(t, s, bellwether.Token{ID: "row", UserName: "new"})
	wantFindError(t, s, bellwether.Token{UserName: "old"}, bellwether.ErrNotFound)
	wantFound(t, s, bellwether.Token{UserName: "new"}, "row")

	save(t, s, bellwether.Token{ID: "row", ClientID: "c2"})
	wantFindError(t, s, bellwether.Token{UserName: "new", ClientID: "c1"}, bellwether.ErrNotFound)
	wantFindError(t, s, bellwether.Token{RefreshToken: secret("r"), ClientID: "c1"}, bellwether.ErrNotFound)
	wantFound(t, s, bellwether.Token{UserName: "new", ClientID: "c2"}, "row")

	// What the row has left, another may take.
	other := save(t, s, bellwether.Token{UserName: "old", ClientID: "c1", RefreshToken: secret("r2")})
	another := save(t, s, bellwether.Token{UserName: "new", ClientID: "c1", RefreshToken: secret("r3")})
	if other.ID == "row" || another.ID == "row" || other.ID == another.ID {
		t.Errorf("rows %q and %q, want two new ones", other.ID, another.ID)
	}
	row := load(t, s, "row")
	save(t, s, bellwether.Token{ID: "row", RefreshToken: secret("r"), Generation: row.Generation}) // drops the name
	wantFindError(t, s, bellwether.Token{UserName: "new", ClientID: "c2"}, bellwether.ErrNotFound)
	wantFound(t, s, bellwether.Token{RefreshToken: secret("r")}, "row")
	wantRows(t, s, 3)
}

func testTwoTokens(t *testing.T, h Harness) {
	s := h.New(t)
	save(t, s, bellwether.Token{RefreshToken: secret("r1"), GrantToken: secret("g1")})
	save(t, s, bellwether.Token{RefreshToken: secret("r2"), GrantToken: secret("g2")})
	both := bellwether.Token{RefreshToken: secret("r1"), GrantToken: secret("g2")}
	wantFindError(t, s, both, bellwether.ErrAmbiguous)
	wantSaveError(t, s, both, bellwether.ErrAmbiguous, bellwether.ErrConflict)
}
