package sqlstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/sqlstore"
)

// TestSDKTableOnSQLite: SQLite keeps whatever a column is given, so that an SDK's table
// holds every token.
func TestSDKTableOnSQLite(t *testing.T) {
	p := blank(rawSQLiteFile).sdkMade(t)
	want := own("an ID of more than ten bytes")
	want.AccessToken = secret(strings.Repeat("x", bellwether.MaxValueLen))
	got := save(t, p, want)
	if !got.AccessToken.Equal(want.AccessToken) {
		t.Error("a long access token was cut")
	}
}

// testFits: what an SDK's table cannot hold is refused before anything is written, also
// by a server that would cut it to fit.
func testFits(t *testing.T, b blank, lenient func(t testing.TB, p *place)) {
	for name, create := range map[string]string{
		"as documented": documented + " CHARACTER SET utf8mb4",
		"three bytes":   documented + " CHARACTER SET utf8mb3",
		"latin1":        documented + " CHARACTER SET latin1",
		"fixed width":   strings.Replace(documented, "client_id varchar", "client_id char", 1) + " CHARACTER SET utf8mb4",
	} {
		t.Run(name, func(t *testing.T) {
			p := b(t)
			p.exec(t, create)
			lenient(t, &p)
			p.Store = open(t, p.db, sqlstore.Config{Dialect: p.dialect})
			row := save(t, p, bellwether.Token{UserName: "user", RefreshToken: secret("r"), ClientID: "c"})
			before := p.tables(t)
			kept := record(t, p, row.ID)

			long := strings.Repeat("x", 256)
			bad := []bellwether.Token{
				{UserName: long}, {ClientSecret: secret(long)}, {RefreshToken: secret(long)},
				{AccessToken: secret(long)}, {GrantToken: secret(long)}, {RedirectURL: "https://" + long},
				{APIDomain: "https://" + long}, {ID: "12345678901"},
			}
			if !strings.Contains(create, "utf8mb4") {
				bad = append(bad, bellwether.Token{UserName: "\U0001f511"})
			}
			if strings.Contains(create, "latin1") {
				bad = append(bad, bellwether.Token{UserName: "日本"})
			}
			if strings.Contains(create, " char(") {
				bad = append(bad, bellwether.Token{ClientID: "trailing "})
			}
			for _, tok := range bad {
				for _, id := range []string{row.ID, "new"} {
					if tok.ID == "" {
						tok.ID = id
					}
					if id == "new" && tok.RefreshToken.IsZero() {
						tok.RefreshToken = secret("r2")
					}
					_, err := p.Save(t.Context(), tok)
					wantError(t, fmt.Sprintf("Save of %+v", tok), err, bellwether.ErrInvalid)
					if strings.Contains(err.Error(), "xxxx") {
						t.Errorf("the error quotes the value: %v", err)
					}
				}
			}
			if d := cmp.Diff(before, p.tables(t)); d != "" {
				t.Errorf("refused Saves wrote (-before +after)\n%s", d)
			}
			if d := cmp.Diff(kept, record(t, p, row.ID), reveal); d != "" {
				t.Errorf("refused Saves changed a row (-before +after)\n%s", d)
			}
			// What fits to the last character is kept.
			want := strings.Repeat("y", 255)
			if got := save(t, p, bellwether.Token{ID: row.ID, AccessToken: secret(want)}); !got.AccessToken.Equal(secret(want)) {
				t.Error("255 characters were not kept")
			}
			if got := p.sdk(t).text("access_token", row.ID); got != want {
				t.Errorf("the table holds %d characters, want 255", len(got))
			}
		})
	}
	t.Run("an ID in other letters", func(t *testing.T) {
		p := b(t)
		p.exec(t, documented+" CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
		p.Store = open(t, p.db, sqlstore.Config{Dialect: p.dialect})
		save(t, p, bellwether.Token{ID: "a", AccessToken: secret("1")})
		for _, id := range []string{"A", "a "} {
			_, err := p.FindByID(context.Background(), id)
			wantError(t, "FindByID", err, bellwether.ErrNotFound)
			_, err = p.Save(t.Context(), bellwether.Token{ID: id, AccessToken: secret("2")})
			wantError(t, "Save", err, bellwether.ErrInvalid)
		}
		got, err := p.FindByID(t.Context(), "a")
		if err != nil || !got.AccessToken.Equal(secret("1")) {
			t.Errorf("row a: %v, access token %q", err, got.AccessToken.Reveal())
		}
		// User names in other letters are two, as everywhere.
		x := save(t, p, user("Name"))
		y := save(t, p, bellwether.Token{UserName: "name", RefreshToken: secret("2")})
		if x.ID == y.ID {
			t.Error("two user names are one row")
		}
	})
}
