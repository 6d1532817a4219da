package redisstore_test

import (
	"crypto/rand"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
)

// A save and a refresh meet on a row; neither undoes the other.

// answer commits what a provider brought over what begin gave, as a refresh does.
func answer(t *testing.T, s *redisstore.Store, a bellwether.Attempt, ans bellwether.BeginAnswer, change func(*bellwether.Token), extra map[string]string) bellwether.CommitAnswer {
	t.Helper()
	next := ans.Token.Clone()
	next.AccessToken, next.RefreshToken = secret("at-"+rand.Text()), secret("rt-"+rand.Text())
	if change != nil {
		change(&next)
	}
	all := make(map[string]bellwether.Secret)
	maps.Copy(all, ans.Extra)
	for k, v := range extra {
		all[k] = secret(v)
	}
	got, err := s.Commit(t.Context(), bellwether.Commit{Attempt: a, Token: next, Extra: all})
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return got
}

func find(t *testing.T, s *redisstore.Store, id string) bellwether.Token {
	t.Helper()
	tok, err := s.FindByID(t.Context(), id)
	if err != nil {
		t.Fatalf("FindByID: %v", err)
	}
	return tok
}

func reveal(m map[string]bellwether.Secret) map[string]string {
	out := make(map[string]string)
	for k, v := range m {
		out[k] = v.Reveal()
	}
	return out
}

// TestSaveDuringRefresh: what an operator corrects while the provider is called stays,
// and so does what the provider answered.
func TestSaveDuringRefresh(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := newToken("p")
		tok.APIDomain, tok.Scopes, tok.TokenType = "https://one.example", []string{"one"}, "One"
		tok.RefreshExpiresAt = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
		row := save(t, s, tok)
		cred := peek(t, s, row.ID).Cred

		for round := range 3 { // the correction outlives later refreshes
			a := attempt(t, s, row.ID)
			ans := begin(t, s, a)
			wantWord(t, ans, bellwether.BeginGo)
			if round == 0 {
				save(t, s, bellwether.Token{ID: row.ID, APIDomain: "https://two.example", Scopes: []string{"two"}, TokenType: "Two", UserName: "renamed"})
				if got := peek(t, s, row.ID); got.Cred != cred || got.APIDomain != "https://two.example" || got.TokenType != "Two" {
					t.Fatalf("after the save: cred changed %v, %+v", got.Cred != cred, got)
				}
			}
			got := answer(t, s, a, ans, func(next *bellwether.Token) {
				next.APIDomain, next.Scopes, next.TokenType = "https://one.example", []string{"one"}, "One"
				next.RefreshExpiresAt = tok.RefreshExpiresAt.AddDate(1, 0, 0)
			}, nil)
			if got.Word != bellwether.CommitOK {
				t.Fatalf("commit answered %q, want ok", got.Word)
			}
			now := find(t, s, row.ID)
			if now.APIDomain != "https://two.example" || now.TokenType != "Two" || !slices.Equal(now.Scopes, []string{"two"}) || now.UserName != "renamed" {
				t.Fatalf("the refresh undid the save: %+v", now)
			}
			if !now.RefreshExpiresAt.Equal(tok.RefreshExpiresAt.AddDate(1, 0, 0)) {
				t.Errorf("the refresh token ends at %v", now.RefreshExpiresAt)
			}
			if snap := peek(t, s, row.ID); snap.APIDomain != "https://two.example" || snap.TokenType != "Two" {
				t.Errorf("Peek does not see the correction: %+v", snap)
			}
			row = now
		}
		// A new sign-in ends it.
		save(t, s, bellwether.Token{ID: row.ID, RefreshToken: secret("again" + rand.Text())})
		a := attempt(t, s, row.ID)
		ans := begin(t, s, a)
		answer(t, s, a, ans, func(next *bellwether.Token) { next.APIDomain, next.TokenType = "https://one.example", "One" }, nil)
		if now := find(t, s, row.ID); now.APIDomain != "https://one.example" || now.TokenType != "One" {
			t.Errorf("an override outlived its lineage: %+v", now)
		}
	})
}

// TestAccessTokenSavedDuringRefresh: another access token is no new lineage; the answer
// in flight is newer and lands.
func TestAccessTokenSavedDuringRefresh(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		row := save(t, s, newToken("p"))
		a := attempt(t, s, row.ID)
		ans := begin(t, s, a)
		saved := save(t, s, bellwether.Token{ID: row.ID, AccessToken: secret("saved-at"), TokenType: "Saved"})
		if snap := peek(t, s, row.ID); snap.Cred != a.Expected || snap.AccessToken.Reveal() != "saved-at" || !snap.ExpiresAt.IsZero() {
			t.Fatalf("after the save: %+v", snap)
		}
		if got := answer(t, s, a, ans, nil, nil); got.Word != bellwether.CommitOK || got.Generation != saved.Generation+1 {
			t.Fatalf("commit answered %+v, want ok", got)
		}
		s.Idle()
		// The former token still leads here, and does not come back.
		if got, err := s.Find(t.Context(), bellwether.Token{AccessToken: secret("saved-at")}); err != nil || got.ID != row.ID {
			t.Errorf("Find by the former access token: %q, %v", got.ID, err)
		}
		if got := save(t, s, bellwether.Token{ID: row.ID, AccessToken: secret("saved-at")}); got.AccessToken.Reveal() == "saved-at" {
			t.Error("a superseded access token came back")
		}
	})
}

// TestExtras: what an answer brought and what an operator saved have one name space,
// and the newer of the two shows.
func TestExtras(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := newToken("p")
		tok.Extra = map[string]bellwether.Secret{"own": secret("mine"), "both": secret("mine")}
		row := save(t, s, tok)
		refreshed := func(extra map[string]string) {
			t.Helper()
			a := attempt(t, s, row.ID)
			ans := begin(t, s, a)
			answer(t, s, a, ans, nil, extra)
		}
		want := func(what string, want map[string]string, hot map[string]string) {
			t.Helper()
			if d := cmp.Diff(want, reveal(find(t, s, row.ID).Extra)); d != "" {
				t.Errorf("%s (-want +got):\n%s", what, d)
			}
			if d := cmp.Diff(hot, reveal(peek(t, s, row.ID).Extra)); d != "" {
				t.Errorf("%s, Peek (-want +got):\n%s", what, d)
			}
		}
		refreshed(map[string]string{"both": "theirs", "id_token": "one"})
		want("an answer", map[string]string{"own": "mine", "both": "theirs", "id_token": "one"}, map[string]string{"both": "theirs", "id_token": "one"})

		a := attempt(t, s, row.ID)
		ans := begin(t, s, a)
		save(t, s, bellwether.Token{ID: row.ID, Extra: map[string]bellwether.Secret{"both": secret("corrected"), "new": secret("n")}})
		fixed := map[string]string{"own": "mine", "both": "corrected", "id_token": "one", "new": "n"}
		want("a save over an answer", fixed, map[string]string{"both": "corrected", "id_token": "one"})
		answer(t, s, a, ans, nil, nil) // carries the value that it found
		want("an answer that says nothing new", fixed, map[string]string{"both": "corrected", "id_token": "one"})
		refreshed(map[string]string{"both": "newest"})
		want("an answer with another value", map[string]string{"own": "mine", "both": "newest", "id_token": "one", "new": "n"},
			map[string]string{"both": "newest", "id_token": "one"})

		now := find(t, s, row.ID)
		now.Extra = map[string]bellwether.Secret{"own": secret("mine")}
		save(t, s, now)
		want("cleared", map[string]string{"own": "mine"}, map[string]string{})
		save(t, s, bellwether.Token{ID: row.ID, RefreshToken: secret("lineage" + rand.Text())})
		want("a new lineage", map[string]string{"own": "mine"}, map[string]string{})
	})
}

// TestClearedDuringRefresh: a cleared refresh token does not come back by an answer to
// it; a cleared code does not make that answer stale.
func TestClearedDuringRefresh(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		t.Run("refresh token", func(t *testing.T) {
			row := save(t, s, newToken("p"))
			a := attempt(t, s, row.ID)
			ans := begin(t, s, a)
			now := find(t, s, row.ID)
			now.RefreshToken = bellwether.Secret{}
			save(t, s, now)
			if got := answer(t, s, a, ans, nil, nil); got.Word != bellwether.CommitStale {
				t.Errorf("commit answered %q, want stale", got.Word)
			}
			if got := find(t, s, row.ID); !got.RefreshToken.IsZero() {
				t.Error("the refresh token is back")
			}
		})
		t.Run("code", func(t *testing.T) {
			tok := newToken("p")
			tok.GrantToken = secret("gt" + rand.Text())
			row := save(t, s, tok)
			a := attempt(t, s, row.ID)
			ans := begin(t, s, a)
			now := find(t, s, row.ID)
			now.GrantToken = bellwether.Secret{}
			if got := save(t, s, now); !got.GrantToken.IsZero() {
				t.Fatal("the code was not cleared")
			}
			if got := answer(t, s, a, ans, nil, nil); got.Word != bellwether.CommitOK {
				t.Errorf("commit answered %q, want ok", got.Word)
			}
			if got := find(t, s, row.ID); !got.GrantToken.IsZero() || got.RefreshToken.Equal(tok.RefreshToken) {
				t.Errorf("the row is %+v, want the answer and no code", got)
			}
		})
	})
}

func TestSaveWhileRevoking(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		row := save(t, s, newToken("p"))
		if err := s.MarkRevoking(t.Context(), row.ID); err != nil {
			t.Fatal(err)
		}
		for _, given := range []bellwether.Token{{TokenType: "t"}, {RefreshToken: row.RefreshToken}, {AccessToken: secret("a")}} {
			given.ID = row.ID
			_, err := s.Save(t.Context(), given)
			wantError(t, err, bellwether.ErrRevoking)
		}
		if got := find(t, s, row.ID); got.State != bellwether.StateRevoking {
			t.Errorf("state is %q", got.State)
		}
		if got := save(t, s, bellwether.Token{ID: row.ID, RefreshToken: secret("new" + rand.Text())}); got.State != bellwether.StateActive {
			t.Errorf("a new sign-in left state %q", got.State)
		}
	})
}

// TestSaveAgainstRefresh runs both at full speed: no refresh token is lost, no
// correction either.
func TestSaveAgainstRefresh(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		row := save(t, s, newToken("p"))
		const n = 40
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range n {
				if _, err := s.Save(t.Context(), bellwether.Token{ID: row.ID, ClientSecret: secret(rand.Text()), APIDomain: "https://" + rand.Text() + ".example"}); err != nil {
					t.Errorf("Save: %v", err)
				}
			}
		}()
		var last bellwether.Secret
		for range n {
			a := attempt(t, s, row.ID)
			ans := begin(t, s, a)
			if ans.Word == bellwether.BeginChanged {
				t.Fatal("a correction changed the credentials")
			}
			wantWord(t, ans, bellwether.BeginGo)
			got := answer(t, s, a, ans, func(next *bellwether.Token) { last = next.RefreshToken }, nil)
			if got.Word != bellwether.CommitOK {
				t.Fatalf("commit answered %q, want ok", got.Word)
			}
		}
		<-done
		want := save(t, s, bellwether.Token{ID: row.ID, ClientSecret: secret("last"), APIDomain: "https://last.example"})
		got := find(t, s, row.ID)
		if !got.RefreshToken.Equal(last) || got.ClientSecret.Reveal() != "last" || got.APIDomain != "https://last.example" {
			t.Errorf("the row is %+v", got)
		}
		if want.Generation < int64(2*n+2) {
			t.Errorf("generation %d after %d writes", want.Generation, 2*n+2)
		}
	})
}
