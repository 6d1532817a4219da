package redisstore_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// What the index holds of a row, over its life.

// indexEntries returns the keys of the index, by kind.
func indexEntries(t *testing.T, s *redisstore.Store) map[string][]string {
	t.Helper()
	s.Idle()
	keys := make(map[string][]string)
	it := s.RawClient().Scan(t.Context(), 0, "bw1:test:ix:*", 1000).Iterator()
	for it.Next(t.Context()) {
		kind := it.Val()[strings.LastIndexByte(it.Val(), ':')+1:]
		keys[kind] = append(keys[kind], it.Val())
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return keys
}

// rotate runs n refreshes that bring the refresh tokens rt1, rt2, …
func rotate(t *testing.T, s *redisstore.Store, id string, from, n int) {
	t.Helper()
	for i := range n {
		a := attempt(t, s, id)
		ans := begin(t, s, a)
		wantWord(t, ans, bellwether.BeginGo)
		answer(t, s, a, ans, func(next *bellwether.Token) { next.RefreshToken = secret(fmt.Sprint("rt", from+i)) }, nil)
		s.Idle() // else a later refresh prunes what an earlier one has not written yet
	}
}

// TestIndexOfRotatedTokens: the first refresh token of a lineage and the last three lead
// to the row; the others are known to it, and to nobody else.
func TestIndexOfRotatedTokens(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		row := save(t, s, bellwether.Token{ID: "row", UserName: "u", RefreshToken: secret("rt0"), GrantToken: secret("gt")})
		rotate(t, s, "row", 1, 7)
		for i := range 8 {
			_, err := s.Find(t.Context(), bellwether.Token{RefreshToken: secret(fmt.Sprint("rt", i))})
			if want := i == 0 || i > 4; (err == nil) != want || err != nil && !errors.Is(err, bellwether.ErrNotFound) {
				t.Errorf("Find by rt%d: %v, want found %v", i, err, want)
			}
			// With another word for the row every one is recognised as superseded.
			got := save(t, s, bellwether.Token{UserName: "u", RefreshToken: secret(fmt.Sprint("rt", i))})
			if got.ID != row.ID || got.RefreshToken.Reveal() != "rt7" {
				t.Errorf("a save of rt%d left row %q with %q", i, got.ID, got.RefreshToken.Reveal())
			}
		}
		if got := indexEntries(t, s); len(got["rt"]) != 4 || len(got["gt"]) != 1 || len(got["user"]) != 1 {
			t.Errorf("index has %d rt, %d gt, %d user; want 4, 1, 1", len(got["rt"]), len(got["gt"]), len(got["user"]))
		}
		wantSound(t, s, 1)

		// A new lineage, and rotations of it.
		save(t, s, bellwether.Token{ID: "row", RefreshToken: secret("rt8")})
		rotate(t, s, "row", 9, 5)
		for i, want := range map[int]bool{0: true, 7: false, 8: true, 9: false, 10: false, 11: true, 12: true, 13: true} {
			if _, err := s.Find(t.Context(), bellwether.Token{RefreshToken: secret(fmt.Sprint("rt", i))}); (err == nil) != want {
				t.Errorf("Find by rt%d: %v, want found %v", i, err, want)
			}
		}
		if err := s.Delete(t.Context(), "row"); err != nil {
			t.Fatal(err)
		}
		got := indexEntries(t, s)
		if len(got["rt"])+len(got["gt"])+len(got["user"]) != 0 {
			t.Errorf("a deleted row left %v", got)
		}
	})
}

// TestIndexOfManyLineages: of sixteen first tokens and no more.
func TestIndexOfManyLineages(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		for i := range 20 {
			save(t, s, bellwether.Token{ID: "row", RefreshToken: secret(fmt.Sprint("rt", i))})
		}
		if got := indexEntries(t, s); len(got["rt"]) != 16 {
			t.Errorf("index has %d entries, want 16", len(got["rt"]))
		}
		for i := range 20 {
			if _, err := s.Find(t.Context(), bellwether.Token{RefreshToken: secret(fmt.Sprint("rt", i))}); (err == nil) != (i > 3) {
				t.Errorf("Find by rt%d: %v", i, err)
			}
		}
		// What is not in the index is still in the past.
		if got := save(t, s, bellwether.Token{ID: "row", RefreshToken: secret("rt5")}); got.RefreshToken.Reveal() != "rt19" {
			t.Errorf("rt5 came back over %q", got.RefreshToken.Reveal())
		}
		wantSound(t, s, 1)
	})
}

// TestIndexOfCode: the first refresh token that a code brought is the first of its
// lineage.
func TestIndexOfCode(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		save(t, s, bellwether.Token{ID: "row", GrantToken: secret("code"), ClientID: "c", ClientSecret: secret("s")})
		a := attempt(t, s, "row")
		ans := begin(t, s, a)
		answer(t, s, a, ans, func(next *bellwether.Token) {
			next.RefreshToken, next.GrantToken = secret("rt0"), bellwether.Secret{}
		}, nil)
		s.Idle()
		rotate(t, s, "row", 1, 5)
		for _, given := range []bellwether.Token{{RefreshToken: secret("rt0")}, {GrantToken: secret("code")}, {RefreshToken: secret("rt5")}} {
			if got := save(t, s, given); got.ID != "row" || got.RefreshToken.Reveal() != "rt5" || !got.GrantToken.IsZero() {
				t.Errorf("a save of an old token gave row %q with %q", got.ID, got.RefreshToken.Reveal())
			}
		}
		wantSound(t, s, 1)
	})
}

// TestIndexAfterChanges: whatever a row is told, the index says what it has, and no
// more.
func TestIndexAfterChanges(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		full := func() bellwether.Token {
			tok := newToken("p")
			tok.ID, tok.UserName, tok.RefreshToken, tok.GrantToken = "row", "u", secret("rt"), secret("gt")
			return tok
		}
		row := save(t, s, full())
		for name, change := range map[string]func(*bellwether.Token){
			"renamed":       func(tok *bellwether.Token) { tok.UserName = "v" },
			"narrowed":      func(tok *bellwether.Token) { tok.Provider, tok.AccountsURL = "q", "https://accounts.example" },
			"widened":       func(tok *bellwether.Token) { tok.Provider, tok.ClientID = "", "" },
			"no name":       func(tok *bellwether.Token) { tok.UserName = "" },
			"no refresh":    func(tok *bellwether.Token) { tok.RefreshToken = bellwether.Secret{} },
			"no code":       func(tok *bellwether.Token) { tok.GrantToken = bellwether.Secret{} },
			"no access":     func(tok *bellwether.Token) { tok.AccessToken = bellwether.Secret{} },
			"other refresh": func(tok *bellwether.Token) { tok.RefreshToken = secret("rt" + rand.Text()) },
		} {
			tok := full()
			change(&tok)
			tok.Generation = row.Generation
			got := save(t, s, tok)
			wantSound(t, s, 1)
			if d := got.UserName; d != tok.UserName {
				t.Errorf("%s: the name is %q", name, d)
			}
			members := 0
			for _, key := range indexEntries(t, s)["user"] {
				members += int(s.RawClient().ZCard(t.Context(), key).Val())
			}
			if want := min(len(tok.UserName), 1); members != want {
				t.Errorf("%s: %d members of user names, want %d", name, members, want)
			}
			if err := s.Delete(t.Context(), "row"); err != nil {
				t.Fatal(err)
			}
			if left := indexEntries(t, s); len(left["rt"])+len(left["gt"])+len(left["user"]) != 0 {
				t.Errorf("%s: a deleted row left %v", name, left)
			}
			row = save(t, s, full())
			wantSound(t, s, 1)
		}
	})
}

// TestRegister: due sets tell an emptied bucket from a lost one.
func TestRegister(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := newToken("p")
		tok.ID = "row"
		save(t, s, tok)
		due := func() []redis.Z {
			return s.RawClient().ZRangeWithScores(t.Context(), s.DueKey("row"), 0, -1).Val()
		}
		if got := due(); len(got) != 2 || got[0].Member != "row" || int64(got[0].Score) != tok.ExpiresAt.UnixMilli() {
			t.Errorf("due set is %v, want the row at its expiry and the sentinel", got)
		}
		if err := s.Delete(t.Context(), "row"); err != nil {
			t.Fatal(err)
		}
		if got := due(); len(got) != 1 || got[0].Member != "" {
			t.Errorf("due set is %v, want the sentinel alone", got)
		}
	})
}

// TestMemory measures what one token costs Redis, sealed, with all that leads to it.
func TestMemory(t *testing.T) {
	redistest.Need(t)
	for _, conf := range []struct {
		directives []string
		most       [2]int64
	}{
		{[]string{"hash-max-listpack-value 2048"}, [2]int64{2 << 10, 3 << 10}},
		{nil, [2]int64{3 << 10, 4 << 10}}, // the default: larger, not broken
	} {
		s := openStore(t, redistest.Single(t, redistest.Config{Directives: conf.directives}).URL(), newSealer(t))
		tok := bellwether.Token{
			Provider: "zoho", AccountsURL: "https://accounts.zoho.eu", UserName: "integration@example.com:60001234567",
			ClientID: "1000." + strings.Repeat("C", 30), ClientSecret: secret(strings.Repeat("s", 42)), RedirectURL: "https://example.com/callback",
			RefreshToken: secret("1000." + strings.Repeat("r", 65)), AccessToken: secret("1000." + strings.Repeat("a", 65)),
			TokenType: "Bearer", Scopes: []string{"ZohoCRM.modules.ALL", "ZohoCRM.settings.ALL"}, APIDomain: "https://www.zohoapis.eu",
		}
		row := save(t, s, tok)
		measure := func() (total int64) {
			t.Helper()
			s.Idle()
			formers := 0
			it := s.RawClient().Scan(t.Context(), 0, "bw1:test:*", 1000).Iterator()
			for it.Next(t.Context()) {
				if strings.HasSuffix(it.Val(), ":meta") {
					continue
				}
				n, err := s.RawClient().MemoryUsage(t.Context(), it.Val(), 0).Result()
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(it.Val(), ":at") {
					// The entries of former access tokens end with those; in life one is left.
					if formers++; formers > 2 {
						continue
					}
				}
				total += n
			}
			return total
		}
		never := measure()
		for range 16 {
			a := attempt(t, s, row.ID)
			ans := begin(t, s, a)
			wantWord(t, ans, bellwether.BeginGo)
			answer(t, s, a, ans, func(next *bellwether.Token) {
				next.RefreshToken, next.AccessToken = secret("1000."+strings.Repeat("r", 39)+rand.Text()), secret("1000."+strings.Repeat("a", 39)+rand.Text())
			}, nil)
			s.Idle()
		}
		rotated := measure()
		t.Logf("%v: %d bytes never rotated, %d after 16 rotations", conf.directives, never, rotated)
		if never > conf.most[0] || rotated > conf.most[1] {
			t.Errorf("%v: %d and %d bytes, want at most %d and %d", conf.directives, never, rotated, conf.most[0], conf.most[1])
		}
	}
}
