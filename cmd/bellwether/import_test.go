package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
	"github.com/bellwether-go/bellwether/memstore"
)

const sdkHeader = "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,expiry_time,redirect_url,api_domain"

func tokenFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sdk_tokens.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readAll(t testing.TB, src source) []sdkRow {
	t.Helper()
	var rows []sdkRow
	for row, err := range src.rows(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := src.close(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func openFile(t testing.TB, text string, d csvstore.Dialect) *sdkFile {
	t.Helper()
	src, err := openSDKFile(tokenFile(t, text), d)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// TestSDKFileReadsAsCSVStore: the stream and the store take the same rows of a file.
func TestSDKFileReadsAsCSVStore(t *testing.T) {
	old := strings.TrimSuffix(sdkHeader, ",api_domain")
	long := strings.Repeat("x", 60_000)
	files := map[string]struct {
		text    string
		dialect csvstore.Dialect
	}{
		"node":            {sdkHeader + "\n1,a:1,c,s,rt1,at1,,1700000000000,,\n2,b:1,c,s,rt2,,,,,https://www.zohoapis.eu", csvstore.Node},
		"node quote":      {sdkHeader + "\n1,\"a\",c,s\"s,rt1,,,,,", csvstore.Node},
		"python":          {strings.Replace(sdkHeader, "redirect_url", "redirect_uri", 1) + "\r\n1,\"a, b\",c,\"s\"\"s\",rt1,,,,http://x/y,\r\n2,b,c,s,rt2,,,,,\r\n", csvstore.Python},
		"quoted line end": {sdkHeader + "\n1,a,c,\"two\nlines\r\n\",rt1,,,,,\n2,b,c,s,rt2,,,,,\n", csvstore.Standard},
		"nine columns":    {old + "\n1,a,c,s,rt1,,,,\n2,b,c,s,rt2,,,,http://x/y\n", csvstore.Standard},
		"user_mail":       {strings.Replace(old, "user_name", "user_mail", 1) + "\n1,a@b.c,c,s,rt1,,,,", csvstore.Standard},
		"byte order mark": {"\ufeff" + sdkHeader + "\n1,a,c,s,rt1,,,,,", csvstore.Standard},
		"blank lines":     {sdkHeader + "\n\n1,a,c,s,rt1,,,,,\n\n\n2,b,c,s,rt2,,,,,\n\n", csvstore.Standard},
		"more columns":    {"note," + sdkHeader + ",more\n\"n,n\",1,a,c,s,rt1,,,,,,m\n", csvstore.Standard},
		"long values":     {sdkHeader + "\n1,a,c," + long + ",\"" + long + "\"," + long + ",,,,\n2,b,c,s,rt2,,,,,\n", csvstore.Standard},
		"empty":           {"", csvstore.Standard},
		"header alone":    {sdkHeader, csvstore.Standard},
	}
	for name, f := range files {
		t.Run(name, func(t *testing.T) {
			store, err := csvstore.Open(tokenFile(t, f.text), csvstore.Config{Dialect: f.dialect, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			want := map[string]sdkColumns{}
			for tok, err := range store.List(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				want[tok.ID] = sdkColumnsOf(tok)
			}
			got := map[string]sdkColumns{}
			for _, row := range readAll(t, openFile(t, f.text, f.dialect)) {
				tok, problem := row.token()
				if problem != "" {
					t.Errorf("%s: %s", row.name(), problem)
				}
				tok.ID = row.columns[sdkID]
				got[tok.ID] = sdkColumnsOf(tok)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-csvstore +stream):\n%s", d)
			}
		})
	}
}

// TestSDKFileBrokenLines: a broken line takes no other with it, and is named by its place.
func TestSDKFileBrokenLines(t *testing.T) {
	rows := readAll(t, openFile(t, sdkHeader+"\n1,a,c,s,rt1,,,,,\n2,\"b,c,s,rt2,,,,,\n3,c,c,s,rt3,,,,,\n4,d\n5,\"e\"e,c,s,rt5,,,,,\n\"6\r\n7\",f,c,s,rt6,,,,,\n8,g,c,s,rt8,,,,,\n9,\"h,c,s,rt9,,,,,\n10,i,c,s,rt10,,,,,", csvstore.Standard))
	var got []string
	for _, row := range rows {
		got = append(got, row.name()+": "+row.problem)
	}
	want := []string{"row 1 (line 2): ", "line 3: text follows a closing quote", "row 3 (line 4): ",
		"line 5: it has 2 fields where the header has 10", "line 6: text follows a closing quote", "line 7: ", "row 8 (line 9): ",
		"line 10: a quote is never closed", "row 10 (line 11): "}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestSDKFileWithoutHeader(t *testing.T) {
	for _, text := range []string{"1,a,c,s,rt1,,,,,\n", "id,id," + sdkHeader + "\n", strings.Replace(sdkHeader, "refresh_token", "refresh", 1) + "\n"} {
		for _, err := range openFile(t, text, csvstore.Standard).rows(t.Context()) {
			if !errors.Is(err, bellwether.ErrInvalid) {
				t.Errorf("%q: error %v, want ErrInvalid", text, err)
			}
		}
	}
}

// rowSource yields rows that are made.
type rowSource struct {
	n    int
	make func(i int) sdkRow
	read atomic.Int64
	stop func(i int) error // nil: never
}

func (s *rowSource) rows(context.Context) iter.Seq2[sdkRow, error] {
	return func(yield func(sdkRow, error) bool) {
		for i := range s.n {
			if s.stop != nil {
				if err := s.stop(i); err != nil {
					yield(sdkRow{}, err)
					return
				}
			}
			s.read.Add(1)
			if !yield(s.make(i), nil) {
				return
			}
		}
	}
}

func (s *rowSource) done() float64 { return 0 }
func (s *rowSource) close() error  { return nil }

func madeRow(i int) sdkRow {
	return sdkRow{columns: sdkColumns{sdkID: fmt.Sprint(i), sdkUserName: fmt.Sprint("user-", i), sdkClientID: "c",
		sdkClientSecret: "s", sdkRefreshToken: fmt.Sprint("rt-", i), sdkAccessToken: fmt.Sprint("at-", i), sdkExpiry: "4102444800000"}}
}

func newImporter(t testing.TB, store bellwether.Store) *importer {
	return &importer{store: store, place: place{provider: "zoho", accounts: "https://accounts.zoho.eu", needed: true},
		tell: func(row sdkRow, why error) error {
			t.Logf("%s: %v", row.name(), why)
			return nil
		}}
}

// counts are new, updated, same, superseded, refused.
func (im *importer) counts() [5]int64 {
	return [5]int64{im.fresh.Load(), im.updated.Load(), im.same.Load(), im.past.Load(), im.refused.Load()}
}

func wantCounts(t testing.TB, im *importer, want [5]int64) {
	t.Helper()
	if got := im.counts(); got != want {
		t.Errorf("new, updated, same, superseded, refused are %v, want %v", got, want)
	}
}

func runImport(t testing.TB, store bellwether.Store, rows ...sdkRow) *importer {
	t.Helper()
	im := newImporter(t, store)
	if err := im.run(t.Context(), &rowSource{n: len(rows), make: func(i int) sdkRow { return rows[i] }}); err != nil {
		t.Fatal(err)
	}
	return im
}

// TestImportNeverRevives: what the store has superseded since the first import stays out,
// however often the provider has rotated.
func TestImportNeverRevives(t *testing.T) {
	for _, rotations := range []int{1, 3, 30} {
		store := memstore.New()
		row := madeRow(1)
		row.columns[sdkGrantToken] = "gt-1"
		wantCounts(t, runImport(t, store, row), [5]int64{1})
		tok, err := store.Find(t.Context(), bellwether.Token{UserName: "user-1"})
		if err != nil {
			t.Fatal(err)
		}
		rotated := swapRotations(t, store, tok.ID, rotations)
		wantCounts(t, runImport(t, store, row), [5]int64{0, 0, 1, 1, 0})
		got, err := store.FindByID(t.Context(), tok.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(rotated, got, cmp.Transformer("Reveal", bellwether.Secret.Reveal)); d != "" {
			t.Errorf("after %d rotations the import changed the row (-before +after):\n%s", rotations, d)
		}
	}
}

// swapRotations does to the row what refreshes at a provider that rotates do, and returns it.
func swapRotations(t testing.TB, store bellwether.Durable, id string, n int) bellwether.Token {
	t.Helper()
	for i := range n {
		r, err := store.Record(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		r.Prev, r.Cred = r.Cred, fmt.Sprint("cred-", i)
		if i == 0 {
			r.Prev = ""
		}
		r.Token.Generation++
		r.Token.GrantToken = bellwether.Secret{}
		r.Token.RefreshToken = bellwether.NewSecret(fmt.Sprint("rotated-rt-", i))
		r.Token.AccessToken = bellwether.NewSecret(fmt.Sprint("rotated-at-", i))
		r.Token.ExpiresAt = r.Token.ExpiresAt.Add(time.Hour)
		version := r.Version
		if r, err = store.Swap(t.Context(), version, r); err != nil {
			t.Fatal(err)
		}
	}
	tok, err := store.FindByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestImportOldAccessToken: Zoho keeps the refresh token and makes access tokens, more of
// them than a row remembers. An access token that ends before the stored one is left.
func TestImportOldAccessToken(t *testing.T) {
	store := memstore.New()
	row := madeRow(1)
	row.columns[sdkExpiry] = "4102444800000"
	runImport(t, store, row)
	id := ""
	for i := range 40 {
		saved, err := store.Save(t.Context(), bellwether.Token{UserName: "user-1",
			AccessToken: bellwether.NewSecret(fmt.Sprint("newer-", i)), ExpiresAt: time.UnixMilli(4102444800000 + int64(i+1)*3_600_000)})
		if err != nil {
			t.Fatal(err)
		}
		id = saved.ID
	}
	wantCounts(t, runImport(t, store, row), [5]int64{0, 0, 1, 0, 0})
	row.columns[sdkExpiry], row.columns[sdkAccessToken] = "4202444800000", "at-of-the-sdk"
	wantCounts(t, runImport(t, store, row), [5]int64{0, 1, 0, 0, 0})
	got, err := store.FindByID(t.Context(), id)
	if err != nil || got.AccessToken.Reveal() != "at-of-the-sdk" {
		t.Errorf("the newer access token of the SDK was not taken over: %v", err)
	}
}

// TestImportGoesOn: an import that was interrupted is completed by the next one.
func TestImportGoesOn(t *testing.T) {
	store := memstore.New()
	const n = 500
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	im := newImporter(t, store)
	err := im.run(ctx, &rowSource{n: n, make: madeRow, stop: func(i int) error {
		if i == n/2 {
			cancel()
		}
		return ctx.Err()
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the ctx", err)
	}
	first := im.counts()
	if first[0] == 0 || first[0] > n/2 || first[4] != 0 {
		t.Fatalf("the first part has counts %v", first)
	}
	rows := 0
	for range store.List(t.Context()) {
		rows++
	}
	im = newImporter(t, store)
	if err := im.run(t.Context(), &rowSource{n: n, make: madeRow}); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, im, [5]int64{int64(n - rows), 0, int64(rows), 0, 0})
}

// lagging counts how far the reader is ahead of the saves.
type lagging struct {
	*memstore.Store
	src         *rowSource
	saved, most atomic.Int64
}

func (l *lagging) Save(ctx context.Context, t bellwether.Token) (bellwether.Token, error) {
	ahead := l.src.read.Load() - l.saved.Load()
	for most := l.most.Load(); ahead > most && !l.most.CompareAndSwap(most, ahead); most = l.most.Load() {
	}
	defer l.saved.Add(1)
	return l.Store.Save(ctx, t)
}

// TestImportStreams: rows are read as they are saved, and none waits in memory.
func TestImportStreams(t *testing.T) {
	store := &lagging{Store: memstore.New(), src: &rowSource{n: 20_000, make: madeRow}}
	im := newImporter(t, store)
	if err := im.run(t.Context(), store.src); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, im, [5]int64{20_000})
	if most := store.most.Load(); most > savesAtOnce+2 {
		t.Errorf("the reader was %d rows ahead of the saves, want %d at most", most, savesAtOnce+2)
	}
}

// TestImportRowsOfOneID: the Node SDK gives every row from its eleventh on the id 10.
func TestImportRowsOfOneID(t *testing.T) {
	var rows []sdkRow
	for i := range 40 {
		row := madeRow(i)
		row.columns[sdkID] = fmt.Sprint(min(i, 10))
		rows = append(rows, row)
	}
	wantCounts(t, runImport(t, memstore.New(), rows...), [5]int64{40})
	store := memstore.New()
	im := newImporter(t, store)
	im.keepIDs = true
	if err := im.run(t.Context(), &rowSource{n: len(rows), make: func(i int) sdkRow { return rows[i] }}); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, im, [5]int64{11, 0, 0, 0, 29})
	got, err := store.FindByID(t.Context(), "10")
	if err != nil || got.UserName != "user-10" || got.RefreshToken.Reveal() != "rt-10" {
		t.Errorf("row 10 is of %q (%v), want the first of them, whole", got.UserName, err)
	}
}

// TestImportBootRows: the SDKs' boot writes a row without a user name, then one with it.
func TestImportBootRows(t *testing.T) {
	first, second := madeRow(1), madeRow(2)
	first.columns[sdkUserName], first.columns[sdkAccessToken], first.columns[sdkExpiry] = "", "", ""
	second.columns[sdkRefreshToken] = first.columns[sdkRefreshToken]
	for _, rows := range [][]sdkRow{{first, second}, {second, first}} {
		store := memstore.New()
		for _, row := range rows {
			runImport(t, store, row)
		}
		all := slices.Collect(tokens(store.List(t.Context())))
		if len(all) != 1 || all[0].UserName != "user-2" || all[0].AccessToken.Reveal() != "at-2" {
			t.Errorf("%d rows, want one with user name and access token", len(all))
		}
	}
}

func tokens(seq iter.Seq2[bellwether.Token, error]) iter.Seq[bellwether.Token] {
	return func(yield func(bellwether.Token) bool) {
		for t, err := range seq {
			if err != nil || !yield(t) {
				return
			}
		}
	}
}

// TestImportUnknownAgain: a row that a second import could not know again is refused.
func TestImportUnknownAgain(t *testing.T) {
	row := sdkRow{columns: sdkColumns{sdkID: "1", sdkClientID: "c", sdkClientSecret: "s", sdkAccessToken: "at"}}
	store := memstore.New()
	wantCounts(t, runImport(t, store, row), [5]int64{0, 0, 0, 0, 1})
	for _, want := range [][5]int64{{1}, {0, 0, 1}} {
		im := newImporter(t, store)
		im.keepIDs = true
		if err := im.run(t.Context(), &rowSource{n: 1, make: func(int) sdkRow { return row }}); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, im, want)
	}
}

// away fails as a store does that cannot be reached any more.
type away struct {
	*memstore.Store
	left atomic.Int64
}

func (a *away) Save(ctx context.Context, t bellwether.Token) (bellwether.Token, error) {
	if a.left.Add(-1) < 0 {
		return bellwether.Token{}, &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "save"}
	}
	return a.Store.Save(ctx, t)
}

// TestImportEndsWithTheStore: a store that is away refuses no row; it ends the import.
func TestImportEndsWithTheStore(t *testing.T) {
	store := &away{Store: memstore.New()}
	store.left.Store(100)
	im := newImporter(t, store)
	err := im.run(t.Context(), &rowSource{n: 10_000, make: madeRow})
	if !errors.Is(err, bellwether.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	wantCounts(t, im, [5]int64{100})
}
