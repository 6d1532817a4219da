package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/mariadbtest"
)

// rotation is the row after the n-th rotation: its number stands in the SDKs' columns and
// in the bookkeeping alike.
func rotation(n int) bellwether.Record {
	t := own("row")
	t.RefreshToken, t.AccessToken = secret(fmt.Sprint("refresh-", n)), secret(fmt.Sprint("access-", n))
	t.TokenType, t.State, t.Generation = fmt.Sprint("type-", n), bellwether.StateActive, int64(n+1)
	t.CreatedAt, t.UpdatedAt = t.IssuedAt, t.IssuedAt
	r := bellwether.Record{Token: t, Cred: fmt.Sprint("cred-", n), Notes: fmt.Append(nil, "notes-", n)}
	if n > 0 {
		r.Prev = fmt.Sprint("cred-", n-1)
	}
	return r
}

// rotate swaps the row once more than rec, and returns what is stored.
func rotate(ctx context.Context, s bellwether.Durable, rec bellwether.Record) (bellwether.Record, error) {
	return s.Swap(ctx, rec.Version, rotation(int(rec.Token.Generation)))
}

// wantWhole checks that the row is one rotation, whole, and not before the acknowledged.
func wantWhole(t testing.TB, s bellwether.Durable, acknowledged int64) bellwether.Record {
	t.Helper()
	rec := record(t, s, "row")
	n := rec.Token.Generation - 1
	if rec.Token.Generation < acknowledged || rec.Token.Generation > acknowledged+1 {
		t.Errorf("the row has generation %d, %d was acknowledged", rec.Token.Generation, acknowledged)
	}
	want := rotation(int(n))
	if rec.Adopted || rec.Cred != want.Cred || string(rec.Notes) != string(want.Notes) ||
		!rec.Token.RefreshToken.Equal(want.Token.RefreshToken) || rec.Token.TokenType != want.Token.TokenType {
		t.Errorf("the row is a mixture: adopted %v, cred %q, notes %q, type %q of generation %d",
			rec.Adopted, rec.Cred, rec.Notes, rec.Token.TokenType, rec.Token.Generation)
	}
	wantFound(t, s, bellwether.Token{RefreshToken: rec.Token.RefreshToken}, "row")
	wantFound(t, s, bellwether.Token{RefreshToken: secret("refresh-0")}, "row")
	return rec
}

// testAway: a server that hangs is left by the ctx; one that is gone is ErrUnavailable;
// one that has come back has what it acknowledged.
func testAway(t *testing.T, srv *mariadbtest.Server, p place) {
	rec, err := p.Swap(t.Context(), "", rotation(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = rotate(ctx, p, rec)
	wantError(t, "a Swap on a server that hangs", err, context.DeadlineExceeded)
	_, err = p.FindByID(ctx, "row")
	wantError(t, "FindByID on a server that hangs", err, context.DeadlineExceeded)
	if err := srv.Resume(); err != nil {
		t.Fatal(err)
	}
	rec = wantWhole(t, p, rec.Token.Generation)

	type last struct {
		rec bellwether.Record
		err error
	}
	ended := make(chan last)
	begun := make(chan struct{})
	go func() {
		rec, n := rec, 0
		for {
			next, err := rotate(context.WithoutCancel(t.Context()), p, rec)
			if err != nil {
				ended <- last{rec, err}
				return
			}
			if rec = next; n == 5 {
				close(begun)
			}
			n++
		}
	}()
	<-begun
	srv.Kill()
	l := <-ended
	wantError(t, "a Swap as the server is killed", l.err, bellwether.ErrUnavailable)
	_, err = p.FindByID(t.Context(), "row")
	wantError(t, "FindByID without a server", err, bellwether.ErrUnavailable)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error("the error is taken for that of a ctx")
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, p, l.rec.Token.Generation)
}
