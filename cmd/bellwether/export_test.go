package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
	"github.com/bellwether-go/bellwether/internal/mariadbtest"
	"github.com/bellwether-go/bellwether/memstore"
	"github.com/bellwether-go/bellwether/sqlstore"
)

// exported writes all rows of the store to a sink and returns the exporter.
func exported(t testing.TB, store bellwether.Store, to sink, first int64) *exporter {
	t.Helper()
	ex := &exporter{sink: to, next: first, left: make(map[string]int)}
	defer to.abort()
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetErr(testLog{t})
	if err := ex.all(cmd, &settings{}, store); err != nil {
		t.Fatal(err)
	}
	if err := to.finish(); err != nil {
		t.Fatal(err)
	}
	return ex
}

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// carried is what the format carries of the rows of a store, by user and refresh token.
func carried(t testing.TB, store bellwether.Store) map[string]sdkColumns {
	t.Helper()
	rows := map[string]sdkColumns{}
	for tok, err := range store.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		tok.ID = ""
		rows[tok.UserName+" "+tok.RefreshToken.Reveal()] = sdkColumnsOf(tok)
	}
	return rows
}

func fill(t testing.TB, tokens ...bellwether.Token) *memstore.Store {
	t.Helper()
	store := memstore.New()
	for _, tok := range tokens {
		if _, err := store.Save(t.Context(), tok); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// full has a value in every column, with what special adds to each.
func full(user, special string) bellwether.Token {
	v := func(name string) string { return name + "-" + user + special }
	secret := func(name string) bellwether.Secret { return bellwether.NewSecret(v(name)) }
	return bellwether.Token{Provider: "zoho", AccountsURL: "https://accounts.zoho.eu", UserName: v("user"), ClientID: v("client"),
		ClientSecret: secret("secret"), RefreshToken: secret("rt"), AccessToken: secret("at"), GrantToken: secret("gt"),
		RedirectURL: "https://example.com/callback?a=b", APIDomain: "https://www.zohoapis.eu", ExpiresAt: time.UnixMilli(4102444800123)}
}

// TestExportRoundTrip: what an export writes, an import into an empty store reads, and a
// second import calls the same.
func TestExportRoundTrip(t *testing.T) {
	plain := []bellwether.Token{
		full("ann", ""), full("bob", " ÄÖ \t;'\\%_☃𝄞"),
		{Provider: "zoho", AccountsURL: "https://accounts.zoho.eu", RefreshToken: bellwether.NewSecret("alone")},
		{Provider: "zoho", AccountsURL: "https://accounts.zoho.eu", UserName: "ended", RefreshToken: bellwether.NewSecret("rt-ended"),
			AccessToken: bellwether.NewSecret("at-ended"), ExpiresAt: time.UnixMilli(1_500_000_000_000)},
	}
	quoted := append(plain, full("cid", `a,b"c"`), full("dan", "two\nlines"), full("eve", "cr\r\nlf"), full("fay", "cr\r"))
	path := func(t *testing.T) string { return filepath.Join(t.TempDir(), "exported") }
	formats := map[string]struct {
		tokens []bellwether.Token
		create func(path string) (sink, error)
		open   func(ctx context.Context, path string) (source, error)
	}{
		"node": {plain, func(p string) (sink, error) { return createSDKFile(p, csvstore.Node, false) },
			func(_ context.Context, p string) (source, error) { return openSDKFile(p, csvstore.Node) }},
		"python": {quoted, func(p string) (sink, error) { return createSDKFile(p, csvstore.Python, false) },
			func(_ context.Context, p string) (source, error) { return openSDKFile(p, csvstore.Python) }},
		"standard": {quoted, func(p string) (sink, error) { return createSDKFile(p, csvstore.Standard, false) },
			func(_ context.Context, p string) (source, error) { return openSDKFile(p, csvstore.Standard) }},
		"sqlite": {quoted, func(p string) (sink, error) { return createSQLite(t.Context(), p, false) },
			func(ctx context.Context, p string) (source, error) { return openSQLite(ctx, p, "oauthtoken") }},
	}
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			store, p := fill(t, f.tokens...), path(t)
			to, err := f.create(p)
			if err != nil {
				t.Fatal(err)
			}
			if ex := exported(t, store, to, 1); ex.refused != 0 || int(ex.rows.Load()) != len(f.tokens) {
				t.Fatalf("%d rows written, %d refused; want %d and none", ex.rows.Load(), ex.refused, len(f.tokens))
			}
			info, err := os.Stat(p)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v (%v), want 0600", info.Mode().Perm(), err)
			}
			back := memstore.New()
			for _, want := range [][5]int64{{int64(len(f.tokens))}, {0, 0, int64(len(f.tokens))}} {
				src, err := f.open(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				im := newImporter(t, back)
				if err := im.run(t.Context(), src); err != nil {
					t.Fatal(err)
				}
				if err := src.close(); err != nil {
					t.Fatal(err)
				}
				wantCounts(t, im, want)
			}
			if d := cmp.Diff(carried(t, store), carried(t, back)); d != "" {
				t.Errorf("(-exported +imported):\n%s", d)
			}
		})
	}
}

// TestExportReadByStores: the stores of this module read what is exported, as the SDKs do.
func TestExportReadByStores(t *testing.T) {
	store, dir := fill(t, full("ann", ""), full("bob", "")), t.TempDir()
	for _, d := range []csvstore.Dialect{csvstore.Node, csvstore.Python, csvstore.Standard} {
		p := filepath.Join(dir, string(d))
		to, err := createSDKFile(p, d, false)
		if err != nil {
			t.Fatal(err)
		}
		exported(t, store, to, 1)
		read, err := csvstore.Open(p, csvstore.Config{Dialect: d})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(carried(t, store), carried(t, read)); d != "" {
			t.Errorf("%s (-exported +csvstore):\n%s", p, d)
		}
		if err := read.Close(); err != nil {
			t.Fatal(err)
		}
	}
	p := filepath.Join(dir, "tokens.db")
	to, err := createSQLite(t.Context(), p, false)
	if err != nil {
		t.Fatal(err)
	}
	exported(t, store, to, firstTableID)
	read, err := sqlstore.Open(t.Context(), openDB(t, p), sqlstore.Config{Dialect: sqlstore.SQLite})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(carried(t, store), carried(t, read)); d != "" {
		t.Errorf("SQLite (-exported +sqlstore):\n%s", d)
	}
}

func openDB(t testing.TB, path string) *sql.DB {
	t.Helper()
	dsn, err := sqlstore.SQLiteFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestExportTableIDs: SDKs take max(id) of texts and add one. It must be free.
func TestExportTableIDs(t *testing.T) {
	var tokens []bellwether.Token
	for i := range 25 {
		tokens = append(tokens, full(fmt.Sprint(i), ""))
	}
	p := filepath.Join(t.TempDir(), "tokens.db")
	to, err := createSQLite(t.Context(), p, false)
	if err != nil {
		t.Fatal(err)
	}
	exported(t, fill(t, tokens...), to, firstTableID)
	var taken int
	query := `SELECT COUNT(*) FROM oauthtoken WHERE id = CAST((SELECT MAX(id) + 1 FROM oauthtoken) AS TEXT)`
	if err := openDB(t, p).QueryRow(query).Scan(&taken); err != nil || taken != 0 {
		t.Errorf("%d rows have the id that an SDK takes next (%v)", taken, err)
	}
}

func TestExportCountsWhatIsLacking(t *testing.T) {
	more := full("more", "")
	more.Scopes, more.TokenType, more.RefreshExpiresAt = []string{"a"}, "Zoho-oauthtoken", time.UnixMilli(4102444800000)
	more.Extra = map[string]bellwether.Secret{"id_token": bellwether.NewSecret("x")}
	other := full("other", "")
	other.Provider, other.AccountsURL, other.TokenType = "idp", "", "bearer"
	blank := full("blank", "")
	blank.APIDomain = ""
	to, err := createSDKFile(filepath.Join(t.TempDir(), "out"), csvstore.Node, false)
	if err != nil {
		t.Fatal(err)
	}
	ex := exported(t, fill(t, full("ann", ""), more, other, blank), to, 1)
	want := map[string]int{"scopes": 1, "token_type": 1, "refresh_expires_at": 1, "extra id_token": 1, "provider": 1, "accounts_url": 1}
	if d := cmp.Diff(want, ex.left); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestExportAbort: an export that does not end leaves the old file, and nothing beside it.
func TestExportAbort(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "out")
	if err := os.WriteFile(p, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, create := range map[string]func() (sink, error){
		"file":   func() (sink, error) { return createSDKFile(p, csvstore.Node, true) },
		"sqlite": func() (sink, error) { return createSQLite(t.Context(), p, true) },
	} {
		to, err := create()
		if err != nil {
			t.Fatal(err)
		}
		c := sdkColumnsOf(full("ann", ""))
		c[sdkID] = "1"
		if err := to.write(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		to.abort()
		if text, err := os.ReadFile(p); err != nil || string(text) != "old" {
			t.Errorf("%s: the old file holds %q (%v)", name, text, err)
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
			t.Errorf("%s: the folder holds %v (%v), want the old file alone", name, names, err)
		}
	}
}

// sdkTableOf makes a table as it is given and returns its file.
func sdkTableOf(t testing.TB, statements ...string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "a b?%#.db")
	dsn, err := sqliteURL(p, "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range statements {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// manyRows inserts n rows into a table with the documented columns.
func manyRows(n int) string {
	return fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d)
		INSERT INTO oauthtoken (id, user_name, client_id, client_secret, refresh_token, expiry_time)
		SELECT CAST(i AS TEXT), 'user-' || i, 'c', 's', 'rt-' || i, '' FROM n`, n)
}

// TestImportTablePages: every row is read, whatever the pages, and nothing is written.
func TestImportTablePages(t *testing.T) {
	for _, n := range []int{0, 1, pageRows - 1, pageRows, pageRows + 1, 2*pageRows + 500} {
		statements := []string{"CREATE TABLE oauthtoken (" + sdkTableColumns + ")"}
		if n > 0 {
			statements = append(statements, manyRows(n))
		}
		p := sdkTableOf(t, statements...)
		before := folderOf(t, p)
		src, err := openSQLite(t.Context(), p, "oauthtoken")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src.db.ExecContext(t.Context(), "DELETE FROM oauthtoken"); err == nil {
			t.Error("the source takes a DELETE")
		}
		seen := map[string]bool{}
		for _, row := range readAll(t, src) {
			seen[row.columns[sdkUserName]] = true
		}
		if len(seen) != n || src.count != int64(n) {
			t.Errorf("%d users in %d rows, want %d", len(seen), src.count, n)
		}
		if d := cmp.Diff(before, folderOf(t, p)); d != "" {
			t.Errorf("the folder of the source changed (-before +after):\n%s", d)
		}
	}
}

// folderOf returns a digest of each file beside path.
func folderOf(t testing.TB, path string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(filepath.Dir(path), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return files
}

// TestImportTableShapes: tables of older SDKs are read; what is no table of an SDK, or one
// whose rows pages would miss, is refused.
func TestImportTableShapes(t *testing.T) {
	old := "CREATE TABLE oauthtoken (ID varchar(255), user_mail text, client_id text, client_secret text, refresh_token text, access_token text, grant_token text, expiry_time bigint, redirect_url text)"
	p := sdkTableOf(t, old, "INSERT INTO oauthtoken VALUES ('1', 'a@b.c', 'c', 's', 'rt', 'at', NULL, 4102444800000, '')")
	src, err := openSQLite(t.Context(), p, "oauthtoken")
	if err != nil {
		t.Fatal(err)
	}
	want := []sdkRow{{columns: sdkColumns{sdkID: "1", sdkUserName: "a@b.c", sdkClientID: "c", sdkClientSecret: "s",
		sdkRefreshToken: "rt", sdkAccessToken: "at", sdkExpiry: "4102444800000"}}}
	if d := cmp.Diff(want, readAll(t, src), cmp.AllowUnexported(sdkRow{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	create := "CREATE TABLE oauthtoken (" + strings.Replace(sdkTableColumns, ", primary key (id)", "", 1) + ")"
	for why, statements := range map[string][]string{
		"several rows have one id":  {create, manyRows(2), manyRows(2)},
		"there is no column":        {"CREATE TABLE oauthtoken (id text primary key, user_name text)"},
		"Bellwether has sealed it":  {create, "CREATE TABLE oauthtoken_bellwether_meta (name text, value text)", "INSERT INTO oauthtoken_bellwether_meta VALUES ('seal', 'f00')"},
		"no such table: oauthtoken": {"CREATE TABLE other (id text)"},
	} {
		src, err := openSQLite(t.Context(), sdkTableOf(t, statements...), "oauthtoken")
		if err == nil {
			for _, e := range src.rows(t.Context()) {
				err = e
			}
			_ = src.close()
		}
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("error %v, want one that says %q", err, why)
		}
	}
}

// TestImportBesideWriter: a database that an SDK has open is read as it stands.
func TestImportBesideWriter(t *testing.T) {
	for _, mode := range []string{"DELETE", "WAL"} {
		p := sdkTableOf(t, "PRAGMA journal_mode="+mode, "CREATE TABLE oauthtoken ("+sdkTableColumns+")")
		dsn, err := sqliteURL(p, "")
		if err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), manyRows(3)); err != nil {
			t.Fatal(err)
		}
		src, err := openSQLite(t.Context(), p, "oauthtoken")
		if err != nil {
			t.Fatal(err)
		}
		if rows := readAll(t, src); len(rows) != 3 {
			t.Errorf("%s: %d rows, want 3", mode, len(rows))
		}
	}
}

// TestMariaDBRoundTrip: the tokens go into a real server and come back.
func TestMariaDBRoundTrip(t *testing.T) {
	srv := mariadbtest.Start(t)
	name, db := srv.Database(t)
	ctx, log := t.Context(), slog.New(slog.DiscardHandler)
	var tokens []bellwether.Token
	for i := range pageRows + 200 {
		tokens = append(tokens, full(fmt.Sprint("u", i), ""))
	}
	tokens = append(tokens, full("odd", ` a,b"c"'\%_☃𝄞`))
	store := fill(t, append(tokens, full("long", strings.Repeat("x", 250)))...)
	to, err := fillMySQL(ctx, srv.DSN(name), "oauthtoken", log)
	if err != nil {
		t.Fatal(err)
	}
	if ex := exported(t, store, to, firstTableID); ex.refused != 1 {
		t.Errorf("%d rows refused, want the one that is too long", ex.refused)
	}
	if _, err := fillMySQL(ctx, srv.DSN(name), "oauthtoken", log); err == nil || !strings.Contains(err.Error(), "has rows already") {
		t.Errorf("a second export gives %v", err)
	}
	before := tablesOf(t, db)
	back := memstore.New()
	for _, want := range [][5]int64{{int64(len(tokens))}, {0, 0, int64(len(tokens))}} {
		src, err := openMySQL(ctx, srv.DSN(name), "oauthtoken", log)
		if err != nil {
			t.Fatal(err)
		}
		im := newImporter(t, back)
		if err := im.run(ctx, src); err != nil {
			t.Fatal(err)
		}
		if err := src.close(); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, im, want)
	}
	if d := cmp.Diff(before, tablesOf(t, db)); d != "" {
		t.Errorf("an import changed the tables of the source (-before +after):\n%s", d)
	}
	want := carried(t, store)
	maps.DeleteFunc(want, func(_ string, c sdkColumns) bool { return len(c[sdkUserName]) > 255 })
	if d := cmp.Diff(want, carried(t, back)); d != "" {
		t.Errorf("(-exported +imported):\n%s", d)
	}
	_, err = openMySQL(ctx, strings.Replace(srv.DSN(name), srv.Password(), "wrong-password", 1), "oauthtoken", log)
	if err == nil || strings.Contains(err.Error(), "wrong-password") {
		t.Errorf("a wrong password gives %v", err)
	}
}

// tablesOf returns the checksum of each table.
func tablesOf(t testing.TB, db *sql.DB) map[string]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SHOW TABLES")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, name := range names {
		var table, sum string
		if err := db.QueryRowContext(t.Context(), "CHECKSUM TABLE "+name+" EXTENDED").Scan(&table, &sum); err != nil {
			t.Fatal(err)
		}
		sums[name] = sum
	}
	return sums
}
