package csvstore_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
)

const header = "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,expiry_time,redirect_url,api_domain"

// The columns that the tests here write.
const (
	id = iota
	userName
	clientID
	clientSecret
	refreshToken
	accessToken
	grantToken
	expiryTime
)

// An sdk is the file store of Zoho's Node SDK, as far as it matters here: it splits lines
// at commas, takes the first row that matches, and rewrites the whole file without a lock.
type sdk struct {
	t    *testing.T
	path string
}

func (s sdk) read() [][]string {
	s.t.Helper()
	b, err := os.ReadFile(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	var rows [][]string
	for _, line := range strings.Split(string(b), "\n")[1:] {
		if fields := strings.Split(line, ","); len(fields) > 1 {
			rows = append(rows, fields)
		}
	}
	return rows
}

func (s sdk) write(rows [][]string) {
	s.t.Helper()
	lines := []string{header}
	for _, r := range rows {
		lines = append(lines, strings.Join(r, ","))
	}
	if err := os.WriteFile(s.path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// save is saveToken: by ID when there is one, else by user name, else under a new ID that
// is one more than the highest first digit.
func (s sdk) save(row []string) {
	s.t.Helper()
	rows := s.read()
	at := slices.IndexFunc(rows, func(r []string) bool {
		if row[id] != "" {
			return r[id] == row[id]
		}
		return row[userName] != "" && r[userName] == row[userName]
	})
	if at < 0 {
		if row[id] == "" {
			highest := 0
			for _, r := range rows {
				digit, _ := strconv.Atoi(r[id][:1])
				highest = max(highest, digit)
			}
			row[id] = strconv.Itoa(highest + 1)
		}
		rows = append(rows, row)
	} else {
		for i, v := range rows[at] {
			if row[i] == "" {
				row[i] = v
			}
		}
		rows[at] = row
	}
	s.write(rows)
}

func (s sdk) row(key string) []string {
	s.t.Helper()
	for _, r := range s.read() {
		if r[id] == key {
			return r
		}
	}
	s.t.Fatalf("the SDK finds no row %s", key)
	return nil
}

// row returns a line of the SDK.
func row(values map[int]string) []string {
	r := make([]string, 10)
	for i, v := range values {
		r[i] = v
	}
	return r
}

func secret(s string) bellwether.Secret { return bellwether.NewSecret(s) }

func newPath(t *testing.T) string { return filepath.Join(t.TempDir(), "sdk_tokens.txt") }

func mustSave(t *testing.T, s bellwether.Store, tok bellwether.Token) bellwether.Token {
	t.Helper()
	got, err := s.Save(t.Context(), tok)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func mustRecord(t *testing.T, s bellwether.Durable, id string) bellwether.Record {
	t.Helper()
	r, err := s.Record(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBothWays: twelve users each, written by the SDK and read here, and the other way
// round. The Node SDK gives each of its users from the tenth on the ID 10.
func TestBothWays(t *testing.T) {
	path := newPath(t)
	node := sdk{t, path}
	node.write(nil)
	for i := range 12 {
		node.save(row(map[int]string{userName: fmt.Sprint("sdk-", i), refreshToken: fmt.Sprint("sdk-r", i), accessToken: fmt.Sprint("sdk-a", i), expiryTime: "4102444800000"}))
	}
	s := openStored(t, path)
	for i := range 12 {
		mustSave(t, s, bellwether.Token{UserName: fmt.Sprint("own-", i), RefreshToken: secret(fmt.Sprint("own-r", i)),
			AccessToken: secret(fmt.Sprint("own-a", i)), ExpiresAt: time.UnixMilli(4102444800000)})
	}
	seen := make(map[string]bool)
	for _, r := range node.read() {
		if seen[r[id]] {
			t.Errorf("two rows have the ID %s", r[id])
		}
		seen[r[id]] = true
	}
	if len(seen) != 24 || !seen["24"] {
		t.Errorf("the SDK sees %d rows, want 24 of the IDs 1 to 24", len(seen))
	}
	for i := range 12 {
		for _, who := range []string{"sdk", "own"} {
			want := row(map[int]string{userName: fmt.Sprint(who, "-", i), refreshToken: fmt.Sprint(who, "-r", i), accessToken: fmt.Sprint(who, "-a", i), expiryTime: "4102444800000"})
			tok, err := s.Find(t.Context(), bellwether.Token{UserName: want[userName]})
			if err != nil {
				t.Fatal(err)
			}
			want[id] = tok.ID
			if tok.RefreshToken.Reveal() != want[refreshToken] || tok.AccessToken.Reveal() != want[accessToken] || tok.ExpiresAt.UnixMilli() != 4102444800000 {
				t.Errorf("%s: read with %q, %q, %v", want[userName], tok.RefreshToken.Reveal(), tok.AccessToken.Reveal(), tok.ExpiresAt)
			}
			if d := cmp.Diff(want, node.row(tok.ID)); d != "" {
				t.Errorf("the SDK reads (-want +got):\n%s", d)
			}
		}
	}
}

// TestAdopts: what an SDK writes is seen by the next call, and survives with what only
// this store knows.
func TestAdopts(t *testing.T) {
	path := newPath(t)
	node, s := sdk{t, path}, openStored(t, path)
	saved := mustSave(t, s, bellwether.Token{UserName: "ada", ClientID: "c", ClientSecret: secret("s"), RefreshToken: secret("r0"),
		AccessToken: secret("a0"), TokenType: "Bearer", Provider: "zoho", Scopes: []string{"all"},
		Extra: map[string]bellwether.Secret{"id_token": secret("jwt")}})
	r := mustRecord(t, s, saved.ID)
	r.Cred, r.Notes = "cred", []byte("notes")
	r.Token.Generation++
	before, err := s.Swap(t.Context(), r.Version, r)
	if err != nil {
		t.Fatal(err)
	}
	if before.Adopted {
		t.Error("a Swap is taken for another program's write")
	}
	if again := mustRecord(t, s, saved.ID); cmp.Diff(before, again, cmp.Comparer(bellwether.Secret.Equal)) != "" {
		t.Error("reading a row changes it")
	}

	node.save(row(map[int]string{id: saved.ID, accessToken: "a1", expiryTime: "4102444800000"}))
	for range 2 { // it is adopted once
		got := mustRecord(t, s, saved.ID)
		if !got.Adopted || got.Version == before.Version || got.Token.Generation != before.Token.Generation+1 {
			t.Errorf("after a refresh by the SDK: adopted %v, generation %d after %d", got.Adopted, got.Token.Generation, before.Token.Generation)
		}
		if got.Token.AccessToken.Reveal() != "a1" || got.Token.RefreshToken.Reveal() != "r0" || got.Token.TokenType != "" {
			t.Errorf("after a refresh by the SDK the row has %q, %q, %q", got.Token.AccessToken.Reveal(), got.Token.RefreshToken.Reveal(), got.Token.TokenType)
		}
		if got.Cred != "cred" || string(got.Notes) != "notes" || got.Token.Provider != "zoho" || got.Token.Extra["id_token"].Reveal() != "jwt" {
			t.Errorf("after a refresh by the SDK: %+v", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStored(t, path)
	}

	// A new sign-in by the SDK: what it has superseded is past.
	node.save(row(map[int]string{id: saved.ID, refreshToken: "r1", accessToken: "a2"}))
	for _, boot := range []bellwether.Token{{RefreshToken: secret("r0"), AccessToken: secret("a0")}, {UserName: "ada", RefreshToken: secret("r0")}} {
		if got := mustSave(t, s, boot); got.ID != saved.ID || got.RefreshToken.Reveal() != "r1" || got.AccessToken.Reveal() != "a2" {
			t.Errorf("a boot with an old token gives row %q with %q, %q", got.ID, got.RefreshToken.Reveal(), got.AccessToken.Reveal())
		}
	}
	if got := node.row(saved.ID); got[refreshToken] != "r1" || got[accessToken] != "a2" {
		t.Errorf("the SDK reads %q, %q", got[refreshToken], got[accessToken])
	}
}

// TestSDKDeletesAndInserts: an ID that an SDK gives out again is another user's row.
func TestSDKDeletesAndInserts(t *testing.T) {
	path := newPath(t)
	node, s := sdk{t, path}, openStored(t, path)
	ada := mustSave(t, s, bellwether.Token{UserName: "ada", RefreshToken: secret("ada-r0"), Scopes: []string{"ada's"}})
	ada = mustSave(t, s, bellwether.Token{ID: ada.ID, RefreshToken: secret("ada-r1")})
	if ada.ID != "1" {
		t.Fatalf("the first row has the ID %q, want 1", ada.ID)
	}
	for _, seen := range []bool{true, false} { // between the two
		node.write(nil)
		if seen {
			if _, err := s.FindByID(t.Context(), "1"); !errors.Is(err, bellwether.ErrNotFound) {
				t.Errorf("a row that the SDK has deleted: %v", err)
			}
			if next := mustSave(t, s, bellwether.Token{RefreshToken: secret("next")}); next.ID != "2" {
				t.Errorf("the ID after a deleted 1 is %q, want 2", next.ID)
			}
			node.write(nil)
		}
		user := fmt.Sprint("eve", seen)
		node.save(row(map[int]string{id: "1", userName: user, refreshToken: user + "-r"}))
		got, err := s.FindByID(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		if got.UserName != user || got.Generation <= ada.Generation || len(got.Scopes) > 0 {
			t.Errorf("the new row is %+v", got)
		}
		for _, old := range []string{"ada-r0", "ada-r1"} {
			if got, err := s.Find(t.Context(), bellwether.Token{RefreshToken: secret(old)}); !errors.Is(err, bellwether.ErrNotFound) {
				t.Errorf("%s finds the row of %s: %v", old, got.UserName, err)
			}
		}
	}
}

// TestNotBesideARunningSDK shows the limit that the package comment states: the SDK reads
// the file, a Save happens, and the SDK writes what it has read.
func TestNotBesideARunningSDK(t *testing.T) {
	path := newPath(t)
	node, s := sdk{t, path}, openStored(t, path)
	mustSave(t, s, bellwether.Token{ID: "1", RefreshToken: secret("r0")})
	read := node.read()
	mustSave(t, s, bellwether.Token{ID: "1", RefreshToken: secret("r1")})
	mustSave(t, s, bellwether.Token{ID: "2", RefreshToken: secret("r2")})
	mustSave(t, s, bellwether.Token{ID: "3", RefreshToken: secret("r3")})
	node.write(read)
	got, err := s.FindByID(t.Context(), "1")
	if err != nil || got.RefreshToken.Reveal() != "r0" {
		t.Errorf("row 1 has %q, %v: the SDK no longer writes without a lock? then say so in the package comment", got.RefreshToken.Reveal(), err)
	}
	for _, lost := range []string{"2", "3"} {
		if _, err := s.FindByID(t.Context(), lost); !errors.Is(err, bellwether.ErrNotFound) {
			t.Errorf("row %s: %v, want it lost", lost, err)
		}
	}
}

// TestSDKPutsBackTheLastWrite: the line that stood before the newest write is back. It may
// be that the newest never happened; all the same nobody takes the row for one that was
// read before.
func TestSDKPutsBackTheLastWrite(t *testing.T) {
	path := newPath(t)
	node, s := sdk{t, path}, openStored(t, path)
	mustSave(t, s, bellwether.Token{ID: "1", RefreshToken: secret("r0")})
	read, first := node.read(), mustRecord(t, s, "1")
	mustSave(t, s, bellwether.Token{ID: "1", RefreshToken: secret("r1")})
	second := mustRecord(t, s, "1")
	node.write(read)
	got := mustRecord(t, s, "1")
	if got.Token.RefreshToken.Reveal() != "r0" || got.Version == first.Version || got.Version == second.Version || got.Token.Generation <= second.Token.Generation {
		t.Errorf("the row has %q, generation %d after %d", got.Token.RefreshToken.Reveal(), got.Token.Generation, second.Token.Generation)
	}
}

// TestDialects: a Save into a file of each dialect changes its own line and nothing else.
func TestDialects(t *testing.T) {
	python := strings.Replace(header, "redirect_url", "redirect_uri", 1)
	for name, c := range map[string]struct {
		config csvstore.Config
		before string
		after  string
	}{
		"new":                {after: header + "\n1,ada,,,r,,,,,"},
		"new for Python":     {config: csvstore.Config{Dialect: csvstore.Python}, after: python + "\r\n1,ada,,,r,,,,,\r\n"},
		"Node":               {before: header + "\n7,eve,,,e,,,,,", after: header + "\n7,eve,,,e,,,,,\n8,ada,,,r,,,,,"},
		"Java":               {before: header + "\n7,eve,,,e,,,,,\n", after: header + "\n7,eve,,,e,,,,,\n8,ada,,,r,,,,,\n"},
		"Python":             {before: python + "\r\n7,eve,,,e,,,,,\r\n", after: python + "\r\n7,eve,,,e,,,,,\r\n8,ada,,,r,,,,,\r\n"},
		"nine columns":       {before: strings.TrimSuffix(header, ",api_domain") + "\n7,eve,,,e,,,,", after: header + "\n7,eve,,,e,,,,,\n8,ada,,,r,,,,,"},
		"other columns":      {before: "note," + header + "\nkeep,7,eve,,,e,,,,,", after: "note," + header + "\nkeep,7,eve,,,e,,,,,\n,8,ada,,,r,,,,,"},
		"a blank expiry":     {before: header + "\n7,eve,,,e,a,,,,", after: header + "\n7,eve,,,e,a,,,,\n8,ada,,,r,,,,,"},
		"a line that is cut": {before: header + "\n6,bob,,,\"b\",,,,,\n7,eve,c", after: header + "\n6,bob,,,\"b\",,,,,\n7,eve,c\n8,ada,,,r,,,,,"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			path := newPath(t)
			if c.before != "" {
				if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, err := csvstore.OpenUnsynced(path, c.config)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			mustSave(t, s, bellwether.Token{UserName: "ada", RefreshToken: secret("r")})
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.after, string(got)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// TestNodeRefuses: what the Node SDK cannot read is not written.
func TestNodeRefuses(t *testing.T) {
	path := newPath(t)
	s, err := csvstore.OpenUnsynced(path, csvstore.Config{Dialect: csvstore.Node})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustSave(t, s, bellwether.Token{ID: "1", RefreshToken: secret("r")})
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"a,b", `a"b`, "a\nb", "a\rb"} {
		for _, tok := range []bellwether.Token{{ID: v, RefreshToken: secret("x")}, {ID: "1", UserName: v}, {ID: "1", AccessToken: secret(v)}, {RefreshToken: secret(v)}} {
			_, err := s.Save(t.Context(), tok)
			e, ok := errors.AsType[*bellwether.Error](err)
			if !ok || !errors.Is(err, bellwether.ErrInvalid) || e.Hint == "" || !strings.Contains(e.Detail, "comma") {
				t.Errorf("Save with %q: %v, want ErrInvalid and what to do", v, err)
			}
		}
	}
	mustSave(t, s, bellwether.Token{ID: "1", TokenType: "a,b"}) // the SDK does not see it
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(before), string(after)); d != "" {
		t.Errorf("refused Saves changed the file (-before +after):\n%s", d)
	}
}

// TestBrokenFiles: nothing that an SDK leaves behind is guessed at.
func TestBrokenFiles(t *testing.T) {
	path := newPath(t)
	s, err := csvstore.OpenUnsynced(path, csvstore.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 3 {
		mustSave(t, s, bellwether.Token{UserName: fmt.Sprint("u", i+1), RefreshToken: secret(fmt.Sprint("r", i+1)), Scopes: []string{"kept"}})
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(whole), "\n")
	put := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, noHeader, _ := strings.Cut(string(whole), "\n")
	for content, want := range map[string]error{"": bellwether.ErrUnavailable, noHeader: bellwether.ErrMisconfigured} {
		put(content)
		_, err := s.FindByID(t.Context(), "1")
		if e, ok := errors.AsType[*bellwether.Error](err); !ok || !errors.Is(err, want) || e.Hint == "" {
			t.Errorf("%.20q: %v, want %v and what to do", content, err, want)
		}
		if _, err := s.Save(t.Context(), bellwether.Token{RefreshToken: secret("x")}); !errors.Is(err, want) {
			t.Errorf("%.20q: Save: %v, want %v", content, err, want)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%.20q was touched", content)
		}
	}

	// The file ends in row 2: that one and 3 are neither found nor deleted.
	put(strings.Join(lines[:2], "\n") + "\n" + lines[2][:8])
	for id, want := range map[string]error{"1": nil, "2": bellwether.ErrUnreadable, "3": bellwether.ErrUnreadable} {
		if _, err := s.FindByID(t.Context(), id); !errors.Is(err, want) {
			t.Errorf("row %s: %v, want %v", id, err, want)
		}
	}
	broken := 0
	for tok, err := range s.List(t.Context()) {
		if err != nil {
			broken++
			if !errors.Is(err, bellwether.ErrUnreadable) || cmp.Diff(tok, bellwether.Token{ID: tok.ID}) != "" || tok.ID == "" {
				t.Errorf("List yields %+v, %v", tok, err)
			}
		}
	}
	if broken != 2 {
		t.Errorf("List tells of %d broken rows, want 2", broken)
	}
	put(string(whole)) // the SDK has ended its write
	for i := range 3 {
		got, err := s.FindByID(t.Context(), fmt.Sprint(i+1))
		if err != nil || got.RefreshToken.Reveal() != fmt.Sprint("r", i+1) || len(got.Scopes) != 1 || got.Generation != 1 {
			t.Errorf("row %d: %+v, %v", i+1, got, err)
		}
	}

	// A broken row can be deleted.
	put(strings.Join(lines[:3], "\n") + "\n3,u3")
	if err := s.Delete(t.Context(), "3"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != strings.Join(lines[:3], "\n") {
		t.Errorf("after the Delete the file is %q, %v", got, err)
	}
	if got := mustSave(t, s, bellwether.Token{ID: "3", RefreshToken: secret("r3")}); got.Generation != 3 {
		t.Errorf("saved again it has generation %d, want 3", got.Generation)
	}
}
