package memstore_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/memstore"
)

// TestTombstonesEnd: a deleted row is remembered for a day, and no longer.
func TestTombstonesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		save := func(id string) bellwether.Token {
			t.Helper()
			row, err := s.Save(t.Context(), bellwether.Token{ID: id, AccessToken: bellwether.NewSecret("token of " + id)})
			if err != nil {
				t.Fatal(err)
			}
			return row
		}
		remove := func(id string) {
			t.Helper()
			if err := s.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		save("a")
		remove("a")
		time.Sleep(23 * time.Hour)
		save("b")
		remove("b")
		if got := save("a").Generation; got != 3 {
			t.Errorf("saved again after 23 hours: generation %d, want 3", got)
		}
		remove("a")
		time.Sleep(2 * time.Hour) // the first grave of a is old, its second is not
		save("c")
		remove("c")
		if got := save("a").Generation; got != 5 {
			t.Errorf("saved again after 2 hours: generation %d, want 5", got)
		}
		remove("a")
		time.Sleep(25 * time.Hour)
		save("d")
		remove("d")
		if got := save("a").Generation; got != 1 {
			t.Errorf("saved again after 25 hours: generation %d, want 1", got)
		}
		if n := s.Tombstones(); n != 1 {
			t.Errorf("%d tombstones are kept, want the newest alone", n)
		}
	})
}
