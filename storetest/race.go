package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bellwether-go/bellwether"
)

var raceRules = []rule{
	{"OneUserName", testRaceUserName},
	{"OneUserNameManyRefreshTokens", testRaceUserNameRefresh},
	{"OneRefreshToken", testRaceRefreshToken},
	{"TwoRules", testRaceTwoRules},
	{"ManyIDsOneRefreshToken", testRaceClaim},
	{"ManyIDsOneUserName", testRaceClaimUser},
	{"OneGenerationOneWinner", testRaceGeneration},
	{"MergesLoseNothing", testRaceMerge},
	{"SaveAgainstDelete", testRaceDelete},
}

const racers = 64

// race runs the Saves at the same moment and returns what each gave.
func race(ctx context.Context, s bellwether.Store, saves []bellwether.Token) ([]bellwether.Token, []error) {
	rows, errs := make([]bellwether.Token, len(saves)), make([]error, len(saves))
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range saves {
		wg.Go(func() {
			<-start
			rows[i], errs[i] = s.Save(ctx, saves[i])
		})
	}
	close(start)
	wg.Wait()
	return rows, errs
}

// raceIntoOneRow checks that all the Saves succeed and make one row, and returns it.
func raceIntoOneRow(t *testing.T, s bellwether.Store, saves []bellwether.Token) bellwether.Token {
	t.Helper()
	rows, errs := race(t.Context(), s, saves)
	for i, err := range errs {
		if err != nil {
			t.Errorf("Save(%s): %v", describe(saves[i]), err)
		} else if rows[i].ID != rows[0].ID {
			t.Errorf("Save(%s) made row %q beside %q", describe(saves[i]), rows[i].ID, rows[0].ID)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	wantRows(t, s, 1)
	row := load(t, s, rows[0].ID)
	if want := int64(len(saves)); row.Generation < want {
		t.Errorf("after %d Saves the row has generation %d", want, row.Generation)
	}
	return row
}

func many(n int, make func(i int) bellwether.Token) []bellwether.Token {
	var saves []bellwether.Token
	for i := range n {
		saves = append(saves, make(i))
	}
	return saves
}

func testRaceUserName(t *testing.T, h Harness) {
	for range 5 {
		s := h.New(t)
		row := raceIntoOneRow(t, s, many(racers, func(i int) bellwether.Token {
			return bellwether.Token{UserName: "u", AccessToken: secret(fmt.Sprint("a", i))}
		}))
		wantFound(t, s, bellwether.Token{UserName: "u"}, row.ID)
		wantFound(t, s, bellwether.Token{AccessToken: row.AccessToken}, row.ID)
	}
}

func testRaceUserNameRefresh(t *testing.T, h Harness) {
	s := h.New(t)
	row := raceIntoOneRow(t, s, many(racers, func(i int) bellwether.Token {
		return refreshable("u", fmt.Sprint("r", i))
	}))
	wantFound(t, s, bellwether.Token{UserName: "u"}, row.ID)
	wantFound(t, s, bellwether.Token{RefreshToken: row.RefreshToken}, row.ID)
}

func testRaceRefreshToken(t *testing.T, h Harness) {
	for range 5 {
		s := h.New(t)
		row := raceIntoOneRow(t, s, many(racers, func(i int) bellwether.Token {
			return bellwether.Token{RefreshToken: secret("r"), ClientID: "c", ClientSecret: secret(fmt.Sprint("s", i))}
		}))
		wantFound(t, s, bellwether.Token{RefreshToken: secret("r")}, row.ID)
	}
}

// testRaceTwoRules: some know the user's name, others do not.
func testRaceTwoRules(t *testing.T, h Harness) {
	for range 5 {
		s := h.New(t)
		row := raceIntoOneRow(t, s, many(racers, func(i int) bellwether.Token {
			if i%2 == 0 {
				return refreshable("u", "r")
			}
			return bellwether.Token{RefreshToken: secret("r"), ClientID: "c", ClientSecret: secret("s")}
		}))
		if row.UserName != "u" || row.ClientID != "c" {
			t.Errorf("the row has user name %q and client %q, want both", row.UserName, row.ClientID)
		}
		wantFound(t, s, bellwether.Token{UserName: "u"}, row.ID)
		wantFound(t, s, bellwether.Token{RefreshToken: secret("r")}, row.ID)
	}
}

// wantOneWinner checks that one of the Saves succeeds, all others conflict, and only
// the winner's row exists.
func wantOneWinner(t *testing.T, s bellwether.Store, saves []bellwether.Token) bellwether.Token {
	t.Helper()
	rows, errs := race(t.Context(), s, saves)
	var won []bellwether.Token
	for i, err := range errs {
		switch {
		case err == nil:
			won = append(won, rows[i])
		case !errors.Is(err, bellwether.ErrConflict):
			t.Errorf("Save(%s): %v, want success or %v", describe(saves[i]), err, bellwether.ErrConflict)
		}
	}
	if len(won) != 1 {
		t.Fatalf("%d of %d Saves won, want one", len(won), len(saves))
	}
	wantRows(t, s, 1)
	return won[0]
}

func testRaceClaim(t *testing.T, h Harness) {
	s := h.New(t)
	row := wantOneWinner(t, s, many(racers, func(i int) bellwether.Token {
		return bellwether.Token{ID: fmt.Sprint("row-", i), UserName: fmt.Sprint("u", i), RefreshToken: secret("r")}
	}))
	wantFound(t, s, bellwether.Token{RefreshToken: secret("r")}, row.ID)
	for i := range racers { // the losers have left no claim on their names
		name := fmt.Sprint("u", i)
		if name != row.UserName {
			wantFindError(t, s, bellwether.Token{UserName: name}, bellwether.ErrNotFound)
			save(t, s, refreshable(name, "own of "+name))
		}
	}
	wantRows(t, s, racers)
}

func testRaceClaimUser(t *testing.T, h Harness) {
	s := h.New(t)
	row := wantOneWinner(t, s, many(racers, func(i int) bellwether.Token {
		return bellwether.Token{ID: fmt.Sprint("row-", i), UserName: "u", RefreshToken: secret(fmt.Sprint("r", i))}
	}))
	wantFound(t, s, bellwether.Token{UserName: "u"}, row.ID)
	for i := range racers { // the losers have left no claim on their refresh tokens
		token := secret(fmt.Sprint("r", i))
		if !token.Equal(row.RefreshToken) {
			wantFindError(t, s, bellwether.Token{RefreshToken: token}, bellwether.ErrNotFound)
			save(t, s, bellwether.Token{RefreshToken: token})
		}
	}
	wantRows(t, s, racers)
}

func testRaceGeneration(t *testing.T, h Harness) {
	s := h.New(t)
	row := save(t, s, withID(full("a"), "row"))
	for round := range 20 {
		won := wantOneWinner(t, s, many(16, func(i int) bellwether.Token {
			given := withID(full("a"), "row")
			given.Generation, given.TokenType = row.Generation, fmt.Sprint(round, "-", i)
			return given
		}))
		stored := load(t, s, "row")
		if stored.TokenType != won.TokenType || stored.Generation != row.Generation+1 {
			t.Fatalf("the winner wrote %q as generation %d; stored is %q as %d",
				won.TokenType, won.Generation, stored.TokenType, stored.Generation)
		}
		row = stored
	}
}

// testRaceMerge: Saves of different fields do not undo each other.
func testRaceMerge(t *testing.T, h Harness) {
	s := h.New(t)
	save(t, s, bellwether.Token{ID: "row", RefreshToken: secret("r")})
	row := raceIntoOneRow(t, s, many(racers, func(i int) bellwether.Token {
		return bellwether.Token{ID: "row", Extra: map[string]bellwether.Secret{fmt.Sprint("key", i): secret(fmt.Sprint("value", i))}}
	}))
	want := bellwether.Token{ID: "row", RefreshToken: secret("r"), Extra: make(map[string]bellwether.Secret)}
	for i := range racers {
		want.Extra[fmt.Sprint("key", i)] = secret(fmt.Sprint("value", i))
	}
	if d := diff(content(h.trim(want)), content(row)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// testRaceDelete: while a row is deleted again and again, Saves of it make one row or
// none, and what they return is whole.
func testRaceDelete(t *testing.T, h Harness) {
	s := h.New(t)
	ctx := t.Context()
	var deleted atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			row, err := s.Find(ctx, bellwether.Token{UserName: "u"})
			if err == nil {
				err = s.Delete(ctx, row.ID)
			}
			switch {
			case err == nil:
				deleted.Add(1)
			case !errors.Is(err, bellwether.ErrNotFound):
				t.Errorf("Find and Delete: %v", err)
				return
			}
		}
	})
	parallel(t, 8, 400, func(int) error {
		row, err := s.Save(ctx, refreshable("u", "r"))
		if err == nil && (row.UserName != "u" || !row.RefreshToken.Equal(secret("r"))) {
			t.Errorf("Save returned %s", describe(row))
		}
		return err
	})
	for deleted.Load() == 0 && !t.Failed() { // on a busy machine the other side may just begin
		save(t, s, refreshable("u", "r"))
	}
	close(stop)
	wg.Wait()
	row := save(t, s, refreshable("u", "r"))
	wantFound(t, s, bellwether.Token{RefreshToken: secret("r")}, row.ID)
	wantRows(t, s, 1)
}
