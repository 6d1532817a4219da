package seal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/seal"
)

// contentOf returns what a file of these keys holds.
func contentOf(t testing.TB, k *seal.Keys) []byte {
	t.Helper()
	b, err := k.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reload returns k as another replica reads it from its file.
func reload(t testing.TB, k *seal.Keys) *seal.Keys {
	t.Helper()
	again, err := seal.Parse(contentOf(t, k))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return again
}

func create(t *testing.T) (*seal.Keys, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyset.json")
	k, err := seal.Create(path)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return k, path
}

func wantMisconfigured(t *testing.T, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, bellwether.ErrMisconfigured) {
		t.Fatalf("%v, want ErrMisconfigured", err)
	}
	if e, ok := errors.AsType[*bellwether.Error](err); !ok || e.Hint == "" {
		t.Errorf("%v has no hint", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

// onlyFile checks that the folder holds nothing but the keyset.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("the folder holds %v, want the keyset alone", entries)
	}
}

func TestCreateAndOpen(t *testing.T) {
	created, path := create(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("the file has mode %v, want -rw-------", info.Mode())
	}
	onlyFile(t, path)

	opened, err := seal.Open(path)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	wantOpen(t, opened, mustSeal(t, created, "x", "a"), "a", "x")
	if !bytes.Equal(created.MAC("x"), opened.MAC("x")) || created.Fingerprint() != opened.Fingerprint() {
		t.Error("the opened keyset has another index key")
	}
	if got, want := fmt.Sprint(opened.List()), fmt.Sprint(created.List()); got != want {
		t.Errorf("List = %s, want %s", got, want)
	}
}

func TestCreateOverwritesNothing(t *testing.T) {
	_, path := create(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = seal.Create(path)
	wantMisconfigured(t, err, path)
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v does not match fs.ErrExist", err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("Create changed an existing keyset")
	}
	onlyFile(t, path)

	_, err = seal.Create(filepath.Join(t.TempDir(), "no", "such", "folder"))
	wantMisconfigured(t, err)
}

// TestCreateRace: of many who create one keyset, one does, and all then read its.
func TestCreateRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.json")
	var wg sync.WaitGroup
	keys, errs := make([]*seal.Keys, 16), make([]error, 16)
	for i := range keys {
		wg.Go(func() { keys[i], errs[i] = seal.Create(path) })
	}
	wg.Wait()
	opened, err := seal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	won := 0
	for i, err := range errs {
		switch {
		case err == nil:
			won++
			if keys[i].Fingerprint() != opened.Fingerprint() {
				t.Error("the keyset that Create returned is not the one in the file")
			}
		case !errors.Is(err, fs.ErrExist):
			t.Errorf("Create: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d keysets were created at one path", won)
	}
	onlyFile(t, path)
}

func TestOpenRefuses(t *testing.T) {
	_, err := seal.Open(filepath.Join(t.TempDir(), "missing.json"))
	wantMisconfigured(t, err, "missing.json")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v does not match fs.ErrNotExist", err)
	}
	_, err = seal.Open(t.TempDir())
	wantMisconfigured(t, err, "regular")

	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, bytes.Repeat([]byte(" "), 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = seal.Open(big)
	wantMisconfigured(t, err, "1 MiB")
}

func TestParseRefuses(t *testing.T) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, contentOf(t, newKeys(t))); err != nil {
		t.Fatal(err)
	}
	good := compact.Bytes()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(good, &fields); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Parse(good); err != nil {
		t.Fatalf("Parse: %v", err)
	}
	with := func(name, value string) []byte {
		f := maps.Clone(fields)
		if value == "" {
			delete(f, name)
		} else {
			f[name] = json.RawMessage(value)
		}
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	keys := string(fields["sealing_keys"])
	replaced := func(old, new string) []byte {
		if !strings.Contains(keys, old) {
			t.Fatalf("no %s in the sealing keys", old)
		}
		return with("sealing_keys", strings.Replace(keys, old, new, 1))
	}
	for name, content := range map[string][]byte{
		"empty":             nil,
		"not JSON":          []byte("keys"),
		"another file":      []byte(`{"redis":"redis://localhost"}`),
		"cut":               good[:len(good)/2],
		"something behind":  append(bytes.Clone(good), '{'),
		"two keysets":       append(bytes.Clone(good), good...),
		"unknown field":     with("more", "1"),
		"no format":         with("format", ""),
		"other format":      with("format", `"bellwether-keyset-2"`),
		"no index key":      with("index_key", ""),
		"short index key":   with("index_key", `"AAAA"`),
		"broken index key":  with("index_key", `"`+strings.Repeat("!", 44)+`"`),
		"zero index key":    with("index_key", `"`+strings.Repeat("A", 43)+`="`),
		"no sealing keys":   with("sealing_keys", ""),
		"null sealing keys": with("sealing_keys", "null"),
		"empty keyset":      with("sealing_keys", "{}"),
		"no primary":        replaced("primaryKeyId", "other"),
		"broken value":      replaced(`"value":"`, `"value":"secretvalue!`),
		"other primitive":   replaced("XAesGcmKey", "HmacKey"),
		"raw output":        replaced(`"TINK"`, `"RAW"`),
		"tink alone":        []byte(keys),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := seal.Parse(content)
			wantMisconfigured(t, err)
			if strings.Contains(err.Error(), "secretvalue") {
				t.Errorf("the error quotes a key: %v", err)
			}
			path := filepath.Join(t.TempDir(), "keyset.json")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = seal.Open(path)
			wantMisconfigured(t, err, path)
			_, err = seal.Update(path, func(*seal.Keys) error { t.Error("a broken file was updated"); return nil })
			wantMisconfigured(t, err)
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
				t.Errorf("Update changed a broken file: %v", err)
			}
		})
	}
}

func TestUpdate(t *testing.T) {
	old, path := create(t)
	var added uint32
	updated, err := seal.Update(path, func(k *seal.Keys) (err error) { added, err = k.Add(); return err })
	if err != nil {
		t.Fatalf("Update: %v", err)
	}
	opened, err := seal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]*seal.Keys{"returned": updated, "in the file": opened} {
		list := k.List()
		if len(list) != 2 || list[1].ID != added || list[1].Status != seal.StatusEnabled || list[1].Created.IsZero() {
			t.Errorf("%s: %+v, want key %d added", name, list, added)
		}
		if k.Fingerprint() != old.Fingerprint() {
			t.Errorf("%s: the index key changed", name)
		}
	}
	onlyFile(t, path)

	// After an error the file is as it was.
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if _, err := seal.Update(path, func(k *seal.Keys) error { _, _ = k.Add(); return stop }); !errors.Is(err, stop) {
		t.Errorf("Update: %v, want %v", err, stop)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a refused Update changed the file: %v", err)
	}
	_, err = seal.Update(filepath.Join(t.TempDir(), "missing"), func(*seal.Keys) error { return nil })
	wantMisconfigured(t, err)
}

// FuzzParse: whatever the file holds, Parse neither panics nor gives an untyped error.
func FuzzParse(f *testing.F) {
	good := contentOf(f, newKeys(f))
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(bytes.Replace(good, []byte("ENABLED"), []byte("DISABLED"), 1))
	f.Add([]byte(`{"format":"bellwether-keyset-1"}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		k, err := seal.Parse(content)
		if err != nil {
			if !errors.Is(err, bellwether.ErrMisconfigured) {
				t.Errorf("%v, want ErrMisconfigured", err)
			}
			return
		}
		wantOpen(t, k, mustSeal(t, k, "x", "a"), "a", "x")
	})
}
