package storetest

import (
	"fmt"
	"testing"

	"github.com/bellwether-go/bellwether"
)

var deleteRules = []rule{
	{"NothingIsLeft", testDelete},
	{"OthersStay", testDeleteOthersStay},
	{"SavedAgainUnderItsID", testSaveOverTombstone},
	{"SavedAgainByIdentity", testSaveAfterDelete},
	{"PastSurvives", testPastSurvives},
	{"DeleteAll", testDeleteAll},
}

// identities are the ways to look for full(tag).
func identities(tag string) []bellwether.Token {
	f := full(tag)
	return []bellwether.Token{
		{UserName: f.UserName},
		{UserName: f.UserName, Provider: f.Provider, AccountsURL: f.AccountsURL, ClientID: f.ClientID},
		{AccessToken: f.AccessToken}, {RefreshToken: f.RefreshToken}, {GrantToken: f.GrantToken},
	}
}

func testDelete(t *testing.T, h Harness) {
	s := h.New(t)
	row := save(t, s, full("a"))
	for _, partial := range identities("a") {
		wantFound(t, s, partial, row.ID)
	}
	if err := s.Delete(t.Context(), row.ID); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	for _, partial := range append(identities("a"), bellwether.Token{ID: row.ID}) {
		wantFindError(t, s, partial, bellwether.ErrNotFound)
	}
	_, err := s.FindByID(t.Context(), row.ID)
	checkError(t, "FindByID of a deleted row", err, bellwether.ErrNotFound)
	checkError(t, "a second Delete", s.Delete(t.Context(), row.ID), bellwether.ErrNotFound)
	given := withID(full("a"), row.ID)
	given.Generation = row.Generation
	wantSaveError(t, s, given, bellwether.ErrConflict)
	wantRows(t, s, 0)
}

func testDeleteOthersStay(t *testing.T, h Harness) {
	s := h.New(t)
	a, b := save(t, s, full("a")), save(t, s, full("b"))
	if err := s.Delete(t.Context(), a.ID); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	for _, partial := range identities("b") {
		wantFound(t, s, partial, b.ID)
	}
	h.wantStored(t, s, b.ID, full("b"))
	wantRows(t, s, 1)
}

// testSaveOverTombstone: the generation goes on, so that nobody takes the new row for
// the old one.
func testSaveOverTombstone(t *testing.T, h Harness) {
	s := h.New(t)
	var last bellwether.Token
	for range 3 {
		row := save(t, s, withID(full("a"), "row"))
		if row.Generation <= last.Generation {
			t.Errorf("a row saved again has generation %d, the deleted one had %d", row.Generation, last.Generation)
		}
		h.wantStored(t, s, "row", full("a"))
		for _, partial := range identities("a") {
			wantFound(t, s, partial, "row")
		}
		last = save(t, s, bellwether.Token{ID: "row", TokenType: "t"})
		if err := s.Delete(t.Context(), "row"); err != nil {
			t.Fatalf("Delete: %v", err)
		}
	}
	// Nothing of the old row shines through.
	save(t, s, bellwether.Token{ID: "row", AccessToken: secret("other")})
	h.wantStored(t, s, "row", bellwether.Token{AccessToken: secret("other")})
	wantFindError(t, s, bellwether.Token{UserName: "user-a"}, bellwether.ErrNotFound)
}

func testSaveAfterDelete(t *testing.T, h Harness) {
	s := h.New(t)
	row := save(t, s, full("a"))
	if err := s.Delete(t.Context(), row.ID); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	again := save(t, s, full("a"))
	h.wantStored(t, s, again.ID, full("a"))
	for _, partial := range identities("a") {
		wantFound(t, s, partial, again.ID)
	}
	wantRows(t, s, 1)
	// Another row may take what a deleted one owned.
	if err := s.Delete(t.Context(), again.ID); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	save(t, s, withID(full("a"), "other"))
	h.wantStored(t, s, "other", full("a"))
}

// testPastSurvives: deleting a row and importing an old file must not bring back a
// token that was rotated away.
func testPastSurvives(t *testing.T, h Harness) {
	s := h.New(t)
	rotate(t, s, bellwether.Token{ID: "row"}, "r", 3)
	if err := s.Delete(t.Context(), "row"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	wantSaveError(t, s, bellwether.Token{ID: "row", RefreshToken: secret("r0")}, bellwether.ErrInvalid)
	save(t, s, bellwether.Token{ID: "row", RefreshToken: secret("r1"), AccessToken: secret("a")})
	h.wantStored(t, s, "row", bellwether.Token{AccessToken: secret("a")})
	// The one it had last is not past.
	save(t, s, bellwether.Token{ID: "row", RefreshToken: secret("r3")})
	h.wantStored(t, s, "row", bellwether.Token{AccessToken: secret("a"), RefreshToken: secret("r3")})
}

func testDeleteAll(t *testing.T, h Harness) {
	s := h.New(t)
	for range 2 { // first on an empty store
		if err := s.DeleteAll(t.Context()); err != nil {
			t.Fatalf("DeleteAll: %v", err)
		}
		wantRows(t, s, 0)
		for i := range 50 {
			save(t, s, full(fmt.Sprint(i)))
		}
		wantRows(t, s, 50)
	}
	if err := s.DeleteAll(t.Context()); err != nil {
		t.Fatalf("DeleteAll: %v", err)
	}
	wantRows(t, s, 0)
	for i := range 50 {
		for _, partial := range identities(fmt.Sprint(i)) {
			wantFindError(t, s, partial, bellwether.ErrNotFound)
		}
	}
	row := save(t, s, full("7"))
	h.wantStored(t, s, row.ID, full("7"))
}
