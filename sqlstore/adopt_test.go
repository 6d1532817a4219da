package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
)

func secret(s string) bellwether.Secret { return bellwether.NewSecret(s) }

// An sdk does to the table what Zoho's SDKs do.
type sdk struct {
	t  testing.TB
	db *sql.DB
}

func (p place) sdk(t testing.TB) sdk { return sdk{t, p.db} }

// exec runs a statement of an SDK and wants it to write one row.
func (s sdk) exec(query string, args ...any) {
	s.t.Helper()
	res, err := s.db.ExecContext(s.t.Context(), query, args...)
	if err != nil {
		s.t.Fatalf("the SDK's %q: %v", query, err)
	}
	if n, err := res.RowsAffected(); n != 1 {
		s.t.Fatalf("the SDK's %q wrote %d rows, %v", query, n, err)
	}
}

func (s sdk) insert(id, user, refresh, access string) {
	s.t.Helper()
	s.exec(`INSERT INTO oauthtoken (id, user_name, client_id, client_secret, refresh_token, access_token, grant_token, expiry_time, redirect_url, api_domain)
		VALUES (?, ?, 'client', 'client-secret', ?, ?, ?, '4100000000123', 'https://example.com/cb', 'https://www.zohoapis.eu')`,
		id, user, refresh, access, "grant-"+refresh)
}

// text returns one column of a row.
func (s sdk) text(column, id string) string {
	s.t.Helper()
	var text sql.NullString
	if err := s.db.QueryRowContext(s.t.Context(), "SELECT "+column+" FROM oauthtoken WHERE id = ?", id).Scan(&text); err != nil {
		s.t.Fatal(err)
	}
	return text.String
}

func save(t testing.TB, s bellwether.Store, tok bellwether.Token) bellwether.Token {
	t.Helper()
	got, err := s.Save(t.Context(), tok)
	if err != nil {
		t.Fatalf("Save: %v", err)
	}
	return got
}

func record(t testing.TB, s bellwether.Durable, id string) bellwether.Record {
	t.Helper()
	r, err := s.Record(t.Context(), id)
	if err != nil {
		t.Fatalf("Record(%q): %v", id, err)
	}
	return r
}

func wantFound(t testing.TB, s bellwether.Store, partial bellwether.Token, id string) {
	t.Helper()
	got, err := s.Find(t.Context(), partial)
	if err != nil || got.ID != id {
		t.Fatalf("Find found row %q, %v; want %q", got.ID, err, id)
	}
}

func wantError(t testing.TB, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("%s: %v, want %v", what, err, kind)
	}
}

// reveal compares secrets by their text: all of them were made here.
var reveal = cmp.Transformer("Reveal", bellwether.Secret.Reveal)

// own is a row that a store of ours has written with all its fields.
func own(id string) bellwether.Token {
	return bellwether.Token{
		ID: id, Provider: "zoho", AccountsURL: "https://accounts.zoho.eu", UserName: "user", ClientID: "client",
		ClientSecret: secret("client-secret"), RefreshToken: secret("refresh-0"), AccessToken: secret("access-0"),
		TokenType: "Bearer", Scopes: []string{"a", "b"}, APIDomain: "https://www.zohoapis.eu",
		IssuedAt: time.UnixMilli(4_000_000_000_000).UTC(), ExpiresAt: time.UnixMilli(4_000_003_600_000).UTC(),
		RefreshExpiresAt: time.UnixMilli(4_100_000_000_000).UTC(),
		Extra:            map[string]bellwether.Secret{"id_token": secret("jwt")},
	}
}

// adoptions are what must hold when SDKs write the table, in every database.
var adoptions = map[string]func(*testing.T, place){
	"insert":                testSDKInserts,
	"access token":          testSDKRefreshes,
	"refresh token":         testSDKSignsIn,
	"delete":                testSDKDeletes,
	"delete and insert":     testSDKReusesID,
	"lower than a Swap":     testSDKBeforeSwap,
	"between two Saves":     testSDKBeforeSave,
	"user name moves":       testSDKRenames,
	"nothing":               testSDKRewritesTheSame,
	"beside Saves, at once": testSDKAtOnce,
}

func runAdoptions(t *testing.T, make func(testing.TB) place) {
	for name, test := range adoptions {
		t.Run(name, func(t *testing.T) { test(t, make(t)) })
	}
}

func TestAdoptionSQLiteFile(t *testing.T)   { runAdoptions(t, sqliteFile) }
func TestAdoptionSQLiteMemory(t *testing.T) { runAdoptions(t, sqliteMemory) }

func testSDKInserts(t *testing.T, p place) {
	want := bellwether.Token{ID: "7", UserName: "user", ClientID: "client", ClientSecret: secret("client-secret"),
		RefreshToken: secret("r"), AccessToken: secret("a"), GrantToken: secret("grant-r"),
		ExpiresAt:   time.UnixMilli(4_100_000_000_123).UTC(),
		RedirectURL: "https://example.com/cb", APIDomain: "https://www.zohoapis.eu",
		Generation: 1, State: bellwether.StateActive}
	p.sdk(t).insert("7", "user", "r", "a")
	for i, partial := range []bellwether.Token{
		{UserName: "user"}, {RefreshToken: secret("r")}, {AccessToken: secret("a")}, {GrantToken: secret("grant-r")}, {ID: "7"},
	} {
		wantFound(t, p, partial, "7")
		if i == 0 { // the others find it by bookkeeping too; begin each from nothing
			continue
		}
		id := fmt.Sprint(100 + i)
		p.sdk(t).insert(id, "user "+id, "r"+id, "a"+id)
		switch i {
		case 1:
			wantFound(t, p, bellwether.Token{RefreshToken: secret("r" + id)}, id)
		case 2:
			wantFound(t, p, bellwether.Token{AccessToken: secret("a" + id)}, id)
		case 3:
			wantFound(t, p, bellwether.Token{GrantToken: secret("grant-r" + id)}, id)
		}
		if err := p.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	r := record(t, p, "7")
	if r.Token.CreatedAt.IsZero() || !r.Token.UpdatedAt.Equal(r.Token.CreatedAt) {
		t.Errorf("created %v, updated %v", r.Token.CreatedAt, r.Token.UpdatedAt)
	}
	want.CreatedAt, want.UpdatedAt = r.Token.CreatedAt, r.Token.UpdatedAt
	if d := cmp.Diff(bellwether.Record{Token: want, Version: r.Version, Adopted: true}, r, reveal); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if again := record(t, p, "7"); again.Version != r.Version || again.Version == "" {
		t.Errorf("read twice, the row has version %q, then %q", r.Version, again.Version)
	}
	for row, err := range p.List(t.Context()) {
		if err != nil || cmp.Diff(want, row, reveal) != "" {
			t.Errorf("List yields row %q, %v (-want +got)\n%s", row.ID, err, cmp.Diff(want, row, reveal))
		}
	}
}

func testSDKRefreshes(t *testing.T, p place) {
	save(t, p, own("row"))
	before := record(t, p, "row")
	p.sdk(t).exec("UPDATE oauthtoken SET access_token = 'access-1', expiry_time = '4000007200000' WHERE user_name = 'user'")

	r := record(t, p, "row")
	want := own("row")
	want.AccessToken, want.ExpiresAt = secret("access-1"), time.UnixMilli(4_000_007_200_000).UTC()
	want.TokenType, want.IssuedAt = "", time.Time{} // they were told of access-0
	want.State, want.Generation = bellwether.StateActive, before.Token.Generation+1
	want.CreatedAt, want.UpdatedAt = before.Token.CreatedAt, r.Token.UpdatedAt
	if d := cmp.Diff(want, r.Token, reveal); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if !r.Adopted || r.Version == before.Version {
		t.Errorf("adopted %v, version %q after %q", r.Adopted, r.Version, before.Version)
	}
	wantFound(t, p, bellwether.Token{AccessToken: secret("access-1")}, "row")
	wantFound(t, p, bellwether.Token{AccessToken: secret("access-0")}, "row")
	if got := save(t, p, bellwether.Token{ID: "row", AccessToken: secret("access-0")}); !got.AccessToken.Equal(secret("access-1")) {
		t.Error("a superseded access token came back")
	}
}

func testSDKSignsIn(t *testing.T, p place) {
	save(t, p, own("row"))
	condemn(t, p.Store, "row")
	before := record(t, p, "row")
	p.sdk(t).exec("UPDATE oauthtoken SET refresh_token = 'refresh-1', access_token = 'access-1' WHERE id = 'row'")

	// The lookup that meets it is one by the new token.
	wantFound(t, p, bellwether.Token{RefreshToken: secret("refresh-1")}, "row")
	r := record(t, p, "row")
	if r.Token.State != bellwether.StateActive || r.Token.Failure != nil {
		t.Errorf("after a sign-in by an SDK the state is %q, failure %v", r.Token.State, r.Token.Failure)
	}
	if r.Cred != before.Cred || !r.Adopted {
		t.Errorf("cred %q after %q, adopted %v", r.Cred, before.Cred, r.Adopted)
	}
	if !r.Token.RefreshExpiresAt.IsZero() {
		t.Error("the end of the old refresh token is told of the new one")
	}
	wantFound(t, p, bellwether.Token{RefreshToken: secret("refresh-0")}, "row")
	if got := save(t, p, bellwether.Token{RefreshToken: secret("refresh-0"), TokenType: "t"}); !got.RefreshToken.Equal(secret("refresh-1")) {
		t.Error("a superseded refresh token came back")
	}
	_, err := p.Save(t.Context(), bellwether.Token{ID: "other", RefreshToken: secret("refresh-1")})
	wantError(t, "a Save of a token that an SDK gave another row", err, bellwether.ErrConflict)
}

func testSDKDeletes(t *testing.T, p place) {
	row := save(t, p, own("row"))
	save(t, p, bellwether.Token{ID: "listed", AccessToken: secret("other")})
	p.sdk(t).exec("DELETE FROM oauthtoken WHERE id = 'row'")
	p.sdk(t).exec("DELETE FROM oauthtoken WHERE id = 'listed'")
	for row, err := range p.List(t.Context()) {
		t.Errorf("List yields row %q, %v", row.ID, err)
	}
	for _, partial := range []bellwether.Token{{UserName: "user"}, {RefreshToken: secret("refresh-0")}, {ID: "row"}} {
		_, err := p.Find(t.Context(), partial)
		wantError(t, "Find of a row that an SDK has deleted", err, bellwether.ErrNotFound)
	}
	wantError(t, "Delete of it", p.Delete(t.Context(), "row"), bellwether.ErrNotFound)
	if got := save(t, p, own("row")); got.Generation <= row.Generation {
		t.Errorf("saved again it has generation %d, had %d", got.Generation, row.Generation)
	}
	// Nobody owns what the other one had.
	save(t, p, bellwether.Token{ID: "third", AccessToken: secret("other")})
	wantFound(t, p, bellwether.Token{AccessToken: secret("other")}, "third")
}

// testSDKReusesID: SDKs give the ID of a deleted last row to the next user.
func testSDKReusesID(t *testing.T, p place) {
	row := save(t, p, own(""))
	p.sdk(t).exec("DELETE FROM oauthtoken WHERE id = ?", row.ID)
	p.sdk(t).insert(row.ID, "somebody else", "r", "a")
	r := record(t, p, row.ID)
	if r.Token.UserName != "somebody else" || r.Token.Provider != "" || r.Token.Extra != nil || r.Token.Scopes != nil {
		t.Errorf("another user's row holds %+v", r.Token)
	}
	if r.Token.Generation <= row.Generation {
		t.Errorf("generation %d after %d", r.Token.Generation, row.Generation)
	}
	_, err := p.Find(t.Context(), bellwether.Token{RefreshToken: secret("refresh-0")})
	wantError(t, "Find by a token of the deleted row", err, bellwether.ErrNotFound)
	if got := save(t, p, own("")); got.ID == row.ID {
		t.Error("the deleted user was saved into another user's row")
	}
}

func testSDKBeforeSwap(t *testing.T, p place) {
	save(t, p, own("row"))
	before := record(t, p, "row")
	next := before
	next.Cred, next.Token.Generation = "cred-1", before.Token.Generation+1
	next.Token.AccessToken = secret("access-ours")
	p.sdk(t).exec("UPDATE oauthtoken SET access_token = 'access-theirs' WHERE id = 'row'")

	got, err := p.Swap(t.Context(), before.Version, next)
	wantError(t, "a Swap of the version before an SDK's write", err, bellwether.ErrConflict)
	if !got.Adopted || !got.Token.AccessToken.Equal(secret("access-theirs")) {
		t.Errorf("the conflict returns adopted %v, access token %q", got.Adopted, got.Token.AccessToken.Reveal())
	}
	if now := record(t, p, "row"); cmp.Diff(got, now, reveal) != "" {
		t.Errorf("the conflict does not return the row as it stands (-row +returned)\n%s", cmp.Diff(now, got, reveal))
	}
	swapped, err := p.Swap(t.Context(), got.Version, next)
	if err != nil || swapped.Adopted {
		t.Errorf("the next Swap: adopted %v, %v", swapped.Adopted, err)
	}
	if text := p.sdk(t).text("access_token", "row"); text != "access-ours" {
		t.Errorf("the SDK reads %q", text)
	}
}

func testSDKBeforeSave(t *testing.T, p place) {
	row := save(t, p, own("row"))
	p.sdk(t).exec("UPDATE oauthtoken SET access_token = 'access-theirs', client_secret = 'theirs' WHERE id = 'row'")
	given := own("row")
	given.Generation = row.Generation
	_, err := p.Save(t.Context(), given)
	wantError(t, "a Save of the generation before an SDK's write", err, bellwether.ErrConflict)
	got := save(t, p, bellwether.Token{ID: "row", Scopes: []string{"c"}})
	if !got.AccessToken.Equal(secret("access-theirs")) || !got.ClientSecret.Equal(secret("theirs")) || got.Generation != row.Generation+2 {
		t.Errorf("a Save after an SDK's write: access token %q, generation %d after %d", got.AccessToken.Reveal(), got.Generation, row.Generation)
	}
	if text := p.sdk(t).text("access_token", "row"); text != "access-theirs" {
		t.Errorf("the SDK reads %q: its write was undone", text)
	}
}

func testSDKRenames(t *testing.T, p place) {
	save(t, p, own("row"))
	p.sdk(t).exec("UPDATE oauthtoken SET user_name = 'renamed' WHERE id = 'row'")
	_, err := p.Find(t.Context(), bellwether.Token{UserName: "user"})
	wantError(t, "Find by the old name", err, bellwether.ErrNotFound)
	wantFound(t, p, bellwether.Token{UserName: "renamed"}, "row")
	save(t, p, bellwether.Token{ID: "second", UserName: "user", AccessToken: secret("a")})
	wantFound(t, p, bellwether.Token{UserName: "user"}, "second")
}

// testSDKRewritesTheSame: SDKs save what they have not changed.
func testSDKRewritesTheSame(t *testing.T, p place) {
	given := own("row")
	given.RedirectURL = ""
	save(t, p, given)
	before := record(t, p, "row")
	p.sdk(t).exec("UPDATE oauthtoken SET grant_token = '', redirect_url = '' WHERE id = 'row'")
	if d := cmp.Diff(before, record(t, p, "row"), reveal); d != "" {
		t.Errorf("a blank in the place of NULL changes the row (-before +after)\n%s", d)
	}
}

// testSDKAtOnce: no write of an SDK is undone by ours.
func testSDKAtOnce(t *testing.T, p place) {
	save(t, p, own("row"))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				extra := map[string]bellwether.Secret{fmt.Sprint("key-", i): secret(fmt.Sprint(n))}
				if _, err := p.Save(ctx, bellwether.Token{ID: "row", Extra: extra}); err != nil && ctx.Err() == nil {
					t.Errorf("Save: %v", err)
					return
				}
			}
		})
	}
	for n := range 50 {
		want := fmt.Sprint("access-", n)
		if err := retried(func() error {
			_, err := p.db.ExecContext(ctx, "UPDATE oauthtoken SET access_token = ? WHERE id = 'row'", want)
			return err
		}); err != nil {
			t.Errorf("the SDK's update: %v", err)
			break
		}
		var got string
		if err := retried(func() error {
			return p.db.QueryRowContext(ctx, "SELECT access_token FROM oauthtoken WHERE id = 'row'").Scan(&got)
		}); err != nil || got != want {
			t.Errorf("the SDK wrote %q and reads %q, %v", want, got, err)
			break
		}
	}
	cancel()
	wg.Wait()
	got := record(t, p, "row")
	if !got.Token.AccessToken.Equal(secret("access-49")) {
		t.Errorf("the row ends with access token %q", got.Token.AccessToken.Reveal())
	}
	wantFound(t, p, bellwether.Token{AccessToken: secret("access-49")}, "row")
}

// retried calls do again while the database is busy with others.
func retried(do func() error) error {
	var err error
	for range 20 {
		if err = do(); err == nil {
			return nil
		}
	}
	return err
}
