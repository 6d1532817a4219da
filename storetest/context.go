package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
)

var contextRules = []rule{
	{"Ended", testEndedContext},
	{"EndsDuringSave", testContextEndsDuringSave},
}

func testEndedContext(t *testing.T, h Harness) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{cancelled, expired} {
		s := h.New(t)
		row := save(t, s, withID(full("a"), "row"))
		want := ctx.Err()
		_, err := s.Find(ctx, bellwether.Token{UserName: "user-a"})
		checkError(t, "Find with an ended ctx", err, want)
		_, err = s.Find(ctx, bellwether.Token{ID: "row"})
		checkError(t, "Find by ID with an ended ctx", err, want)
		_, err = s.FindByID(ctx, "row")
		checkError(t, "FindByID with an ended ctx", err, want)
		_, err = s.Save(ctx, bellwether.Token{ID: "row", TokenType: "changed"})
		checkError(t, "Save with an ended ctx", err, want)
		_, err = s.Save(ctx, withID(full("b"), "new"))
		checkError(t, "inserting Save with an ended ctx", err, want)
		checkError(t, "Delete with an ended ctx", s.Delete(ctx, "row"), want)
		checkError(t, "DeleteAll with an ended ctx", s.DeleteAll(ctx), want)
		n := 0
		for _, err := range s.List(ctx) {
			checkError(t, "List with an ended ctx", err, want)
			n++
		}
		if n != 1 {
			t.Errorf("List with an ended ctx yields %d times, want one error", n)
		}
		if d := diff(map[string]bellwether.Token{"row": row}, all(t, s)); d != "" {
			t.Errorf("calls with an ended ctx changed the store (-before +after):\n%s", d)
		}
	}
}

// testContextEndsDuringSave: a Save that was cut off has happened wholly or not at
// all, and stands in nobody's way.
func testContextEndsDuringSave(t *testing.T, h Harness) {
	s := h.New(t)
	const n = 60
	for i := range n {
		want := full(fmt.Sprint(i))
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*25*time.Microsecond)
		_, err := s.Save(ctx, want)
		if err != nil && (ctx.Err() == nil || !errors.Is(err, ctx.Err())) {
			t.Errorf("Save cut off after %d × 25 µs: %v, want the error of its ctx", i, err)
		}
		cancel()
		got, findErr := s.Find(t.Context(), bellwether.Token{UserName: want.UserName})
		switch {
		case findErr == nil:
			h.wantStoredQuickly(t, s, withID(want, got.ID))
		case err == nil || !errors.Is(findErr, bellwether.ErrNotFound):
			t.Errorf("after a Save that gave %v, Find: %v", err, findErr)
		}
		again := save(t, s, want)
		if findErr == nil && again.ID != got.ID {
			t.Errorf("the second Save made row %q beside %q", again.ID, got.ID)
		}
	}
	wantRows(t, s, n)
}
