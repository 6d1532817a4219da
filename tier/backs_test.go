package tier_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/alicebob/miniredis/v2"
	_ "modernc.org/sqlite"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/sqlstore"
	"github.com/bellwether-go/bellwether/storetest"
)

// The durable stores that keep tokens in a file.
var fileBacks = map[string]func(testing.TB) bellwether.Durable{
	"sqlite": func(t testing.TB) bellwether.Durable {
		dsn, err := sqlstore.SQLiteFile(filepath.Join(t.TempDir(), "tokens.db"))
		if err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		s, err := sqlstore.Open(t.Context(), db, sqlstore.Config{Dialect: sqlstore.SQLite})
		if err != nil {
			t.Fatal(err)
		}
		return s
	},
	"csv": func(t testing.TB) bellwether.Durable {
		s, err := csvstore.Open(filepath.Join(t.TempDir(), "tokens.txt"), csvstore.Config{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	},
}

func tiersOver(t testing.TB, back bellwether.Durable) tiers {
	t.Helper()
	m := miniredis.RunT(t)
	redistest.CrossSlot(m, nil)
	return replica(t, m, newKeys(t), &durable{Durable: back})
}

// The contract of a Store holds over each of them; what lies in Redis alone is left to
// TestStore, and rows of a file that is written anew each time are few.
func TestStoreOverFiles(t *testing.T) {
	t.Parallel()
	for name, open := range fileBacks {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, storetest.Harness{
				Rows:   20,
				Groups: []string{"Save", "Past", "Delete"},
				New:    func(t testing.TB) bellwether.Store { return tiersOver(t, open(t)) },
			})
		})
	}
}

// A flushed Redis is filled from each of them, and one restored from a dump is behind.
func TestLossOverFiles(t *testing.T) {
	t.Parallel()
	for name, open := range fileBacks {
		t.Run(name, func(t *testing.T) {
			eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
				ts := tiersOver(t, open(t))
				signIn(t, ts)
				refreshed(t, ts, rotation, 1)
				ts.redis.FlushAll()
				refreshed(t, ts, rotation, 2)
				restore := snapshot(t, ts)
				refreshed(t, ts, rotation, 3)
				restore()
				if _, ans, err := begin(t, ts, rotation); err != nil || ans.Word != bellwether.BeginChanged {
					t.Fatalf("Begin with credentials that were rotated away: %q, %v; want changed", ans.Word, err)
				}
				wantBoth(t, ts, 3)
				refreshed(t, ts, rotation, 4)
			})
		})
	}
}
