package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
)

// Durable checks every rule of bellwether.Durable, each as a named subtest. What
// Harness.New returns must be one. Run it beside Run, which checks the rest.
func Durable(t *testing.T, h Harness) {
	groups := []struct {
		name  string
		rules []rule
		able  bool
	}{
		{"Record", recordRules, true},
		{"Swap", swapRules, true},
		{"SwapPast", swapPastRules, true},
		{"SwapRace", swapRaceRules, true},
		{"SwapProcess", swapProcessRules, h.Process != nil},
		{"Reopen", reopenRules, h.Reopen != nil},
	}
	for _, g := range groups {
		if !g.able {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			for _, r := range g.rules {
				t.Run(r.name, func(t *testing.T) { r.test(t, h) })
			}
		})
	}
}

var recordRules = []rule{
	{"OfASave", testRecordOfSave},
	{"Missing", testRecordMissing},
	{"VersionsNeverRepeat", testVersionsNeverRepeat},
}

var swapRules = []rule{
	{"KeepsAll", testSwapKeepsAll},
	{"Inserts", testSwapInserts},
	{"OtherVersion", testSwapOtherVersion},
	{"Missing", testSwapMissing},
	{"AfterASave", testSwapAfterSave},
	{"SaveAfter", testSaveAfterSwap},
	{"OwnedElsewhere", testSwapOwned},
	{"Refuses", testSwapRefuses},
	{"ClearsAndShares", testSwapClears},
	{"DeletedAndBack", testSwapDeleted},
	{"Context", testSwapContext},
}

func durable(t testing.TB, h Harness) bellwether.Durable {
	t.Helper()
	d, ok := h.New(t).(bellwether.Durable)
	if !ok {
		t.Fatal("the store is no bellwether.Durable")
	}
	return d
}

func record(t testing.TB, d bellwether.Durable, id string) bellwether.Record {
	t.Helper()
	r, err := d.Record(t.Context(), id)
	if err != nil {
		t.Fatalf("Record(%q): %v", clip(id), err)
	}
	return r
}

func swap(t testing.TB, d bellwether.Durable, expected string, next bellwether.Record) bellwether.Record {
	t.Helper()
	r, err := d.Swap(t.Context(), expected, next)
	if err != nil {
		t.Fatalf("Swap(%q, %s): %v", expected, describe(next.Token), err)
	}
	return r
}

// wantSwapConflict checks that the Swap is refused, changes nothing, and returns the row
// as it stands.
func wantSwapConflict(t testing.TB, d bellwether.Durable, expected string, next bellwether.Record) {
	t.Helper()
	before := all(t, d)
	got, err := d.Swap(t.Context(), expected, next)
	checkError(t, fmt.Sprintf("Swap(%q, %s)", expected, describe(next.Token)), err, bellwether.ErrConflict)
	if d := diff(before, all(t, d)); d != "" {
		t.Fatalf("a refused Swap changed rows (-before +after):\n%s", d)
	}
	want, err := d.Record(t.Context(), next.Token.ID)
	if err != nil && !errors.Is(err, bellwether.ErrNotFound) {
		t.Fatal(err)
	}
	if d := diff(want, got); d != "" {
		t.Fatalf("a refused Swap returns (-row +got):\n%s", d)
	}
}

// wantRecord compares all but the version.
func (h Harness) wantRecord(t testing.TB, what string, want, got bellwether.Record) {
	t.Helper()
	if got.Version == "" {
		t.Fatalf("%s has a blank version", what)
	}
	want.Version, got.Version = "", ""
	want.Token, got.Token = h.trim(want.Token.Canonical()), h.trim(got.Token)
	if len(want.Notes) == 0 {
		want.Notes = nil
	}
	if len(got.Notes) == 0 {
		got.Notes = nil
	}
	if d := diff(want, got); d != "" {
		t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

// kept returns a record as a tier would write it first.
func kept(id, tag string) bellwether.Record {
	t := full(tag)
	t.ID = id
	t.Generation, t.State = 1, bellwether.StateActive
	t.CreatedAt, t.UpdatedAt = day, day
	return bellwether.Record{Token: t, Cred: "cred-" + tag}
}

// rotated returns r as a refresh leaves it: tokens n of a lineage.
func rotated(r bellwether.Record, n int) bellwether.Record {
	r.Token = r.Token.Clone()
	r.Token.GrantToken = bellwether.Secret{}
	r.Token.RefreshToken = secret(fmt.Sprint("rotated-", n))
	r.Token.AccessToken = secret(fmt.Sprint("fresh-", n))
	r.Token.Generation++
	r.Prev, r.Cred = r.Cred, fmt.Sprint("cred-", n)
	r.Adopted = false
	return r
}

func testRecordOfSave(t *testing.T, h Harness) {
	d := durable(t, h)
	row := save(t, d, full("a"))
	got := record(t, d, row.ID)
	h.wantRecord(t, "the record of a saved row", bellwether.Record{Token: row, Adopted: true}, got)
}

func testRecordMissing(t *testing.T, h Harness) {
	d := durable(t, h)
	_, err := d.Record(t.Context(), "nobody")
	checkError(t, "Record of a missing row", err, bellwether.ErrNotFound)
	_, err = d.Record(t.Context(), "")
	checkError(t, "Record of a blank ID", err, bellwether.ErrInvalid)
	row := save(t, d, refreshable("u", "r"))
	if err := d.Delete(t.Context(), row.ID); err != nil {
		t.Fatal(err)
	}
	_, err = d.Record(t.Context(), row.ID)
	checkError(t, "Record of a deleted row", err, bellwether.ErrNotFound)
}

// testVersionsNeverRepeat: whoever has seen a version must not take another row for it.
func testVersionsNeverRepeat(t *testing.T, h Harness) {
	d := durable(t, h)
	seen := make(map[string]string)
	look := func(after string) bellwether.Record {
		t.Helper()
		r := record(t, d, "row")
		if before, ok := seen[r.Version]; ok {
			t.Fatalf("%s the row has the version that it had %s", after, before)
		}
		seen[r.Version] = after
		if again := record(t, d, "row"); again.Version != r.Version {
			t.Fatalf("%s the version changes by looking", after)
		}
		return r
	}
	save(t, d, withID(refreshable("u", "r"), "row"))
	r := look("after the first Save")
	save(t, d, withID(refreshable("u", "r"), "row"))
	r = look("after a Save that says the same")
	next := kept("row", "a")
	next.Token.Generation = r.Token.Generation + 1
	swap(t, d, r.Version, next)
	r = look("after a Swap")
	swap(t, d, r.Version, r)
	look("after a Swap that says the same")
	if err := d.Delete(t.Context(), "row"); err != nil {
		t.Fatal(err)
	}
	save(t, d, withID(refreshable("u", "r2"), "row"))
	look("after Delete and Save")
	if err := d.DeleteAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	swap(t, d, "", kept("row", "b"))
	look("after DeleteAll and Swap")
}

func testSwapKeepsAll(t *testing.T, h Harness) {
	d := durable(t, h)
	next := kept("row", "a")
	next.Prev = "cred-before"
	next.Notes = []byte("notes\x00\xff" + string(slices.Repeat([]byte("n"), bellwether.MaxNotesLen-7)))
	next.Token.Generation = 1 << 40
	next.Token.State = bellwether.StateReauthRequired
	next.Token.CreatedAt, next.Token.UpdatedAt = day.AddDate(-1, 0, 0), day.Add(5*time.Millisecond)
	next.Token.Failure = &bellwether.Failure{Reason: bellwether.ReasonRotationLost, Class: bellwether.ClassRefused,
		Code: "invalid_grant", Count: 3, At: day.Add(time.Second), Until: day.Add(time.Minute)}
	stored := swap(t, d, "", next)
	h.wantRecord(t, "what Swap returns", next, stored)
	h.wantRecord(t, "the record", next, record(t, d, "row"))
	h.wantRecord(t, "the token by FindByID", bellwether.Record{Token: next.Token, Version: "v"},
		bellwether.Record{Token: load(t, d, "row"), Version: "v"})
	h.wantRecord(t, "the token by List", bellwether.Record{Token: next.Token, Version: "v"},
		bellwether.Record{Token: all(t, d)["row"], Version: "v"})

	next.Token.State, next.Token.Failure, next.Token.Generation = bellwether.StateRevoking, nil, 1<<40+1
	h.wantRecord(t, "the second record", next, swap(t, d, stored.Version, next))
}

func testSwapInserts(t *testing.T, h Harness) {
	d := durable(t, h)
	next := kept("row", "a")
	swap(t, d, "", next)
	for _, partial := range []bellwether.Token{
		{ID: "row"}, {UserName: next.Token.UserName}, {AccessToken: next.Token.AccessToken},
		{RefreshToken: next.Token.RefreshToken}, {GrantToken: next.Token.GrantToken},
	} {
		wantFound(t, d, partial, "row")
	}
	wantRows(t, d, 1)
}

func testSwapOtherVersion(t *testing.T, h Harness) {
	d := durable(t, h)
	first := swap(t, d, "", kept("row", "a"))
	second := swap(t, d, first.Version, rotated(first, 1))
	for _, expected := range []string{"", first.Version, second.Version + "0", "no version\x00"} {
		wantSwapConflict(t, d, expected, rotated(second, 2))
	}
	h.wantRecord(t, "the record", second, record(t, d, "row"))
}

func testSwapMissing(t *testing.T, h Harness) {
	d := durable(t, h)
	first := swap(t, d, "", kept("row", "a"))
	wantSwapConflict(t, d, first.Version, kept("other", "b"))
	if err := d.Delete(t.Context(), "row"); err != nil {
		t.Fatal(err)
	}
	wantSwapConflict(t, d, first.Version, rotated(first, 1))
	wantRows(t, d, 0)
}

func testSwapAfterSave(t *testing.T, h Harness) {
	d := durable(t, h)
	row := save(t, d, full("a"))
	r := record(t, d, row.ID)
	next := rotated(r, 1)
	next.Notes = []byte("notes")
	h.wantRecord(t, "the record", next, swap(t, d, r.Version, next))
}

// testSaveAfterSwap: a Save leaves what the tier keeps, and says that it was there.
func testSaveAfterSwap(t *testing.T, h Harness) {
	d := durable(t, h)
	next := kept("row", "a")
	next.Prev, next.Notes = "before", []byte("notes")
	first := swap(t, d, "", next)
	row := save(t, d, bellwether.Token{UserName: next.Token.UserName, AccessToken: secret("elsewhere")})
	if row.ID != "row" || row.Generation != next.Token.Generation+1 {
		t.Fatalf("Save went to row %q, generation %d; want row and %d", row.ID, row.Generation, next.Token.Generation+1)
	}
	want := first
	want.Token, want.Adopted = row, true
	h.wantRecord(t, "the record after a Save", want, record(t, d, "row"))
	wantSwapConflict(t, d, first.Version, rotated(first, 1))

	now := record(t, d, "row")
	h.wantRecord(t, "the record after another Swap", rotated(now, 2), swap(t, d, now.Version, rotated(now, 2)))
}

func testSwapOwned(t *testing.T, h Harness) {
	d := durable(t, h)
	swap(t, d, "", kept("owner", "a"))
	mine := swap(t, d, "", kept("row", "b"))
	owner := kept("owner", "a").Token
	for name, change := range map[string]func(*bellwether.Token){
		"refresh": func(t *bellwether.Token) { t.RefreshToken = owner.RefreshToken },
		"grant":   func(t *bellwether.Token) { t.GrantToken = owner.GrantToken },
		"user":    func(t *bellwether.Token) { t.UserName, t.ClientID = owner.UserName, owner.ClientID },
	} {
		next := rotated(mine, 1)
		change(&next.Token)
		t.Run(name, func(t *testing.T) {
			wantSwapConflict(t, d, mine.Version, next)
			next.Token.ID = "third"
			wantSwapConflict(t, d, "", next)
		})
	}
}

func testSwapRefuses(t *testing.T, h Harness) {
	d := durable(t, h)
	for name, change := range map[string]func(*bellwether.Record){
		"no ID":         func(r *bellwether.Record) { r.Token.ID = "" },
		"no cred":       func(r *bellwether.Record) { r.Cred = "" },
		"no generation": func(r *bellwether.Record) { r.Token.Generation = 0 },
		"no state":      func(r *bellwether.Record) { r.Token.State = "" },
		"no credential": func(r *bellwether.Record) { r.Token = bellwether.Token{ID: "row", Generation: 1, State: "active"} },
		"bad text":      func(r *bellwether.Record) { r.Token.UserName = "\xff" },
		"long notes":    func(r *bellwether.Record) { r.Notes = make([]byte, bellwether.MaxNotesLen+1) },
	} {
		t.Run(name, func(t *testing.T) {
			next := kept("row", "a")
			change(&next)
			_, err := d.Swap(t.Context(), "", next)
			checkError(t, "Swap", err, bellwether.ErrInvalid)
			wantRows(t, d, 0)
		})
	}
}

// testSwapClears: every field is as given, absent ones too, and nothing is shared.
func testSwapClears(t *testing.T, h Harness) {
	d := durable(t, h)
	first := swap(t, d, "", kept("row", "a"))
	next := bellwether.Record{Cred: "cred-2", Notes: []byte("notes"), Token: bellwether.Token{ID: "row", RefreshToken: secret("alone"),
		Generation: 9, State: bellwether.StateActive, CreatedAt: day, UpdatedAt: day}}
	stored := swap(t, d, first.Version, next)
	h.wantRecord(t, "the record", next, stored)
	next.Notes[0], stored.Notes[1] = 'x', 'x'
	if got := record(t, d, "row"); string(got.Notes) != "notes" {
		t.Errorf("the notes are %q: they share memory with the caller", got.Notes)
	}
	wantFindError(t, d, bellwether.Token{UserName: first.Token.UserName}, bellwether.ErrNotFound)
}

func testSwapDeleted(t *testing.T, h Harness) {
	d := durable(t, h)
	first := swap(t, d, "", kept("row", "a"))
	if err := d.Delete(t.Context(), "row"); err != nil {
		t.Fatal(err)
	}
	next := rotated(first, 1)
	next.Notes = []byte("new")
	h.wantRecord(t, "the record", next, swap(t, d, "", next))
	wantRows(t, d, 1)
}

func testSwapContext(t *testing.T, h Harness) {
	d := durable(t, h)
	first := swap(t, d, "", kept("row", "a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Swap(ctx, first.Version, rotated(first, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Swap with a cancelled ctx: %v", err)
	}
	if _, err := d.Record(ctx, "row"); !errors.Is(err, context.Canceled) {
		t.Errorf("Record with a cancelled ctx: %v", err)
	}
	h.wantRecord(t, "the record", first, record(t, d, "row"))
}
