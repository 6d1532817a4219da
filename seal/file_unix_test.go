//go:build unix && !aix && !solaris

package seal_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/bellwether-go/bellwether/seal"
)

func TestModes(t *testing.T) {
	_, path := create(t)
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{
		0o600: true, 0o400: true, 0o700: true,
		0o640: false, 0o604: false, 0o644: false, 0o660: false, 0o620: false, 0o602: false, 0o610: false, 0o601: false, 0o777: false,
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{path, link} {
			_, err := seal.Open(name)
			if ok && err != nil {
				t.Errorf("mode %04o: %v", mode, err)
			}
			if !ok {
				wantMisconfigured(t, err, "chmod", "group or others")
			}
		}
		if _, err := seal.Update(path, func(*seal.Keys) error { return nil }); (err == nil) != ok {
			t.Errorf("mode %04o: Update: %v", mode, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("Update changed mode %04o to %04o", mode, info.Mode().Perm())
		}
	}
}

func TestUpdateFollowsALink(t *testing.T) {
	_, path := create(t)
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Update(link, func(k *seal.Keys) error { _, err := k.Add(); return err }); err != nil {
		t.Fatalf("Update: %v", err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	k, err := seal.Open(path)
	if err != nil || len(k.List()) != 2 {
		t.Errorf("the file behind the link was not updated: %v", err)
	}
}

// TestUpdateRace: a key that Add returned is in the file, whoever else updates it.
func TestUpdateRace(t *testing.T) {
	_, path := create(t)
	const n = 16
	ids := make([]uint32, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, err := seal.Update(path, func(k *seal.Keys) (err error) { ids[i], err = k.Add(); return err })
			if err != nil {
				t.Errorf("Update: %v", err)
			}
		})
	}
	wg.Wait()
	k, err := seal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	kept := make(map[uint32]bool)
	for _, key := range k.List() {
		kept[key.ID] = true
	}
	for _, id := range ids {
		if !kept[id] {
			t.Errorf("key %d was lost", id)
		}
	}
	onlyFile(t, path)
}
