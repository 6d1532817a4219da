package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/bellwether-go/bellwether"
)

var listRules = []rule{
	{"Empty", testListEmpty},
	{"WholeRows", testListRows},
	{"WhileOthersAreDeleted", testListWhileDeleting},
	{"Break", testListBreak},
	{"Cancel", testListCancel},
}

// fill saves n small rows, of IDs 0 to n-1, from several goroutines.
func fill(t testing.TB, s bellwether.Store, n int) {
	t.Helper()
	parallel(t, 16, n, func(i int) error {
		_, err := s.Save(t.Context(), bellwether.Token{ID: fmt.Sprint(i), AccessToken: secret(fmt.Sprint("token-", i))})
		return err
	})
}

// parallel calls do with 0 to n-1 from so many goroutines.
func parallel(t testing.TB, goroutines, n int, do func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < n; i += goroutines {
				if err := do(i); err != nil {
					t.Errorf("%d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func testListEmpty(t *testing.T, h Harness) {
	s := h.New(t)
	for tok, err := range s.List(t.Context()) {
		t.Errorf("an empty store yields %s, %v", describe(tok), err)
	}
}

func testListRows(t *testing.T, h Harness) {
	s := h.New(t)
	want := make(map[string]bellwether.Token)
	for i := range 20 {
		row := save(t, s, full(fmt.Sprint(i)))
		want[row.ID] = row
	}
	if d := diff(want, all(t, s)); d != "" {
		t.Errorf("List (-saved +listed):\n%s", d)
	}
	// A sequence can be run again, and two at once do not meet.
	seq := s.List(t.Context())
	for range 2 {
		n := 0
		for tok, err := range seq {
			if err != nil {
				t.Fatal(err)
			}
			if n == 10 {
				wantRows(t, s, 20)
			}
			if _, ok := want[tok.ID]; !ok {
				t.Errorf("List yields %s", describe(tok))
			}
			n++
		}
		if n != 20 {
			t.Errorf("List yields %d rows, want 20", n)
		}
	}
}

// testListWhileDeleting deletes the odd rows and updates the even ones while the
// listing runs, and saves new ones.
func testListWhileDeleting(t *testing.T, h Harness) {
	s := h.New(t)
	n := h.rows()
	fill(t, s, n)

	seen := make(map[string]int)
	var disturbing sync.WaitGroup
	listed := 0
	for tok, err := range s.List(t.Context()) {
		if err != nil {
			t.Errorf("List: %v", err)
			break
		}
		seen[tok.ID]++
		switch listed {
		case 0:
			disturbing.Go(func() { disturb(t, s, n) })
		case n / 4: // all is deleted before the rest is listed
			disturbing.Wait()
		}
		listed++
	}
	disturbing.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for i := range n {
		id := fmt.Sprint(i)
		if i%2 == 0 && seen[id] != 1 {
			t.Errorf("row %s, which lived all the time, was listed %d times", id, seen[id])
		}
		if i%2 == 1 && seen[id] > 1 {
			t.Errorf("row %s, deleted meanwhile, was listed %d times", id, seen[id])
		}
	}
	rows := all(t, s)
	for i := range n {
		if _, ok := rows[fmt.Sprint(i)]; ok != (i%2 == 0) {
			t.Errorf("after the deletions row %d is listed: %v", i, ok)
		}
	}
	if want := (n+1)/2 + n/16; len(rows) != want {
		t.Errorf("after the deletions %d rows are listed, want %d", len(rows), want)
	}
}

// disturb deletes the odd rows below n, saves some of the even ones, and inserts n/16
// new ones.
func disturb(t testing.TB, s bellwether.Store, n int) {
	ctx := t.Context()
	var wg sync.WaitGroup
	run := func(do func(i int) error) {
		wg.Go(func() {
			for i := range n {
				if err := do(i); err != nil {
					t.Errorf("row %d: %v", i, err)
					return
				}
			}
		})
	}
	run(func(i int) error {
		if i%2 == 0 {
			return nil
		}
		return s.Delete(ctx, fmt.Sprint(i))
	})
	run(func(i int) error {
		if i%8 != 0 {
			return nil
		}
		_, err := s.Save(ctx, bellwether.Token{ID: fmt.Sprint(i), TokenType: "updated"})
		return err
	})
	run(func(i int) error {
		if i >= n/16 {
			return nil
		}
		_, err := s.Save(ctx, bellwether.Token{ID: fmt.Sprint("new-", i), AccessToken: secret(fmt.Sprint("new-token-", i))})
		return err
	})
	wg.Wait()
}

func testListBreak(t *testing.T, h Harness) {
	s := h.New(t)
	fill(t, s, 300)
	for _, stop := range []int{1, 2, 299} {
		n := 0
		for _, err := range s.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Fatalf("List ended after %d rows, before the break at %d", n, stop)
		}
		save(t, s, bellwether.Token{ID: "0", TokenType: fmt.Sprint(stop)}) // nothing is held
	}
	wantRows(t, s, 300)
}

func testListCancel(t *testing.T, h Harness) {
	s := h.New(t)
	fill(t, s, 2_000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, failed := 0, false
	for tok, err := range s.List(ctx) {
		if failed {
			t.Fatalf("after an error List yields %s, %v", describe(tok), err)
		}
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("a cancelled List: %v, want %v", err, context.Canceled)
			}
			failed = true
			continue
		}
		if n++; n == 10 {
			cancel()
		}
	}
	if !failed {
		t.Fatalf("a List cancelled after 10 rows of 2,000 yielded %d and no error", n)
	}
}
