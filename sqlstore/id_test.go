package sqlstore_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/bellwether-go/bellwether"
)

// insertNext inserts a row as an SDK does: its ID is one more than max(id), which
// compares texts.
func (s sdk) insertNext(user string) error {
	s.t.Helper()
	var last *string
	if err := s.db.QueryRowContext(s.t.Context(), "SELECT max(id) FROM oauthtoken").Scan(&last); err != nil {
		return err
	}
	next := 1
	if last != nil {
		n, err := strconv.Atoi(*last)
		if err != nil {
			return err
		}
		next = n + 1
	}
	if next > 1<<31-1 || len(strconv.Itoa(next)) > 10 {
		return errors.New("the ID does not fit the SDKs")
	}
	_, err := s.db.ExecContext(s.t.Context(), "INSERT INTO oauthtoken (id, user_name, refresh_token) VALUES (?, ?, ?)",
		fmt.Sprint(next), user, "refresh of "+user)
	return err
}

func user(name string) bellwether.Token {
	return bellwether.Token{UserName: name, RefreshToken: secret("refresh of " + name)}
}

func testIDs(t *testing.T, make func(testing.TB) place) {
	t.Run("an SDK alone fails at the eleventh row", func(t *testing.T) {
		s := make(t).sdk(t)
		for i := range 10 {
			if err := s.insertNext(fmt.Sprint(i)); err != nil {
				t.Fatalf("row %d: %v", i+1, err)
			}
		}
		if err := s.insertNext("eleventh"); err == nil {
			t.Fatal("the eleventh row was inserted: this test does not do what the SDKs do")
		}
	})
	for name, turn := range map[string]func(i int) bool{
		"ours alone":         func(int) bool { return true },
		"ours after ten":     func(i int) bool { return i >= 10 },
		"by turns":           func(i int) bool { return i%2 == 0 },
		"ours at the tenth":  func(i int) bool { return i == 9 },
		"ours after a delay": func(i int) bool { return i == 4 || i == 9 || i > 20 },
	} {
		t.Run(name, func(t *testing.T) {
			p := make(t)
			ids := map[string]bool{}
			for i := range 30 {
				if !turn(i) {
					if err := p.sdk(t).insertNext(fmt.Sprint("sdk ", i)); err != nil {
						t.Fatalf("row %d, by an SDK: %v", i+1, err)
					}
					continue
				}
				row := save(t, p, user(fmt.Sprint("ours ", i)))
				if _, err := strconv.Atoi(row.ID); err != nil || ids[row.ID] || len(row.ID) > 10 {
					t.Fatalf("row %d has ID %q, want a new decimal number", i+1, row.ID)
				}
				ids[row.ID] = true
			}
			n := 0
			for _, err := range p.List(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != 30 {
				t.Errorf("%d rows are listed, want 30", n)
			}
			if err := p.sdk(t).insertNext("last"); err != nil {
				t.Errorf("an SDK after ours: %v", err)
			}
		})
	}
	t.Run("not that of a tombstone", func(t *testing.T) {
		p := make(t)
		save(t, p, user("a"))
		b := save(t, p, user("b"))
		if err := p.Delete(t.Context(), b.ID); err != nil {
			t.Fatal(err)
		}
		if c := save(t, p, user("c")); c.ID == b.ID {
			t.Errorf("the next row gets ID %q of a deleted one, and its past", c.ID)
		}
	})
	t.Run("beside IDs that are no numbers", func(t *testing.T) {
		p := make(t)
		for _, id := range []string{"row", "Row", "9a", "x9", "", "1e5", "-7", strings.Repeat("9", 30)} {
			tok := user("user " + id)
			tok.ID = id
			save(t, p, tok)
		}
		seen := map[string]bool{}
		for i := range 5 {
			row := save(t, p, user(fmt.Sprint(i)))
			if strings.Trim(row.ID, "0123456789") != "" || seen[row.ID] {
				t.Errorf("the ID is %q, want a new decimal number", row.ID)
			}
			seen[row.ID] = true
		}
	})
}

func TestIDs(t *testing.T) { testIDs(t, sqliteMemory) }
