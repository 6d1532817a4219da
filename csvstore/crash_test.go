package csvstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
)

func secret(s string) bellwether.Secret { return bellwether.NewSecret(s) }

// A deed is something done to a store that a crash may interrupt.
type deed struct {
	name string
	do   func(t *testing.T, s *Store) error
}

func saving(tok bellwether.Token) func(*testing.T, *Store) error {
	return func(t *testing.T, s *Store) error {
		_, err := s.Save(t.Context(), tok)
		return err
	}
}

var deeds = []deed{
	{"insert", saving(bellwether.Token{UserName: "bob", RefreshToken: secret("bob-r0"), Scopes: []string{"all"}})},
	{"insert under an ID", saving(bellwether.Token{ID: "mine", RefreshToken: secret("mine-r0")})},
	{"new access token", saving(bellwether.Token{ID: "1", AccessToken: secret("ada-a1"), ExpiresAt: time.UnixMilli(1_900_000_000_000)})},
	{"sign in again", saving(bellwether.Token{ID: "1", RefreshToken: secret("ada-r1"), AccessToken: secret("ada-a1")})},
	{"what the CSV lacks", saving(bellwether.Token{ID: "1", Extra: map[string]bellwether.Secret{"id_token": secret("jwt")}})},
	{"rotate", func(t *testing.T, s *Store) error {
		r, err := s.Record(t.Context(), "1")
		if err != nil {
			return err
		}
		next := r
		next.Token.RefreshToken, next.Token.AccessToken = secret("ada-r1"), secret("ada-a1")
		next.Token.Generation++
		next.Prev, next.Cred, next.Notes = r.Cred, "cred-1", []byte("notes")
		_, err = s.Swap(t.Context(), r.Version, next)
		return err
	}},
	{"delete", func(t *testing.T, s *Store) error { return s.Delete(t.Context(), "1") }},
	{"delete all", func(t *testing.T, s *Store) error { return s.DeleteAll(t.Context()) }},
}

// A ground is what the deeds happen on. Each has a row 1 but the first.
type ground struct {
	name string
	lay  func(t *testing.T, d *disk)
	past []string // refresh tokens that row 1 had
}

var grounds = []ground{
	{name: "nothing", lay: func(*testing.T, *disk) {}},
	{name: "rows", lay: layRows, past: []string{"ada-before"}},
	{name: "an SDK's file", lay: func(_ *testing.T, d *disk) {
		d.put("tokens", sdkHeader+"\n1,ada,c,s,ada-r0,ada-a0,,1700000000000,,\n2,eve,c,s,eve-r0,eve-a0,,1700000000000,,")
	}},
	{name: "an SDK's write over ours", past: []string{"ada-before"}, lay: func(t *testing.T, d *disk) {
		layRows(t, d)
		d.put("tokens", strings.Replace(string(d.files["tokens"].content), "ada-a0", "ada-sdk", 1))
	}},
	{name: "a crash before", past: []string{"ada-before"}, lay: func(t *testing.T, d *disk) {
		layRows(t, d)
		d.left = 5 // the sidecar is there, the CSV is not
		if _, err := d.store().Save(t.Context(), bellwether.Token{ID: "1", RefreshToken: secret("ada-crashed")}); !errors.Is(err, errCrash) {
			t.Fatalf("%v, want a crash", err)
		}
		d.left = -1
	}},
}

func layRows(t *testing.T, d *disk) {
	t.Helper()
	s := d.store()
	for _, tok := range []bellwether.Token{
		{UserName: "ada", ClientID: "c", ClientSecret: secret("s"), RefreshToken: secret("ada-before"), TokenType: "Bearer"},
		{UserName: "eve", ClientID: "c", ClientSecret: secret("s"), RefreshToken: secret("eve-r0")},
		{UserName: "ada", RefreshToken: secret("ada-r0"), AccessToken: secret("ada-a0")},
	} {
		if _, err := s.Save(t.Context(), tok); err != nil {
			t.Fatal(err)
		}
	}
}

// A view is what a store holds, without what differs from run to run.
type view struct {
	Rows map[string]bellwether.Record
	CSV  string // as an SDK reads it; no file is one without rows
}

func look(t *testing.T, d *disk) view {
	t.Helper()
	d = d.copy()
	s := d.store()
	v := view{Rows: make(map[string]bellwether.Record), CSV: sdkHeader}
	for tok, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		r, err := s.Record(t.Context(), tok.ID)
		if err != nil {
			t.Fatalf("Record: %v", err)
		}
		r.Version = ""
		r.Token.CreatedAt, r.Token.UpdatedAt = time.Time{}, time.Time{}
		v.Rows[tok.ID] = r
	}
	if n := d.files["tokens"]; n != nil {
		v.CSV = string(n.content)
	}
	return v
}

func diffViews(want, got view) string {
	return cmp.Diff(want.Rows, got.Rows, cmp.Transformer("Reveal", bellwether.Secret.Reveal),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Generation" }, cmp.Ignore())) +
		cmp.Diff(strings.TrimSpace(want.CSV), strings.TrimSpace(got.CSV))
}

// TestCrash turns the power off at every step of every deed, on every ground. The store
// then holds what it held before or what it holds after, in both files; the CSV is whole
// for an SDK; and the deed can be done once more.
func TestCrash(t *testing.T) {
	for _, ground := range grounds {
		for _, deed := range deeds {
			t.Run(strings.ReplaceAll(ground.name+"/"+deed.name, " ", "_"), func(t *testing.T) {
				laid := newDisk()
				ground.lay(t, laid)
				before := look(t, laid)
				done := laid.copy()
				if err := deed.do(t, done.store()); err != nil && !errors.Is(err, bellwether.ErrNotFound) &&
					!errors.Is(err, bellwether.ErrInvalid) {
					t.Fatal(err)
				} else if err != nil {
					return // there is no such row on this ground
				}
				after := look(t, done)
				for step := 0; ; step++ {
					d := laid.copy()
					d.left = step
					err := deed.do(t, d.store())
					if err != nil && !errors.Is(err, errCrash) {
						t.Fatalf("step %d: %v", step, err)
					}
					if err != nil && !errors.Is(err, bellwether.ErrUnavailable) {
						t.Errorf("step %d: %v, want ErrUnavailable", step, err)
					}
					where := fmt.Sprintf("power off after %s", strings.Join(d.steps, ", "))
					// Killed: what was written is there. Without power: it may not be.
					for _, left := range append(d.afterwards(), d.copy()) {
						checkLeft(t, where, left, before, after, err == nil, ground, deed)
					}
					if t.Failed() || err == nil {
						if step < 6 && diffViews(before, after) != "" {
							t.Fatalf("the deed took %d steps", step)
						}
						return
					}
				}
			})
		}
	}
}

// checkLeft checks what a crash has left of a deed.
func checkLeft(t *testing.T, where string, left *disk, before, after view, acknowledged bool, ground ground, deed deed) {
	t.Helper()
	got := look(t, left)
	toBefore, toAfter := diffViews(before, got), diffViews(after, got)
	if acknowledged && toAfter != "" {
		t.Fatalf("%s: what was acknowledged is lost (-want +got):\n%s", where, toAfter)
	}
	if toBefore != "" && toAfter != "" {
		t.Fatalf("%s: neither what was before (-want +got):\n%s\nnor what is after:\n%s", where, toBefore, toAfter)
	}
	for id, r := range got.Rows {
		if was, ok := before.Rows[id]; ok && r.Token.Generation < was.Token.Generation {
			t.Fatalf("%s: row %s has generation %d, had %d", where, id, r.Token.Generation, was.Token.Generation)
		}
		// A replica that boots with the current token, or with a past one, changes nothing.
		boots := []string{r.Token.RefreshToken.Reveal()}
		if id == "1" {
			boots = append(boots, ground.past...)
		}
		for _, boot := range boots {
			row, err := left.copy().store().Save(t.Context(), bellwether.Token{RefreshToken: secret(boot), AccessToken: r.Token.AccessToken})
			if err != nil || row.ID != id || !row.RefreshToken.Equal(r.Token.RefreshToken) {
				t.Fatalf("%s: a boot with %s: row %q with %q, %v; want row %q with %q", where, boot,
					row.ID, row.RefreshToken.Reveal(), err, id, r.Token.RefreshToken.Reveal())
			}
		}
	}
	if toBefore == "" { // so it can be done once more
		if err := deed.do(t, left.store()); err != nil {
			t.Fatalf("%s: once more: %v", where, err)
		}
		again := look(t, left)
		if d := diffViews(after, again); d != "" && (deed.name != "insert" || len(again.Rows) != len(after.Rows)) { // an ID is not given twice
			t.Fatalf("%s: once more (-want +got):\n%s", where, d)
		}
	}
}
