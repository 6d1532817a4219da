package sqlstore_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/seal"
	"github.com/bellwether-go/bellwether/sqlstore"
	"github.com/bellwether-go/bellwether/storetest"
)

func keys(t testing.TB) *seal.Keys {
	t.Helper()
	k, err := seal.New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealed returns how to make stores that seal, each with keys of its own.
func sealed(b blank) func(testing.TB) place {
	return func(t testing.TB) place {
		t.Helper()
		p := b(t)
		p.Store = open(t, p.db, sqlstore.Config{Dialect: p.dialect, Sealer: keys(t)})
		return p
	}
}

func TestSealed(t *testing.T) {
	h := harness(false, func(t testing.TB) place {
		p := rawSQLiteFile(t)
		p.Store = open(t, p.db, sqlstore.Config{Dialect: sqlstore.SQLite, Sealer: keys(t)})
		return p
	})
	h.Reopen = nil // that opens without the keys
	t.Run("Store", func(t *testing.T) { storetest.Run(t, h) })
	t.Run("Durable", func(t *testing.T) { storetest.Durable(t, h) })
}

// TestSealedFile: no file of the database holds a secret, nor one that was superseded.
func TestSealedFile(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, "sqlite", fileDSN(t, filepath.Join(dir, "db")))
	k := keys(t)
	secrets := []string{"client-secret", "refresh-0", "access-0", "jwt", "refresh-1", "access-1", "grant-1"}
	for _, sealed := range []bool{false, true} {
		cfg := sqlstore.Config{Dialect: sqlstore.SQLite, Table: "plain"}
		if sealed {
			for _, name := range []string{"plain", "plain_bellwether", "plain_bellwether_key", "plain_bellwether_meta"} {
				if _, err := db.ExecContext(t.Context(), "DROP TABLE "+name); err != nil {
					t.Fatal(err)
				}
			}
			for _, stmt := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
				if _, err := db.ExecContext(t.Context(), stmt); err != nil {
					t.Fatal(err)
				}
			}
			cfg.Table, cfg.Sealer = "sealed", k
		}
		s := open(t, db, cfg)
		save(t, s, own("row"))
		want := save(t, s, bellwether.Token{ID: "row", RefreshToken: secret("refresh-1"), AccessToken: secret("access-1"), GrantToken: secret("grant-1")})
		got, err := s.FindByID(t.Context(), "row")
		if d := cmp.Diff(want, got, reveal); err != nil || d != "" {
			t.Fatalf("%v (-saved +found)\n%s", err, d)
		}
		var all []byte
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
			if info, err := os.Stat(name); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o600) {
				t.Errorf("%s has mode %v, %v; want 0600", name, info.Mode(), err)
			}
		}
		for _, text := range secrets {
			if bytes.Contains(all, []byte(text)) == sealed {
				t.Errorf("sealed %v: the files hold %q: %v", sealed, text, !sealed)
			}
		}
	}
}

// TestSealsDoNotMix: a table is sealed by one set of keys, or not at all, and an SDK's is
// never sealed.
func TestSealsDoNotMix(t *testing.T) {
	p := rawSQLiteFile(t)
	p.exec(t, documented)
	ours, others := keys(t), keys(t)
	on := func(table string, k bellwether.Sealer) error {
		_, err := sqlstore.Open(t.Context(), p.db, sqlstore.Config{Dialect: sqlstore.SQLite, Table: table, Sealer: k})
		return err
	}
	before := p.tables(t)
	wantError(t, "Open of an SDK's table with a Sealer", on("oauthtoken", ours), bellwether.ErrMisconfigured)
	if d := cmp.Diff(before, p.tables(t)); d != "" {
		t.Errorf("it was touched (-before +after)\n%s", d)
	}
	for _, err := range []error{on("sealed", ours), on("plain", nil), on("oauthtoken", nil), on("sealed", ours), on("plain", nil)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, "Open of sealed tokens with other keys", on("sealed", others), bellwether.ErrMisconfigured)
	wantError(t, "Open of sealed tokens without keys", on("sealed", nil), bellwether.ErrMisconfigured)
	wantError(t, "Open of plain tokens with keys", on("plain", ours), bellwether.ErrMisconfigured)
	wantError(t, "Open of an SDK's table with keys", on("oauthtoken", ours), bellwether.ErrMisconfigured)
}

// TestUnreadableRow: a row whose seal is broken is reported, hides no other, and can be
// deleted.
func TestUnreadableRow(t *testing.T) {
	p := rawSQLiteFile(t)
	s := open(t, p.db, sqlstore.Config{Dialect: sqlstore.SQLite, Sealer: keys(t)})
	for _, id := range []string{"a", "b", "c", "d"} {
		tok := own(id)
		tok.UserName, tok.RefreshToken, tok.AccessToken = id, secret("refresh "+id), secret("access "+id)
		save(t, s, tok)
	}
	// A sealed value does not open in the place of another, nor in another row.
	p.exec(t, "UPDATE oauthtoken SET refresh_token = access_token WHERE id = 'a'")
	p.exec(t, "UPDATE oauthtoken SET access_token = (SELECT access_token FROM oauthtoken WHERE id = 'd') WHERE id = 'b'")
	p.exec(t, "UPDATE oauthtoken_bellwether SET rest = x'00' WHERE id = 'c'")
	unread := map[string]bool{}
	for row, err := range s.List(t.Context()) {
		if err == nil {
			if row.ID != "d" {
				t.Errorf("row %q is readable", row.ID)
			}
			continue
		}
		wantError(t, "List", err, bellwether.ErrUnreadable)
		if d := cmp.Diff(bellwether.Token{ID: row.ID}, row, reveal); d != "" {
			t.Errorf("an unreadable row holds more than its ID\n%s", d)
		}
		unread[row.ID] = true
	}
	if d := cmp.Diff(map[string]bool{"a": true, "b": true, "c": true}, unread); d != "" {
		t.Errorf("unreadable (-want +got)\n%s", d)
	}
	wantFound(t, s, bellwether.Token{UserName: "d"}, "d")
	for id := range unread {
		_, err := s.FindByID(context.Background(), id)
		wantError(t, "FindByID", err, bellwether.ErrUnreadable)
		if err := s.Delete(t.Context(), id); err != nil {
			t.Errorf("Delete of an unreadable row: %v", err)
		}
		_, err = s.FindByID(context.Background(), id)
		wantError(t, "FindByID of a deleted row", err, bellwether.ErrNotFound)
	}
	again := own("a")
	again.UserName = "a"
	save(t, s, again)
}
