package storetest

import (
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
)

var saveRules = []rule{
	{"MergeKeepsWhatIsAbsent", testMerge},
	{"MergeByIdentity", testMergeByIdentity},
	{"UnknownIDIsInserted", testUnknownID},
	{"BookkeepingIsTheStores", testBookkeeping},
	{"ReplaceClears", testReplace},
	{"ReplaceNeedsTheGeneration", testReplaceConflict},
	{"CredentialNeeded", testCredentialNeeded},
	{"ClientCredentialsAreACredential", testClientCredentials},
	{"ClearedMayComeBack", testClearedComesBack},
}

// testMerge compares with Token.Merge, field by field and together.
func testMerge(t *testing.T, h Harness) {
	s := h.New(t)
	later := day.Add(48 * time.Hour)
	for name, given := range map[string]bellwether.Token{
		"nothing":               {},
		"provider":              {Provider: "other"},
		"accounts URL":          {AccountsURL: "https://accounts.zoho.com"},
		"user name":             {UserName: "renamed"},
		"client id":             {ClientID: "client-new"},
		"client secret":         {ClientSecret: secret("client-secret-new")},
		"redirect URL":          {RedirectURL: "https://example.org/new"},
		"grant and refresh":     {GrantToken: secret("new-1"), RefreshToken: secret("new-2")},
		"grant":                 {GrantToken: secret("new-3")},
		"refresh":               {RefreshToken: secret("new-4")},
		"refresh with expiry":   {RefreshToken: secret("new-5"), RefreshExpiresAt: later},
		"access":                {AccessToken: secret("new-6")},
		"access with life":      {AccessToken: secret("new-7"), TokenType: "New", IssuedAt: later, ExpiresAt: later.Add(time.Hour)},
		"token type":            {TokenType: "New"},
		"scopes":                {Scopes: []string{"new"}},
		"API domain":            {APIDomain: "https://www.zohoapis.com"},
		"expiry":                {ExpiresAt: later},
		"issue time":            {IssuedAt: later},
		"refresh expiry":        {RefreshExpiresAt: later},
		"extra, another key":    {Extra: map[string]bellwether.Secret{"new": secret("n")}},
		"extra, same key":       {Extra: map[string]bellwether.Secret{"id_token": secret("n")}},
		"extra, absent value":   {Extra: map[string]bellwether.Secret{"id_token": {}, "new": secret("n")}},
		"empty, not absent":     {Scopes: []string{}, Extra: map[string]bellwether.Secret{}},
		"same credentials":      {GrantToken: secret("grant-%"), RefreshToken: secret("refresh-%"), AccessToken: secret("access-%")},
		"access and API domain": {AccessToken: secret("new-8"), APIDomain: "https://www.zohoapis.in", Scopes: []string{"less"}},
		"new lineage and API domain": {RefreshToken: secret("new-9"), AccessToken: secret("new-10"), APIDomain: "https://www.zohoapis.in",
			TokenType: "New", Scopes: []string{"new"}},
	} {
		tag := "of " + name
		stored := save(t, s, withID(full(tag), name))
		if name == "same credentials" {
			f := full(tag)
			given.GrantToken, given.RefreshToken, given.AccessToken = f.GrantToken, f.RefreshToken, f.AccessToken
		}
		given.ID = name
		want := stored.Merge(given)
		got := save(t, s, given)
		if d := diff(content(h.trim(want)), content(got)); d != "" {
			t.Errorf("Save of %s returned (-want +got):\n%s", name, d)
		}
		h.wantStoredQuickly(t, s, want)
		// Twice is once.
		save(t, s, given)
		h.wantStoredQuickly(t, s, want.Merge(given))
	}
}

func testMergeByIdentity(t *testing.T, h Harness) {
	s := h.New(t)
	want := save(t, s, full("a"))
	for _, given := range []bellwether.Token{
		{UserName: want.UserName, APIDomain: "https://one.example"},
		{AccessToken: want.AccessToken, APIDomain: "https://two.example"},
		{RefreshToken: want.RefreshToken, APIDomain: "https://three.example"},
		{GrantToken: want.GrantToken, RefreshToken: want.RefreshToken, ClientID: want.ClientID, ClientSecret: want.ClientSecret, APIDomain: "https://four.example"},
	} {
		got := save(t, s, given)
		if got.ID != want.ID {
			t.Fatalf("Save(%s) went to row %q, want %q", describe(given), got.ID, want.ID)
		}
		want = want.Merge(given)
		h.wantStored(t, s, want.ID, want)
	}
	wantRows(t, s, 1)
}

func testUnknownID(t *testing.T, h Harness) {
	s := h.New(t)
	got := save(t, s, withID(full("a"), "mine"))
	if got.ID != "mine" {
		t.Fatalf("Save under an unknown ID returned row %q, want %q", got.ID, "mine")
	}
	h.wantStored(t, s, "mine", full("a"))
	wantFound(t, s, bellwether.Token{UserName: "user-a"}, "mine")
	wantRows(t, s, 1)
}

func testBookkeeping(t *testing.T, h Harness) {
	s := h.New(t)
	given := full("a")
	given.CreatedAt, given.UpdatedAt = day, day
	given.State = bellwether.StateRevoking
	given.Failure = &bellwether.Failure{Code: "x", Count: 3, At: day}
	first := save(t, s, given)
	if first.State != bellwether.StateActive || first.Failure != nil {
		t.Errorf("the store took state %q and failure %v from a Save", first.State, first.Failure)
	}
	if first.CreatedAt.Equal(day) || first.UpdatedAt.Equal(day) {
		t.Errorf("the store took CreatedAt %v or UpdatedAt %v from a Save", first.CreatedAt, first.UpdatedAt)
	}
	last := first
	for i := range 5 {
		given := bellwether.Token{ID: first.ID, TokenType: string(rune('a' + i)), CreatedAt: day, UpdatedAt: day}
		if i == 3 {
			given = full("a")
			given.ID, given.Generation, given.CreatedAt, given.UpdatedAt = first.ID, last.Generation, day, day
		}
		got := save(t, s, given)
		if got.Generation != last.Generation+1 {
			t.Errorf("a Save made generation %d out of %d", got.Generation, last.Generation)
		}
		if !got.CreatedAt.Equal(first.CreatedAt) {
			t.Errorf("a Save moved CreatedAt from %v to %v", first.CreatedAt, got.CreatedAt)
		}
		if got.UpdatedAt.Before(last.UpdatedAt) {
			t.Errorf("a Save moved UpdatedAt back from %v to %v", last.UpdatedAt, got.UpdatedAt)
		}
		if stored := load(t, s, first.ID); diff(got, stored) != "" {
			t.Errorf("what Save returned is not what is stored (-returned +stored):\n%s", diff(got, stored))
		}
		last = got
	}
}

func testReplace(t *testing.T, h Harness) {
	s := h.New(t)
	for name, given := range map[string]bellwether.Token{
		"all but the refresh token": {RefreshToken: full("all but the refresh token").RefreshToken},
		"all but the access token":  {AccessToken: full("all but the access token").AccessToken},
		"one extra":                 {RefreshToken: secret("r"), Extra: map[string]bellwether.Secret{"new": secret("n")}},
		"everything else":           full("replaced"),
	} {
		row := save(t, s, withID(full(name), name))
		given.ID, given.Generation = name, row.Generation
		want := row.Replace(given)
		got := save(t, s, given)
		if d := diff(content(h.trim(want)), content(got)); d != "" {
			t.Errorf("replacing with %s returned (-want +got):\n%s", name, d)
		}
		h.wantStoredQuickly(t, s, want)
		if want.UserName == "" {
			wantFindError(t, s, bellwether.Token{UserName: row.UserName}, bellwether.ErrNotFound)
		}
		if err := s.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	// By identity.
	row := save(t, s, full("b"))
	got := save(t, s, bellwether.Token{UserName: row.UserName, RefreshToken: row.RefreshToken, Generation: row.Generation})
	if got.ID != row.ID || !got.ClientSecret.IsZero() {
		t.Errorf("replacing by identity went to row %q with client secret %v, want row %q without", got.ID, got.ClientSecret, row.ID)
	}
}

func testReplaceConflict(t *testing.T, h Harness) {
	s := h.New(t)
	first := save(t, s, withID(full("a"), "row"))
	second := save(t, s, bellwether.Token{ID: "row", TokenType: "other"})
	for _, gen := range []int64{first.Generation, second.Generation + 1, 1 << 40} {
		given := withID(full("a"), "row")
		given.Generation = gen
		wantSaveError(t, s, given, bellwether.ErrConflict)
		given.ID = ""
		wantSaveError(t, s, given, bellwether.ErrConflict)
	}
	for _, gen := range []int64{1, 2} {
		given := withID(full("b"), "missing")
		given.Generation = gen
		wantSaveError(t, s, given, bellwether.ErrConflict)
		given.ID = ""
		wantSaveError(t, s, given, bellwether.ErrConflict)
	}
	given := withID(full("a"), "row")
	given.Generation = second.Generation
	save(t, s, given)
}

func testCredentialNeeded(t *testing.T, h Harness) {
	s := h.New(t)
	for _, bad := range []bellwether.Token{
		{}, {UserName: "u"}, {ClientID: "c"}, {ClientSecret: secret("s")}, {ID: "row"},
		{ID: "row", UserName: "u", ClientID: "c", ExpiresAt: day, Extra: map[string]bellwether.Secret{"id_token": secret("x")}},
	} {
		wantSaveError(t, s, bad, bellwether.ErrInvalid)
	}
	wantFindError(t, s, bellwether.Token{UserName: "u"}, bellwether.ErrNotFound)

	row := save(t, s, bellwether.Token{ID: "row", UserName: "u", RefreshToken: secret("r")})
	wantSaveError(t, s, bellwether.Token{ID: "row", UserName: "u", Generation: row.Generation}, bellwether.ErrInvalid)
	// A merge needs no credential of its own.
	save(t, s, bellwether.Token{ID: "row", ClientID: "c"})
}

func testClientCredentials(t *testing.T, h Harness) {
	s := h.New(t)
	given := bellwether.Token{Provider: "oauth", UserName: "service", ClientID: "c", ClientSecret: secret("s")}
	row := save(t, s, given)
	h.wantStored(t, s, row.ID, given)
	wantFound(t, s, bellwether.Token{UserName: "service"}, row.ID)

	// Two services may share a client: client credentials identify no row.
	other := save(t, s, bellwether.Token{ClientID: "c", ClientSecret: secret("s")})
	if other.ID == row.ID {
		t.Fatal("client credentials alone found a row")
	}
	// Its first access token.
	save(t, s, bellwether.Token{ID: row.ID, AccessToken: secret("a"), ExpiresAt: day})
	given.AccessToken, given.ExpiresAt = secret("a"), day
	h.wantStored(t, s, row.ID, given)
}

// testClearedComesBack: what was cleared is not superseded, and can be given again.
func testClearedComesBack(t *testing.T, h Harness) {
	s := h.New(t)
	want := withID(full("a"), "row")
	row := save(t, s, want)
	row = save(t, s, bellwether.Token{ID: "row", ClientID: "c", ClientSecret: secret("s"), Generation: row.Generation})
	if row.HasCredential() && row.RefreshToken.IsZero() && row.AccessToken.IsZero() && row.GrantToken.IsZero() {
		save(t, s, want)
		h.wantStored(t, s, "row", want)
		return
	}
	t.Fatalf("replacing did not clear the tokens: %s", describe(row))
}
