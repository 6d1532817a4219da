package storetest

import (
	"fmt"
	"testing"

	"github.com/bellwether-go/bellwether"
)

var swapPastRules = []rule{
	{"BootWithTheFirstRefreshToken", testSwapBoot},
	{"OldAccessToken", testSwapOldAccess},
	{"SpentCode", testSwapSpentCode},
	{"NewLineage", testSwapLineage},
	{"NotesAlone", testSwapNotesAlone},
}

// testSwapBoot: after rotations by a tier, a replica saves the refresh token of its
// environment.
func testSwapBoot(t *testing.T, h Harness) {
	d := durable(t, h)
	r := swap(t, d, "", kept("row", "a"))
	first := r.Token.RefreshToken
	const rotations = 12
	for i := range rotations {
		r = swap(t, d, r.Version, rotated(r, i))
	}
	for name, old := range map[string]bellwether.Secret{
		"the first": first, "the one before": secret(fmt.Sprint("rotated-", rotations-2)),
	} {
		boot := bellwether.Token{RefreshToken: old, ClientID: r.Token.ClientID, ClientSecret: r.Token.ClientSecret}
		wantFound(t, d, boot, "row")
		if got := save(t, d, boot); got.ID != "row" || !got.RefreshToken.Equal(r.Token.RefreshToken) {
			t.Errorf("a Save of %s refresh token gives row %q with %q", name, got.ID, got.RefreshToken.Reveal())
		}
	}
	wantRows(t, d, 1)
}

func testSwapOldAccess(t *testing.T, h Harness) {
	d := durable(t, h)
	r := swap(t, d, "", kept("row", "a"))
	old := r.Token.AccessToken
	r = swap(t, d, r.Version, rotated(r, 1))
	wantFound(t, d, bellwether.Token{AccessToken: old}, "row")
	if got := save(t, d, bellwether.Token{AccessToken: old}); got.ID != "row" || !got.AccessToken.Equal(r.Token.AccessToken) {
		t.Errorf("a Save of the old access token gives row %q with %q", got.ID, got.AccessToken.Reveal())
	}
}

func testSwapSpentCode(t *testing.T, h Harness) {
	d := durable(t, h)
	first := kept("row", "a")
	code := first.Token.GrantToken
	r := swap(t, d, "", first)
	r = swap(t, d, r.Version, rotated(r, 1))
	boot := bellwether.Token{GrantToken: code, ClientID: r.Token.ClientID, ClientSecret: r.Token.ClientSecret}
	wantFound(t, d, boot, "row")
	if got := save(t, d, boot); got.ID != "row" || !got.GrantToken.IsZero() || !got.RefreshToken.Equal(r.Token.RefreshToken) {
		t.Errorf("a Save of the spent code gives row %q, code %q, refresh token %q",
			got.ID, got.GrantToken.Reveal(), got.RefreshToken.Reveal())
	}
}

// testSwapLineage: a sign-in supersedes what it does not keep.
func testSwapLineage(t *testing.T, h Harness) {
	d := durable(t, h)
	r := swap(t, d, "", kept("row", "a"))
	r = swap(t, d, r.Version, rotated(r, 1))
	next := kept("row", "b")
	next.Token.UserName, next.Token.ClientID, next.Token.Generation = r.Token.UserName, r.Token.ClientID, r.Token.Generation+1
	r = swap(t, d, r.Version, next)
	for _, old := range []string{"refresh-a", "rotated-1"} {
		got := save(t, d, bellwether.Token{RefreshToken: secret(old)})
		if got.ID != "row" || !got.RefreshToken.Equal(r.Token.RefreshToken) {
			t.Errorf("a Save of %s gives row %q with %q", old, got.ID, got.RefreshToken.Reveal())
		}
	}
}

func testSwapNotesAlone(t *testing.T, h Harness) {
	d := durable(t, h)
	r := swap(t, d, "", kept("row", "a"))
	next := r
	next.Notes = []byte("presented")
	got := swap(t, d, r.Version, next)
	h.wantRecord(t, "the record", next, got)
	// Nothing was superseded: a Save that replaces the row may give its own tokens. Of one
	// that the row takes for superseded it would drop them.
	same := got.Token
	same.Scopes = []string{"another"}
	saved := save(t, d, same)
	if !saved.RefreshToken.Equal(same.RefreshToken) || !saved.GrantToken.Equal(same.GrantToken) || !saved.AccessToken.Equal(same.AccessToken) {
		t.Errorf("after Notes alone have changed, the row's own tokens are dropped: %q, %q, %q are left",
			saved.RefreshToken.Reveal(), saved.GrantToken.Reveal(), saved.AccessToken.Reveal())
	}
}
