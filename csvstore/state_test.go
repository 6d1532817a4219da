package csvstore

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/rules"
)

// FuzzJoin: whatever the two files hold is refused or joined, and what is then written is
// joined without a further change.
func FuzzJoin(f *testing.F) {
	d := newDisk()
	s := d.store()
	for _, tok := range []bellwether.Token{
		{UserName: "ada", RefreshToken: secret("r0"), Extra: map[string]bellwether.Secret{"k": secret("v")}},
		{UserName: "ada", RefreshToken: secret("r1")},
		{UserName: "eve", AccessToken: secret("a")},
	} {
		if _, err := s.Save(f.Context(), tok); err != nil {
			f.Fatal(err)
		}
	}
	sidecar := d.files["tokens"+sidecarSuffix].content
	csv := string(d.files["tokens"].content)
	f.Add([]byte(csv), sidecar)
	f.Add([]byte(strings.Replace(csv, "r1", "r0", 1)), sidecar)
	f.Add([]byte(csv+"\n2,bob,,,r9,,,,,\n1,x"), sidecar)
	f.Add([]byte(""), sidecar)
	f.Add([]byte(csv), []byte(sidecarHead))
	f.Fuzz(func(t *testing.T, csv, sidecar []byte) {
		now := time.UnixMilli(4_000_000_000_000)
		st, err := join(rules.Keyer{}, csv, sidecar, diskInfo{"tokens"}, "", now)
		if err != nil {
			return
		}
		csv, sidecar, err = st.encode(now)
		if err != nil {
			t.Fatal(err)
		}
		again, err := join(rules.Keyer{}, csv, sidecar, diskInfo{"tokens"}, "", now)
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		if again.dirty || again.dirtyCSV {
			t.Fatalf("what was written is changed again:\n%q\n%q", csv, sidecar)
		}
	})
}

// TestTombstonesEnd: a deleted row is remembered for a day, and no longer.
func TestTombstonesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDisk().store()
		generation := func() int64 {
			t.Helper()
			row, err := s.Save(t.Context(), bellwether.Token{ID: "row", RefreshToken: secret("r")})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Delete(t.Context(), "row"); err != nil {
				t.Fatal(err)
			}
			return row.Generation
		}
		generation()
		time.Sleep(23 * time.Hour)
		if got := generation(); got != 3 {
			t.Errorf("saved again after 23 hours: generation %d, want 3", got)
		}
		time.Sleep(25 * time.Hour)
		for range 2 { // the first of these writes still finds the tombstone, and takes it out
			if _, err := s.Save(t.Context(), bellwether.Token{ID: "other", RefreshToken: secret("o")}); err != nil {
				t.Fatal(err)
			}
		}
		if got := generation(); got != 1 {
			t.Errorf("saved again after 25 hours: generation %d, want 1", got)
		}
	})
}
