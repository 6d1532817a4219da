package sqlstore_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/sqlstore"
	"github.com/bellwether-go/bellwether/storetest"
)

// What a child process opens.
const (
	dsnEnv     = "BELLWETHER_SQLSTORE_DSN"
	dialectEnv = "BELLWETHER_SQLSTORE_DIALECT"
	tableEnv   = "BELLWETHER_SQLSTORE_TABLE"
)

func TestMain(m *testing.M) {
	if os.Getenv(stepEnv) != "" {
		fmt.Println(killedAtStep())
		os.Exit(0)
	}
	storetest.Main(m, openByEnvironment)
}

func openByEnvironment() (bellwether.Store, error) {
	dialect := sqlstore.Dialect(os.Getenv(dialectEnv))
	db, err := sql.Open(string(dialect), os.Getenv(dsnEnv))
	if err != nil {
		return nil, err
	}
	return sqlstore.Open(context.Background(), db, sqlstore.Config{Dialect: dialect, Table: os.Getenv(tableEnv)})
}

// A place is where a store lies.
type place struct {
	*sqlstore.Store
	db      *sql.DB
	dialect sqlstore.Dialect
	dsn     string
	table   string
}

// places remembers where the stores of a harness lie.
var places sync.Map // *sqlstore.Store → place

func (p place) env() []string {
	return []string{dsnEnv + "=" + p.dsn, dialectEnv + "=" + string(p.dialect), tableEnv + "=" + p.table}
}

func open(t testing.TB, db *sql.DB, cfg sqlstore.Config) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openDB(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func fileDSN(t testing.TB, path string) string {
	t.Helper()
	dsn, err := sqlstore.SQLiteFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// The raw makers give a database without tables.

func rawSQLiteFile(t testing.TB) place {
	t.Helper()
	dsn := fileDSN(t, filepath.Join(t.TempDir(), "a b?%#.db"))
	return place{nil, openDB(t, "sqlite", dsn), sqlstore.SQLite, dsn, ""}
}

var memories atomic.Int64

func rawSQLiteMemory(t testing.TB) place {
	t.Helper()
	dsn := sqlstore.SQLiteMemory(fmt.Sprint("test-", memories.Add(1)))
	db := openDB(t, "sqlite", dsn)
	db.SetMaxOpenConns(1)
	return place{nil, db, sqlstore.SQLite, dsn, ""}
}

// opened returns how to make stores in what raw makes.
func opened(raw blank) func(testing.TB) place {
	return func(t testing.TB) place {
		t.Helper()
		p := raw(t)
		p.Store = open(t, p.db, sqlstore.Config{Dialect: p.dialect})
		return p
	}
}

var sqliteFile, sqliteMemory = opened(rawSQLiteFile), opened(rawSQLiteMemory)

// harness is the suite's, over stores that make makes.
func harness(shared bool, make func(testing.TB) place) storetest.Harness {
	h := storetest.Harness{
		New: func(t testing.TB) bellwether.Store {
			p := make(t)
			places.Store(p.Store, p)
			t.Cleanup(func() { places.Delete(p.Store) })
			return p.Store
		},
		Condemn: condemn,
		Rows:    2_000,
	}
	if shared {
		h.Reopen = func(t testing.TB, s bellwether.Store) bellwether.Store {
			t.Helper()
			p, _ := places.Load(s)
			old := p.(place)
			if err := old.db.Close(); err != nil {
				t.Fatal(err)
			}
			db := openDB(t, string(old.dialect), old.dsn)
			again := place{open(t, db, sqlstore.Config{Dialect: old.dialect}), db, old.dialect, old.dsn, ""}
			places.Store(again.Store, again)
			return again.Store
		}
		h.Process = func(_ testing.TB, s bellwether.Store) []string {
			p, _ := places.Load(s)
			return p.(place).env()
		}
	}
	return h
}

// condemn does what a refused refresh does in the tier above.
func condemn(t testing.TB, s bellwether.Store, id string) {
	t.Helper()
	d := s.(bellwether.Durable)
	r, err := d.Record(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	version := r.Version
	r.Cred = cmp.Or(r.Cred, "cred")
	r.Token.Generation++
	r.Token.State = bellwether.StateReauthRequired
	r.Token.Failure = &bellwether.Failure{Reason: bellwether.ReasonRevoked, Class: bellwether.ClassRefused,
		Code: "invalid_grant", Count: 1, At: time.UnixMilli(time.Now().UnixMilli()).UTC()}
	if _, err := d.Swap(t.Context(), version, r); err != nil {
		t.Fatal(err)
	}
}

func TestSQLiteFile(t *testing.T)   { storetest.Run(t, harness(true, sqliteFile)) }
func TestSQLiteMemory(t *testing.T) { storetest.Run(t, harness(false, sqliteMemory)) }

func TestSQLiteFileDurable(t *testing.T)   { storetest.Durable(t, harness(true, sqliteFile)) }
func TestSQLiteMemoryDurable(t *testing.T) { storetest.Durable(t, harness(false, sqliteMemory)) }
