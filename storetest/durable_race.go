package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
)

var swapRaceRules = []rule{
	{"OneVersionOneWinner", testRaceSwap},
	{"OneInsertOneWinner", testRaceSwapInsert},
	{"AgainstSaves", testRaceSwapSave},
}

var swapProcessRules = []rule{
	{"OneVersionOneWinner", testProcessSwap},
}

var reopenRules = []rule{
	{"KeepsAll", testReopen},
}

// raceSwaps runs the Swaps at the same moment and returns those that won.
func raceSwaps(t *testing.T, d bellwether.Durable, expected string, next func(i int) bellwether.Record) []bellwether.Record {
	t.Helper()
	var mu sync.Mutex
	var won []bellwether.Record
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-start
			got, err := d.Swap(t.Context(), expected, next(i))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, got)
			case !errors.Is(err, bellwether.ErrConflict):
				t.Errorf("Swap: %v", err)
			case got.Version == "":
				t.Error("a Swap that lost does not return the row")
			}
		})
	}
	close(start)
	wg.Wait()
	return won
}

func testRaceSwap(t *testing.T, h Harness) {
	d := durable(t, h)
	r := swap(t, d, "", kept("row", "a"))
	for round := range 5 {
		won := raceSwaps(t, d, r.Version, func(i int) bellwether.Record { return rotated(r, round*racers+i) })
		if len(won) != 1 {
			t.Fatalf("%d of %d Swaps of one version won, want one", len(won), racers)
		}
		r = record(t, d, "row")
		if d := diff(won[0], r); d != "" {
			t.Fatalf("the row is not the winner's (-winner +row):\n%s", d)
		}
	}
}

func testRaceSwapInsert(t *testing.T, h Harness) {
	d := durable(t, h)
	won := raceSwaps(t, d, "", func(i int) bellwether.Record {
		r := kept("row", "a")
		r.Cred = fmt.Sprint("cred-", i)
		return r
	})
	if len(won) != 1 {
		t.Fatalf("%d of %d inserts won, want one", len(won), racers)
	}
	if d := cmp.Diff(won[0].Cred, record(t, d, "row").Cred); d != "" {
		t.Fatalf("the row is not the winner's:\n%s", d)
	}
	wantRows(t, d, 1)
}

// testRaceSwapSave: Saves between a look and a Swap make it lose, so that none is
// undone.
func testRaceSwapSave(t *testing.T, h Harness) {
	d := durable(t, h)
	swap(t, d, "", kept("row", "a"))
	const saves = 16
	var wg sync.WaitGroup
	for i := range saves {
		wg.Go(func() {
			extra := map[string]bellwether.Secret{fmt.Sprint("key-", i): secret("v")}
			if _, err := d.Save(t.Context(), bellwether.Token{ID: "row", Extra: extra}); err != nil {
				t.Errorf("Save: %v", err)
			}
		})
	}
	wg.Go(func() {
		for n := 0; n < 8; {
			r, err := d.Record(t.Context(), "row")
			if err != nil {
				t.Error(err)
				return
			}
			switch _, err := d.Swap(t.Context(), r.Version, rotated(r, n)); {
			case err == nil:
				n++
			case !errors.Is(err, bellwether.ErrConflict):
				t.Errorf("Swap: %v", err)
				return
			}
		}
	})
	wg.Wait()
	if got := record(t, d, "row"); h.Trim == nil && len(got.Token.Extra) != saves+2 {
		t.Errorf("the row has %d extras, want %d: a Swap has undone a Save", len(got.Token.Extra), saves+2)
	} else if !got.Token.RefreshToken.Equal(secret("rotated-7")) {
		t.Errorf("the refresh token is %q: a Save has undone a Swap", got.Token.RefreshToken.Reveal())
	}
}

func testProcessSwap(t *testing.T, h Harness) {
	d := durable(t, h)
	r := swap(t, d, "", kept("row", "a"))
	hd := startHerd(t, h, d)
	for range 5 {
		won := wantOneVerdict(t, hd.race(t, func(p, i int) claim {
			return claim{ID: "row", RefreshToken: fmt.Sprint("r-", p, "-", i), Generation: r.Token.Generation + 1,
				Swap: true, Version: r.Version, Cred: fmt.Sprint("cred-", p, "-", i, "-", r.Token.Generation)}
		}))
		if won.ID != "row" {
			t.Errorf("the winner swapped row %q", won.ID)
		}
		r = record(t, d, "row")
	}
}

func testReopen(t *testing.T, h Harness) {
	d := durable(t, h)
	next := kept("row", "a")
	next.Prev, next.Notes = "before", []byte("notes")
	r := swap(t, d, "", next)
	r = swap(t, d, r.Version, rotated(r, 1))
	other := save(t, d, refreshable("u", "r"))
	if err := d.Delete(t.Context(), save(t, d, refreshable("gone", "g")).ID); err != nil {
		t.Fatal(err)
	}
	again, ok := h.Reopen(t, d).(bellwether.Durable)
	if !ok {
		t.Fatal("the reopened store is no bellwether.Durable")
	}
	got := record(t, again, "row")
	h.wantRecord(t, "the record", r, got)
	if got.Version != r.Version {
		t.Errorf("the version is %q, was %q", got.Version, r.Version)
	}
	if d := diff(h.trim(other), h.trim(load(t, again, other.ID))); d != "" {
		t.Errorf("the saved row (-before +after):\n%s", d)
	}
	wantFound(t, again, bellwether.Token{RefreshToken: next.Token.RefreshToken}, "row")
	wantRows(t, again, 2)
}
