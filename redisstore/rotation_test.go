package redisstore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// keysInRotation returns the keyset of three replicas: one that has not heard of a
// new key yet, one that knows it, and one that seals with it.
func keysInRotation(t *testing.T) (behind, knowing, ahead *seal.Keys) {
	t.Helper()
	behind, knowing, ahead, _ = keyFilesInRotation(t)
	return behind, knowing, ahead
}

// keyFilesInRotation returns as well the files of the two replicas that know both keys.
func keyFilesInRotation(t *testing.T) (behind, knowing, ahead *seal.Keys, files [2]string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "ahead.json")
	must := func(k *seal.Keys, err error) *seal.Keys {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	behind = must(seal.Create(path))
	var id uint32
	knowing = must(seal.Update(path, func(k *seal.Keys) (err error) { id, err = k.Add(); return err }))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files = [2]string{filepath.Join(dir, "knowing.json"), path}
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	ahead = must(seal.Update(path, func(k *seal.Keys) error { return k.Promote(id) }))
	return behind, knowing, ahead, files
}

func fields(t *testing.T, s *redisstore.Store, id string) map[string]string {
	t.Helper()
	v, err := s.RawClient().HGetAll(t.Context(), s.RowKey(id)).Result()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Half-way through a rotation replicas seal with different keys. The index has a key
// of its own: they meet on one row all the same, and each reads it.
func TestReplicasWithDifferentPrimaryKeys(t *testing.T) {
	_, knowing, ahead := keysInRotation(t)
	m, _ := redistest.Mini(t)
	a, _ := replica(t, m, knowing)
	b, _ := replica(t, m, ahead)
	given := newToken("p")
	var wg sync.WaitGroup
	for i := range 16 {
		s := []*redisstore.Store{a, b}[i%2]
		wg.Go(func() {
			if _, err := s.Save(t.Context(), given); err != nil {
				t.Errorf("Save: %v", err)
			}
		})
	}
	wg.Wait()
	row := wantSound(t, a, 1)[0]
	for _, s := range []*redisstore.Store{a, b} {
		x := attempt(t, s, row.ID)
		ans := begin(t, s, x)
		wantWord(t, ans, bellwether.BeginGo)
		if got := commit(t, s, x, ans.Token); got.Word != bellwether.CommitOK {
			t.Errorf("commit answered %q, want ok", got.Word)
		}
	}
	wantSound(t, a, 1)
	wantSound(t, b, 1)
}

// A replica that lacks the key of a row says so and leaves the row as it is.
func TestRowOfAnUnknownKey(t *testing.T) {
	behind, _, ahead := keysInRotation(t)
	m, _ := redistest.Mini(t)
	s, _ := replica(t, m, behind)
	other, _ := replica(t, m, ahead)
	tok := save(t, other, newToken("p"))
	before := fields(t, other, tok.ID)

	_, err := s.Peek(t.Context(), tok.ID, "")
	wantError(t, err, bellwether.ErrUnreadable)
	_, err = s.FindByID(t.Context(), tok.ID)
	wantError(t, err, bellwether.ErrUnreadable)
	id := ahead.List()[1].ID
	want := fmt.Sprintf("bellwether: read %q: stored token is unreadable: it is sealed by key %d, which this keyset does not hold; "+
		"give this replica the keyset file that lists key %d", tok.ID, id, id)
	if got := err.Error(); got != want {
		t.Errorf("error is\n%s\nwant\n%s", got, want)
	}
	_, err = s.Save(t.Context(), bellwether.Token{ID: tok.ID, RedirectURL: "https://new.test"})
	wantError(t, err, bellwether.ErrUnreadable)
	if diff := cmp.Diff(before, fields(t, other, tok.ID)); diff != "" {
		t.Errorf("the row was changed (-before +after):\n%s", diff)
	}
	wantWord(t, begin(t, other, attempt(t, other, tok.ID)), bellwether.BeginGo)
}
