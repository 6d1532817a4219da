package sqlstore_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/sqlstore"
)

// innodbLooks is how often information_schema is asked for locks: InnoDB looks anew only
// when nobody has asked for a tenth of a second.
const innodbLooks = 150 * time.Millisecond

// testSDKSecond: an SDK writes when ours has read the row and has not written it yet.
func testSDKSecond(t *testing.T, p place) {
	save(t, p, own("row"))
	theirs, begun := make(chan error, 1), false
	db := openTapped(t, p, func(event string) {
		if begun || !strings.Contains(event, "UPDATE `oauthtoken`") {
			return
		}
		begun = true
		go func() {
			_, err := p.db.ExecContext(t.Context(), "UPDATE oauthtoken SET access_token = 'theirs' WHERE id = 'row'")
			theirs <- err
		}()
		for waits := 0; waits == 0 && len(theirs) == 0; time.Sleep(innodbLooks) {
			if err := p.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM information_schema.innodb_trx
				WHERE trx_state = 'LOCK WAIT'`).Scan(&waits); err != nil {
				t.Errorf("how many wait: %v", err)
				return
			}
		}
	})
	s := open(t, db, sqlstore.Config{Dialect: p.dialect})
	save(t, s, bellwether.Token{ID: "row", RefreshToken: secret("ours")})
	if !begun {
		t.Fatal("our Save has not updated the row: this test does not see its statements")
	}
	if err := <-theirs; err != nil {
		t.Fatalf("the SDK's update: %v", err)
	}
	if a, r := p.sdk(t).text("access_token", "row"), p.sdk(t).text("refresh_token", "row"); a != "theirs" || r != "ours" {
		t.Errorf("the row has access token %q and refresh token %q: a write was lost", a, r)
	}
	r := record(t, p, "row")
	if !r.Token.AccessToken.Equal(secret("theirs")) || !r.Token.RefreshToken.Equal(secret("ours")) || r.Token.Generation != 3 {
		t.Errorf("adopted, the row has %q, %q, generation %d", r.Token.AccessToken.Reveal(), r.Token.RefreshToken.Reveal(), r.Token.Generation)
	}
}

// testIDsAtOnce: SDKs and ours insert at once, and each row is there in the end.
func testIDsAtOnce(t *testing.T, p place) {
	const writers, rows = 3, 15
	duplicate := func(err error) bool {
		known, ok := errors.AsType[*mysql.MySQLError](err)
		return ok && known.Number == 1062
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rows {
				if _, err := p.Save(t.Context(), user(fmt.Sprint("ours ", w, " ", i))); err != nil {
					t.Errorf("Save: %v", err)
				}
			}
		})
		wg.Go(func() {
			for i := range rows {
				name := fmt.Sprint("sdk ", w, " ", i)
				err := p.sdk(t).insertNext(name)
				for duplicate(err) { // somebody was faster: the caller of an SDK tries again
					err = p.sdk(t).insertNext(name)
				}
				if err != nil {
					t.Errorf("the SDK's insert: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for w := range writers {
		for i := range rows {
			for _, who := range []string{"ours", "sdk"} {
				name := fmt.Sprint(who, " ", w, " ", i)
				got, err := p.Find(t.Context(), bellwether.Token{UserName: name})
				if err != nil || got.RefreshToken.Reveal() != "refresh of "+name {
					t.Errorf("%s: %q, %v", name, got.RefreshToken.Reveal(), err)
				}
			}
		}
	}
}
