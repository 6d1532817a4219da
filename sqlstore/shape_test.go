package sqlstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/sqlstore"
)

// documented is the table of the SDKs' READMEs.
const documented = `CREATE TABLE oauthtoken (
	id varchar(10) NOT NULL, user_name varchar(255), client_id varchar(255), client_secret varchar(255),
	refresh_token varchar(255), access_token varchar(255), grant_token varchar(255), expiry_time varchar(20),
	redirect_url varchar(255), api_domain varchar(255), primary key (id))`

// tables returns what the database holds, by the names of its tables.
func (p place) tables(t testing.TB) map[string]int {
	t.Helper()
	query := "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
	if p.dialect == sqlstore.MySQL {
		query = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
	}
	rows, err := p.db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	held := make(map[string]int)
	for _, name := range names {
		var n int
		if err := p.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+name).Scan(&n); err != nil {
			t.Fatal(err)
		}
		held[name] = n
	}
	return held
}

func (p place) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := p.db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// A blank place has a database without a table.
type blank func(testing.TB) place

// sdkMade returns a store on a table as documented.
func (b blank) sdkMade(t testing.TB) place {
	p := b(t)
	p.exec(t, documented)
	p.Store = open(t, p.db, sqlstore.Config{Dialect: p.dialect})
	return p
}

var wrongShapes = map[string]string{
	"user_mail, as up to version 3": strings.NewReplacer("user_name", "user_mail", ", api_domain varchar(255)", "").Replace(documented),
	"a column is missing":           strings.Replace(documented, "grant_token varchar(255), ", "", 1),
	"an ID that is a number":        strings.Replace(documented, "id varchar(10)", "id integer", 1),
	"no primary key":                strings.Replace(documented, ", primary key (id)", "", 1),
	"two columns in the key":        strings.Replace(documented, "primary key (id)", "primary key (id, user_name)", 1),
	"a column that needs a value":   strings.Replace(documented, "primary key", "tenant varchar(20) NOT NULL, primary key", 1),
	"something else":                "CREATE TABLE oauthtoken (a integer)",
}

func testShapes(t *testing.T, b blank, more map[string]string) {
	for _, shapes := range []map[string]string{wrongShapes, more} {
		for name, create := range shapes {
			t.Run(name, func(t *testing.T) {
				p := b(t)
				for stmt := range strings.SplitSeq(create, ";") {
					p.exec(t, stmt)
				}
				before := p.tables(t)
				_, err := sqlstore.Open(t.Context(), p.db, sqlstore.Config{Dialect: p.dialect})
				wantError(t, "Open", err, bellwether.ErrMisconfigured)
				if !strings.Contains(err.Error(), "oauthtoken") {
					t.Errorf("%v does not name the table", err)
				}
				if d := cmp.Diff(before, p.tables(t)); d != "" {
					t.Errorf("it was touched (-before +after)\n%s", d)
				}
			})
		}
	}
	t.Run("one column more", func(t *testing.T) {
		p := b(t)
		p.exec(t, strings.Replace(documented, "primary key", "note varchar(20), primary key", 1))
		s := open(t, p.db, sqlstore.Config{Dialect: p.dialect})
		row := save(t, s, user("u"))
		p.exec(t, "UPDATE oauthtoken SET note = 'theirs'")
		save(t, s, bellwether.Token{ID: row.ID, RedirectURL: "https://example.com"})
		if note := p.sdk(t).text("note", row.ID); note != "theirs" {
			t.Errorf("their column holds %q", note)
		}
	})
	t.Run("opened again and at once", func(t *testing.T) {
		p := b(t)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				s, err := sqlstore.Open(t.Context(), p.db, sqlstore.Config{Dialect: p.dialect})
				if err == nil {
					_, err = s.Save(t.Context(), user(fmt.Sprint(i)))
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := p.tables(t)["oauthtoken"]; n != 8 {
			t.Errorf("%d rows, want 8", n)
		}
	})
}

func TestShapes(t *testing.T) {
	testShapes(t, rawSQLiteFile, map[string]string{
		"a view": strings.Replace(documented, "oauthtoken", "other", 1) + ";CREATE VIEW oauthtoken AS SELECT * FROM other",
	})
}

func TestConfigRefused(t *testing.T) {
	p := rawSQLiteFile(t)
	for _, cfg := range []sqlstore.Config{
		{}, {Dialect: "postgres"}, {Dialect: sqlstore.MySQL},
		{Dialect: sqlstore.SQLite, Table: "a b"}, {Dialect: sqlstore.SQLite, Table: `x"; DROP TABLE y; --`},
		{Dialect: sqlstore.SQLite, Table: "1st"}, {Dialect: sqlstore.SQLite, Table: "sqlite_x"},
		{Dialect: sqlstore.SQLite, Table: strings.Repeat("x", 60)},
	} {
		_, err := sqlstore.Open(t.Context(), p.db, cfg)
		wantError(t, fmt.Sprintf("Open with %+v", cfg), err, bellwether.ErrMisconfigured)
	}
	if held := p.tables(t); len(held) > 0 {
		t.Errorf("a refused Config left the tables %v", held)
	}
}

// TestTwoTables: stores of one database do not meet.
func TestTwoTables(t *testing.T) {
	p := rawSQLiteFile(t)
	a := open(t, p.db, sqlstore.Config{Dialect: sqlstore.SQLite, Table: "a"})
	b := open(t, p.db, sqlstore.Config{Dialect: sqlstore.SQLite, Table: "b"})
	save(t, a, user("u"))
	_, err := b.Find(t.Context(), bellwether.Token{UserName: "u"})
	wantError(t, "Find in the other table", err, bellwether.ErrNotFound)
}

// TestScansAreTold: a table of an SDK has no index to look a user up by, and the operator
// hears of it; with indexes, or in a table of ours, there is nothing to say.
func TestScansAreTold(t *testing.T) {
	p := rawSQLiteFile(t)
	p.exec(t, documented)
	var log strings.Builder
	cfg := sqlstore.Config{Dialect: sqlstore.SQLite, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	open(t, p.db, cfg)
	for _, column := range []string{"user_name", "refresh_token", "access_token", "grant_token"} {
		if !strings.Contains(log.String(), column) {
			t.Errorf("the log does not tell of %s: %s", column, &log)
		}
		p.exec(t, fmt.Sprintf("CREATE INDEX of_%s ON oauthtoken (%[1]s)", column))
	}
	log.Reset()
	open(t, p.db, cfg)
	cfg.Table = "ours"
	open(t, p.db, cfg)
	if log.Len() > 0 {
		t.Errorf("with indexes the log says %s", &log)
	}
}

// TestEnded: a store whose database is closed says so.
func TestEnded(t *testing.T) {
	p := sqliteFile(t)
	row := save(t, p, user("u"))
	if err := p.db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := p.FindByID(context.Background(), row.ID)
	wantError(t, "FindByID", err, bellwether.ErrUnavailable)
	_, err = p.Save(context.Background(), user("v"))
	wantError(t, "Save", err, bellwether.ErrUnavailable)
	for _, err := range p.List(context.Background()) {
		wantError(t, "List", err, bellwether.ErrUnavailable)
	}
}
