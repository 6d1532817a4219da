package redisstore_test

import (
	"fmt"
	"hash/fnv"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
)

// TestListOfAFullBucket: rows are read a batch at a time. Those of one bucket fill
// several, and each is listed once, and deleted.
func TestListOfAFullBucket(t *testing.T) {
	redistest.Need(t)
	s := openStore(t, redistest.Single(t, redistest.Config{}).URL(), newSealer(t))
	const rows = 300
	want := make(map[string]bool)
	for n := 0; len(want) < rows; n++ {
		id := fmt.Sprint("row", n)
		h := fnv.New32a()
		_, _ = h.Write([]byte(id))
		if h.Sum32()%1024 == 7 {
			save(t, s, bellwether.Token{ID: id, AccessToken: secret("at-" + id)})
			want[id] = true
		}
	}
	for tok, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !want[tok.ID] {
			t.Errorf("row %q is listed twice, or was never saved", tok.ID)
		}
		delete(want, tok.ID)
	}
	if len(want) > 0 {
		t.Errorf("%d of %d rows are not listed", len(want), rows)
	}
	if err := s.DeleteAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantSound(t, s, 0)
}
