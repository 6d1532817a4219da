package sqlstore_test

import (
	"context"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/mariadbtest"
	"github.com/bellwether-go/bellwether/sqlstore"
	"github.com/bellwether-go/bellwether/storetest"
)

// TestMariaDB shares one server among its parts.
func TestMariaDB(t *testing.T) {
	srv := mariadbtest.Start(t)
	empty := func(t testing.TB) place {
		t.Helper()
		name, db := srv.Database(t)
		return place{db: db, dialect: sqlstore.MySQL, dsn: srv.DSN(name)}
	}
	ours := func(t testing.TB) place {
		t.Helper()
		p := empty(t)
		p.Store = open(t, p.db, sqlstore.Config{Dialect: sqlstore.MySQL})
		return p
	}
	h := harness(true, ours)
	h.Rows = 1_000
	t.Run("Store", func(t *testing.T) { storetest.Run(t, h) })
	t.Run("Durable", func(t *testing.T) { storetest.Durable(t, h) })
	t.Run("Adoption", func(t *testing.T) { runAdoptions(t, ours) })
	t.Run("AdoptionInTheirTable", func(t *testing.T) { runAdoptions(t, blank(empty).sdkMade) })
	t.Run("Waits", func(t *testing.T) { testSDKInTransaction(t, ours(t)) })
	t.Run("WaitFor", func(t *testing.T) { testSDKSecond(t, ours(t)) })
	t.Run("IDs", func(t *testing.T) { testIDs(t, ours) })
	t.Run("IDsAtOnce", func(t *testing.T) { testIDsAtOnce(t, blank(empty).sdkMade(t)) })
	t.Run("StoreInTheirTable", func(t *testing.T) {
		h := harness(true, blank(empty).sdkMade)
		h.Groups = []string{"Race", "Process"}
		storetest.Run(t, h)
	})
	t.Run("Sealed", func(t *testing.T) { storetest.Durable(t, harness(false, sealed(empty))) })
	t.Run("KilledAtEachStep", func(t *testing.T) { testKilledAtEachStep(t, ours) })
	t.Run("Shapes", func(t *testing.T) {
		testShapes(t, empty, map[string]string{
			"no transactions": documented + " ENGINE = MyISAM",
			"binary":          "CREATE TABLE oauthtoken (id varbinary(10) NOT NULL, primary key (id))",
		})
	})
	t.Run("Fits", func(t *testing.T) {
		testFits(t, empty, func(t testing.TB, p *place) {
			p.db = openDB(t, "mysql", p.dsn+"?sql_mode=%27%27") // cuts what does not fit
		})
	})
	t.Run("Charset", func(t *testing.T) {
		_, err := sqlstore.Open(t.Context(), openDB(t, "mysql", empty(t).dsn+"?charset=latin1"), sqlstore.Config{Dialect: sqlstore.MySQL})
		wantError(t, "Open over latin1", err, bellwether.ErrMisconfigured)
	})
	t.Run("Plans", func(t *testing.T) { testPlans(t, ours(t), "EXPLAIN ") })
	t.Run("Away", func(t *testing.T) { testAway(t, srv, ours(t)) }) // the last: it kills the server
}

// testSDKInTransaction: a Save that meets the row in the hands of another transaction
// waits for it, and builds upon what it has written.
func testSDKInTransaction(t *testing.T, p place) {
	row := save(t, p, own("row"))
	tx, err := p.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "UPDATE oauthtoken SET access_token = 'theirs' WHERE id = 'row'"); err != nil {
		t.Fatal(err)
	}
	saved := make(chan error, 1)
	go func() {
		_, err := p.Save(context.WithoutCancel(t.Context()), bellwether.Token{ID: "row", Scopes: []string{"ours"}})
		saved <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(innodbLooks) {
		var waiting int
		if err := p.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.innodb_lock_waits").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if waiting > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the Save does not wait for the row")
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-saved; err != nil {
		t.Fatal(err)
	}
	got := record(t, p, "row").Token
	if !got.AccessToken.Equal(secret("theirs")) || len(got.Scopes) != 1 || got.Generation != row.Generation+2 {
		t.Errorf("access token %q, scopes %q, generation %d after %d: one write has undone the other",
			got.AccessToken.Reveal(), got.Scopes, got.Generation, row.Generation)
	}
}
