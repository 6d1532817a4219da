package seal

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"

	"github.com/bellwether-go/bellwether"
)

// format names the file's layout; another layout gets another name.
const format = "bellwether-keyset-1"

// maxFile bounds what is read: a keyset of a hundred keys has some 30 KiB.
const maxFile = 1 << 20

// file is the JSON of a keyset file.
type file struct {
	Format   string               `json:"format"`
	IndexKey string               `json:"index_key"` // base64, 32 bytes
	Created  map[uint32]time.Time `json:"created,omitempty"`
	// SealingKeys is a tink keyset in tink's own JSON, cleartext.
	SealingKeys json.RawMessage `json:"sealing_keys"`
}

// Create makes a fresh keyset and writes it to path with mode 0600. An existing file
// is never overwritten: the error then matches fs.ErrExist. The file appears whole or
// not at all.
func Create(path string) (*Keys, error) {
	k, err := New()
	if err != nil {
		return nil, err
	}
	b, err := k.marshal()
	if err != nil {
		return nil, err
	}
	temp, err := writeTemp(filepath.Dir(path), b, 0o600)
	if err != nil {
		return nil, fileError("create", path, err, "the folder must exist and be writable")
	}
	defer os.Remove(temp)
	// A link, unlike a rename, fails when the name is taken.
	if err := os.Link(temp, path); err != nil {
		hint := "the folder must be on a file system with hard links"
		if errors.Is(err, fs.ErrExist) {
			hint = "a keyset that has sealed tokens cannot be made again: choose another path, or move that file away"
		}
		return nil, fileError("create", path, err, hint)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, fileError("create", path, err, "")
	}
	return k, nil
}

// Open reads the keyset file at path. A file that group or others may read, write or
// execute is refused, also behind a symbolic link; not so on Windows, where modes do
// not tell. Errors match bellwether.ErrMisconfigured.
func Open(path string) (*Keys, error) {
	b, _, err := read(path)
	if err != nil {
		return nil, err
	}
	k, err := Parse(b)
	if e, ok := errors.AsType[*bellwether.Error](err); ok {
		e.Detail = fmt.Sprintf("%s: %s", path, e.Detail)
	}
	return k, err
}

// Update changes the keyset file at path: change is given its keys, and what it makes
// of them takes the file's place at once, or, after an error, nothing does. Mode and
// owner stay. Updates of several processes wait for each other where the system has
// flock (Linux, macOS, the BSDs); elsewhere they must not overlap.
func Update(path string, change func(*Keys) error) (*Keys, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fileError("update", path, err, "name an existing keyset file")
	}
	dir := filepath.Dir(path)
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, fileError("update", path, err, "the folder must be readable")
	}
	defer unlock()

	old, info, err := read(path)
	if err != nil {
		return nil, err
	}
	k, err := Parse(old)
	if err != nil {
		return nil, err
	}
	if err := change(k); err != nil {
		return nil, err
	}
	b, err := k.marshal()
	if err != nil {
		return nil, err
	}
	temp, err := writeTemp(dir, b, info.Mode().Perm())
	if err != nil {
		return nil, fileError("update", path, err, "the folder must be writable")
	}
	defer os.Remove(temp) // fails once it is renamed
	if err := keepOwner(temp, info); err != nil {
		return nil, fileError("update", path, err, "run this as the owner of the file")
	}
	if err := os.Rename(temp, path); err != nil {
		return nil, fileError("update", path, err, "the folder must be writable")
	}
	if err := syncDir(dir); err != nil {
		return nil, fileError("update", path, err, "")
	}
	return k, nil
}

// Parse reads the content of a keyset file. Errors match bellwether.ErrMisconfigured
// and quote nothing of it.
func Parse(b []byte) (*Keys, error) {
	var f file
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, malformed("it is not the JSON of a keyset")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, malformed("something follows the keyset")
	}
	if f.Format != format {
		return nil, malformed("its format is not " + format)
	}
	index, err := base64.StdEncoding.Strict().DecodeString(f.IndexKey)
	if err != nil || len(index) != indexKeySize {
		return nil, malformed(fmt.Sprintf("its index key is not %d bytes in base64", indexKeySize))
	}
	if subtle.ConstantTimeCompare(index, make([]byte, indexKeySize)) == 1 {
		return nil, malformed("its index key is all zero")
	}
	// tink's errors may quote key material.
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(f.SealingKeys)))
	if err != nil {
		return nil, malformed("its sealing keys are not a tink keyset")
	}
	for _, key := range h.KeysetInfo().GetKeyInfo() {
		if key.GetOutputPrefixType() != tinkpb.OutputPrefixType_TINK {
			return nil, malformed(fmt.Sprintf("sealing key %d leaves no id in what it seals", key.GetKeyId()))
		}
	}
	state, err := fromHandle(h, f.Created)
	if err != nil {
		return nil, malformed("its sealing keys are not all for authenticated encryption")
	}
	return newKeys(index, state), nil
}

func malformed(detail string) error {
	return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: "keyset", Detail: detail,
		Hint: "use the file that was made for this store, unchanged; restore it from a backup when it is damaged"}
}

func fileError(op, path string, err error, hint string) error {
	return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: op + " keyset", Detail: path, Err: err, Hint: hint}
}

func (k *Keys) marshal() ([]byte, error) {
	s := k.state.Load()
	var keys bytes.Buffer
	if err := insecurecleartextkeyset.Write(s.handle, keyset.NewJSONWriter(&keys)); err != nil {
		return nil, fmt.Errorf("bellwether: write sealing keys: %w", err)
	}
	created := make(map[uint32]time.Time)
	for _, key := range s.keys {
		if !key.Created.IsZero() {
			created[key.ID] = key.Created
		}
	}
	b, err := json.MarshalIndent(file{
		Format:      format,
		IndexKey:    base64.StdEncoding.EncodeToString(k.index.key),
		Created:     created,
		SealingKeys: keys.Bytes(),
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("bellwether: write keyset: %w", err)
	}
	return append(b, '\n'), nil
}

// read returns the content of the keyset file once its mode has been checked, on the
// open file, so that nobody can put another in its place between.
func read(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		hint := "the user that runs this must be able to read it"
		if errors.Is(err, fs.ErrNotExist) {
			hint = "name an existing keyset file, or create one"
		}
		return nil, nil, fileError("open", path, err, hint)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fileError("open", path, err, "")
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fileError("open", path, errors.New("not a regular file"), "name a keyset file")
	}
	if err := checkMode(info); err != nil {
		return nil, nil, fileError("open", path, err, "chmod 600 it; a mounted secret needs mode 0400")
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, fileError("open", path, err, "")
	}
	if len(b) > maxFile {
		return nil, nil, fileError("open", path, errors.New("larger than 1 MiB"), "name a keyset file")
	}
	return b, info, nil
}

// checkMode refuses a file that others than its owner can use. On Windows modes do
// not say who that is.
func checkMode(info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("group or others can use it (mode %04o)", mode)
	}
	return nil
}

// writeTemp writes a file of its own into dir and syncs it.
func writeTemp(dir string, b []byte, mode fs.FileMode) (name string, err error) {
	f, err := os.CreateTemp(dir, ".keyset-*") // mode 0600
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	return f.Name(), err
}
