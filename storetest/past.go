package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A Store does not rotate by itself. Here a rotation is a Save of another refresh
// token to the same row: a new lineage, whose first token is remembered.
var pastRules = []rule{
	{"BootWithTheFirstRefreshToken", testBoot},
	{"BootWithAnOldGrantToken", testOldGrant},
	{"OldAccessToken", testOldAccess},
	{"FifteenBack", testFifteenBack},
	{"OldTokenIsOwned", testOldTokenIsOwned},
	{"OldTokenCarriesTheRest", testOldTokenCarries},
	{"OldLifeIsNotTaken", testOldLife},
	{"NewCodeSupersedes", testNewCode},
}

// lineageRules need Harness.Condemn.
var lineageRules = []rule{
	{"ResetsTheState", testLineage},
}

// rotate saves a row with refresh tokens PREFIX0 to PREFIXn, one after the other.
func rotate(t testing.TB, s bellwether.Store, first bellwether.Token, prefix string, n int) bellwether.Token {
	t.Helper()
	first.RefreshToken = secret(prefix + "0")
	row := save(t, s, first)
	for i := range n {
		row = save(t, s, bellwether.Token{ID: row.ID, RefreshToken: secret(fmt.Sprint(prefix, i+1))})
	}
	return row
}

// testBoot: a replica starts with the refresh token of its environment, which was
// rotated away long ago.
func testBoot(t *testing.T, h Harness) {
	client := bellwether.Token{ClientID: "c", ClientSecret: secret("s")}
	named := client
	named.UserName = "u"
	for name, first := range map[string]bellwether.Token{"nameless": client, "named": named, "bare": {}} {
		t.Run(name, func(t *testing.T) {
			s := h.New(t)
			row := rotate(t, s, first, "r", 3)
			for _, old := range []string{"r0", "r1", "r2"} {
				for _, boot := range []bellwether.Token{
					{RefreshToken: secret(old)},
					{RefreshToken: secret(old), ClientID: first.ClientID, ClientSecret: first.ClientSecret},
					{RefreshToken: secret(old), UserName: first.UserName},
					{RefreshToken: secret(old), ID: row.ID},
				} {
					wantFound(t, s, boot, row.ID)
					got := save(t, s, boot)
					if got.ID != row.ID {
						t.Fatalf("Save(%s) went to row %q, want %q", describe(boot), got.ID, row.ID)
					}
					if !got.RefreshToken.Equal(secret("r3")) {
						t.Fatalf("Save(%s) brought back %q over r3", describe(boot), got.RefreshToken.Reveal())
					}
				}
			}
			want := first
			want.RefreshToken = secret("r3")
			h.wantStored(t, s, row.ID, want)
			wantRows(t, s, 1)
		})
	}
}

func testOldGrant(t *testing.T, h Harness) {
	s := h.New(t)
	row := save(t, s, bellwether.Token{GrantToken: secret("g0"), ClientID: "c", ClientSecret: secret("s")})
	save(t, s, bellwether.Token{ID: row.ID, GrantToken: secret("g1"), RefreshToken: secret("r1")})
	for _, boot := range []bellwether.Token{
		{GrantToken: secret("g0")},
		{GrantToken: secret("g0"), ClientID: "c", ClientSecret: secret("s")},
		{GrantToken: secret("g0"), ID: row.ID},
	} {
		wantFound(t, s, boot, row.ID)
		if got := save(t, s, boot); got.ID != row.ID {
			t.Fatalf("Save(%s) went to row %q, want %q", describe(boot), got.ID, row.ID)
		}
	}
	h.wantStored(t, s, row.ID, bellwether.Token{GrantToken: secret("g1"), RefreshToken: secret("r1"), ClientID: "c", ClientSecret: secret("s")})
	wantRows(t, s, 1)
}

func testOldAccess(t *testing.T, h Harness) {
	s := h.New(t)
	row := save(t, s, bellwether.Token{AccessToken: secret("a0"), RefreshToken: secret("r"), ExpiresAt: day})
	want := bellwether.Token{AccessToken: secret("a1"), RefreshToken: secret("r"), TokenType: "new", ExpiresAt: day.Add(time.Hour)}
	save(t, s, withID(want, row.ID))
	for _, given := range []bellwether.Token{
		{AccessToken: secret("a0")},
		{AccessToken: secret("a0"), RefreshToken: secret("r"), TokenType: "old", ExpiresAt: day},
		{AccessToken: secret("a0"), ID: row.ID, ExpiresAt: day},
	} {
		wantFound(t, s, given, row.ID)
		if got := save(t, s, given); got.ID != row.ID {
			t.Fatalf("Save(%s) went to row %q, want %q", describe(given), got.ID, row.ID)
		}
	}
	h.wantStored(t, s, row.ID, want)
	wantRows(t, s, 1)
}

func testFifteenBack(t *testing.T, h Harness) {
	s := h.New(t)
	row := rotate(t, s, bellwether.Token{ID: "row", AccessToken: secret("a0")}, "r", 15)
	for i := range 15 {
		row = save(t, s, bellwether.Token{ID: "row", AccessToken: secret(fmt.Sprint("a", i+1))})
	}
	for i := range 15 {
		row = save(t, s, bellwether.Token{ID: "row", RefreshToken: secret(fmt.Sprint("r", i)), AccessToken: secret(fmt.Sprint("a", i))})
		if !row.RefreshToken.Equal(secret("r15")) || !row.AccessToken.Equal(secret("a15")) {
			t.Fatalf("a Save of r%d and a%d left %q and %q, want r15 and a15", i, i, row.RefreshToken.Reveal(), row.AccessToken.Reveal())
		}
	}
}

func testOldTokenIsOwned(t *testing.T, h Harness) {
	s := h.New(t)
	rotate(t, s, bellwether.Token{ID: "row", UserName: "u"}, "r", 3)
	other := save(t, s, bellwether.Token{ID: "other", UserName: "v", RefreshToken: secret("x")})
	for _, bad := range []bellwether.Token{
		{ID: "other", RefreshToken: secret("r0")},
		{ID: "other", RefreshToken: secret("r2"), Generation: other.Generation},
		{ID: "new", RefreshToken: secret("r0")},
		{UserName: "v", RefreshToken: secret("r1")},
		{UserName: "new", RefreshToken: secret("r0")},
	} {
		wantSaveError(t, s, bad, bellwether.ErrConflict)
	}
}

func testOldTokenCarries(t *testing.T, h Harness) {
	s := h.New(t)
	row := rotate(t, s, bellwether.Token{ClientID: "c"}, "r", 3)
	got := save(t, s, bellwether.Token{
		RefreshToken: secret("r0"), RefreshExpiresAt: day, UserName: "u", Provider: "zoho",
		ClientSecret: secret("s"), AccessToken: secret("a"), ExpiresAt: day,
	})
	if got.ID != row.ID {
		t.Fatalf("the Save went to row %q, want %q", got.ID, row.ID)
	}
	h.wantStored(t, s, row.ID, bellwether.Token{
		RefreshToken: secret("r3"), UserName: "u", Provider: "zoho", ClientID: "c",
		ClientSecret: secret("s"), AccessToken: secret("a"), ExpiresAt: day,
	})
}

// testOldLife: an old token is absent with all that is told of it.
func testOldLife(t *testing.T, h Harness) {
	s := h.New(t)
	want := bellwether.Token{
		ID: "row", RefreshToken: secret("r1"), RefreshExpiresAt: day.Add(2 * time.Hour),
		AccessToken: secret("a1"), TokenType: "new", IssuedAt: day, ExpiresAt: day.Add(time.Hour),
	}
	save(t, s, bellwether.Token{ID: "row", RefreshToken: secret("r0"), AccessToken: secret("a0")})
	save(t, s, want)
	save(t, s, bellwether.Token{
		ID: "row", RefreshToken: secret("r0"), RefreshExpiresAt: day.AddDate(9, 0, 0),
		AccessToken: secret("a0"), TokenType: "old", IssuedAt: day.AddDate(8, 0, 0), ExpiresAt: day.AddDate(9, 0, 0),
	})
	h.wantStored(t, s, "row", want)
}

func testNewCode(t *testing.T, h Harness) {
	s := h.New(t)
	row := save(t, s, full("a"))
	want := row.Merge(bellwether.Token{GrantToken: secret("g2")})
	got := save(t, s, bellwether.Token{UserName: "user-a", GrantToken: secret("g2")})
	if !got.RefreshToken.IsZero() || !got.AccessToken.IsZero() {
		t.Error("the tokens of the lineage before hide the new code")
	}
	h.wantStored(t, s, row.ID, want)
	// They are superseded.
	save(t, s, bellwether.Token{ID: row.ID, RefreshToken: secret("refresh-a"), AccessToken: secret("access-a")})
	h.wantStored(t, s, row.ID, want)
	wantFound(t, s, bellwether.Token{RefreshToken: secret("refresh-a")}, row.ID)
}

func testLineage(t *testing.T, h Harness) {
	for name, tt := range map[string]struct {
		given  bellwether.Token
		active bool
	}{
		"new refresh token":     {bellwether.Token{RefreshToken: secret("r9")}, true},
		"new grant token":       {bellwether.Token{GrantToken: secret("g9")}, true},
		"current refresh token": {bellwether.Token{RefreshToken: secret("r3")}, false},
		"old refresh token":     {bellwether.Token{RefreshToken: secret("r0")}, false},
		"access token":          {bellwether.Token{AccessToken: secret("a9")}, false},
		"other fields":          {bellwether.Token{ClientSecret: secret("s9"), TokenType: "t"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := h.New(t)
			rotate(t, s, bellwether.Token{ID: "row", UserName: "u", ClientID: "c", ClientSecret: secret("s")}, "r", 3)
			h.Condemn(t, s, "row")
			before := load(t, s, "row")
			if before.State != bellwether.StateReauthRequired || before.Failure == nil || before.Failure.Reason == "" {
				t.Fatalf("Condemn left state %q, failure %+v", before.State, before.Failure)
			}
			got := save(t, s, withID(tt.given, "row"))
			if stored := load(t, s, "row"); diff(got, stored) != "" {
				t.Errorf("what Save returned is not what is stored (-returned +stored):\n%s", diff(got, stored))
			}
			if tt.active && (got.State != bellwether.StateActive || got.Failure != nil) {
				t.Errorf("a new lineage left state %q, failure %+v", got.State, got.Failure)
			}
			if !tt.active && (got.State != before.State || diff(before.Failure, got.Failure) != "") {
				t.Errorf("a Save without a new lineage made state %q, failure %+v out of %q, %+v", got.State, got.Failure, before.State, before.Failure)
			}
		})
	}
}
