// Package seal holds the keys that protect stored tokens: a [Keys] is a
// [bellwether.Sealer].
//
// What holds: what is stored cannot be read, changed or moved to another row or field
// without the keyset file, and key names in Redis reveal no token and no user name.
// What does not hold: whoever reads the file, or the memory of a replica, reads every
// token. A store can also be rolled back to an older sealed value; the generation of a
// row tells, the seal does not.
//
// The file holds two kinds of keys. Sealing keys (XAES-256-GCM of tink: random 192-bit
// nonces, so that no fleet seals too much under one key) encrypt; one of them is the
// primary and seals all that is written, the others only open. The index key
// (HMAC-SHA256) makes the digests that tokens are looked up by; it never changes for
// the life of a store.
//
// A sealing key is rotated in two steps, since replicas restart one by one:
//
//	seal.Update(path, func(k *seal.Keys) error { _, err := k.Add(); return err })
//	// give every replica the new file, then:
//	seal.Update(path, func(k *seal.Keys) error { return k.Promote(id) })
//
// A refresh seals the tokens anew; the client secret and what an operator gave keep
// their old key until the row is saved. An old key can go when no row needs it, which a
// keyset tells in which it is disabled: Disable it, list the rows of every store with
// that file, Enable it again if one is unreadable and refresh and save that, else give
// the file to every replica, then Remove it.
package seal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/bellwether-go/bellwether"
)

const indexKeySize = 32

// Keys is a keyset: sealing keys and the index key. It is safe for concurrent use;
// sealing and opening take no lock. It prints no key under any verb.
type Keys struct {
	index *indexKey

	mu    sync.Mutex // serializes changes of the sealing keys
	state atomic.Pointer[sealingKeys]
}

var _ bellwether.Sealer = (*Keys)(nil)

// sealingKeys is one immutable set of sealing keys.
type sealingKeys struct {
	handle  *keyset.Handle
	aead    tink.AEAD
	keys    []Key
	created map[uint32]time.Time
}

// A Key describes a sealing key.
type Key struct {
	ID      uint32
	Status  Status
	Created time.Time // zero when the file does not say
}

// Status says what a sealing key does.
type Status string

// The statuses of a sealing key.
const (
	StatusPrimary  Status = "primary"  // seals and opens
	StatusEnabled  Status = "enabled"  // opens
	StatusDisabled Status = "disabled" // does nothing; can be enabled again
)

// New returns a fresh keyset in memory, with one sealing key.
func New() (*Keys, error) {
	m := keyset.NewManager()
	id, err := m.Add(aead.XAES256GCM192BitNonceKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("bellwether: new sealing key: %w", err)
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("bellwether: new sealing key: %w", err)
	}
	state, err := fromManager(m, map[uint32]time.Time{id: now()})
	if err != nil {
		return nil, err
	}
	index := make([]byte, indexKeySize)
	rand.Read(index) // never fails
	return newKeys(index, state), nil
}

func newKeys(index []byte, state *sealingKeys) *Keys {
	k := &Keys{index: newIndexKey(index)}
	k.state.Store(state)
	return k
}

// now is the time to the second: when a key was made need not be known better.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

func fromManager(m *keyset.Manager, created map[uint32]time.Time) (*sealingKeys, error) {
	h, err := m.Handle()
	if err != nil {
		return nil, fmt.Errorf("bellwether: sealing keys: %w", err)
	}
	return fromHandle(h, created)
}

func fromHandle(h *keyset.Handle, created map[uint32]time.Time) (*sealingKeys, error) {
	a, err := aead.New(h)
	if err != nil {
		return nil, fmt.Errorf("bellwether: sealing keys: %w", err)
	}
	s := &sealingKeys{handle: h, aead: a, created: created}
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return nil, fmt.Errorf("bellwether: sealing keys: %w", err)
		}
		status := StatusEnabled
		switch {
		case e.IsPrimary():
			status = StatusPrimary
		case e.KeyStatus() != keyset.Enabled:
			status = StatusDisabled
		}
		s.keys = append(s.keys, Key{ID: e.KeyID(), Status: status, Created: created[e.KeyID()]})
	}
	return s, nil
}

// Seal implements bellwether.Sealer. The result starts with the id of the primary
// key and is 45 bytes longer than plaintext.
func (k *Keys) Seal(plaintext, aad []byte) ([]byte, error) {
	sealed, err := k.state.Load().aead.Encrypt(plaintext, aad)
	if err != nil {
		return nil, fmt.Errorf("bellwether: seal: %w", err)
	}
	return sealed, nil
}

// Open implements bellwether.Sealer. Its errors match bellwether.ErrUnreadable and
// say which key is missing.
func (k *Keys) Open(ciphertext, aad []byte) ([]byte, error) {
	s := k.state.Load()
	if plaintext, err := s.aead.Decrypt(ciphertext, aad); err == nil {
		return plaintext, nil
	}
	if isPlaintext(ciphertext) {
		return nil, unreadable("it was stored as plaintext",
			"open this store without a keyset, or save its tokens anew in another namespace")
	}
	id, ok := keyID(ciphertext)
	if !ok {
		return nil, unreadable("it is not sealed", "it was cut, damaged or written by something else; save the token again")
	}
	for _, key := range s.keys {
		switch {
		case key.ID != id:
			continue
		case key.Status == StatusDisabled:
			return nil, unreadable(fmt.Sprintf("it is sealed by key %d, which is disabled", id),
				fmt.Sprintf("bellwether keys enable %d brings the key back", id))
		default:
			return nil, unreadable(fmt.Sprintf("it does not open under its key %d", id),
				"it was damaged, cut or moved from another row; save the token again")
		}
	}
	return nil, unreadable(fmt.Sprintf("it is sealed by key %d, which this keyset does not hold", id),
		fmt.Sprintf("give this replica the keyset file that lists key %d", id))
}

func unreadable(detail, hint string) error {
	return &bellwether.Error{Kind: bellwether.ErrUnreadable, Op: "open", Detail: detail, Hint: hint}
}

// keyID returns the id of the key that has sealed a text: tink writes it big-endian
// behind a 1.
func keyID(sealed []byte) (uint32, bool) {
	if len(sealed) < 5 || sealed[0] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[1:5]), true
}

// MAC implements bellwether.Sealer: HMAC-SHA256 under the index key, each part behind
// its length.
func (k *Keys) MAC(parts ...string) []byte { return k.index.mac(parts) }

// Fingerprint implements bellwether.Sealer: 16 hex digits, by HMAC under the index
// key. Keysets that differ only in their sealing keys have the same.
func (k *Keys) Fingerprint() string { return k.index.fingerprint }

// List returns the sealing keys, oldest first.
func (k *Keys) List() []Key {
	return append([]Key(nil), k.state.Load().keys...)
}

// Add makes a sealing key that opens but does not seal yet, and returns its id.
// Promote it when every replica has it.
func (k *Keys) Add() (uint32, error) {
	var id uint32
	err := k.change(func(m *keyset.Manager, created map[uint32]time.Time) (err error) {
		id, err = m.Add(aead.XAES256GCM192BitNonceKeyTemplate())
		created[id] = now()
		return err
	})
	return id, err
}

// Promote makes the key the primary, which seals. Replicas whose keyset lacks it
// cannot open what is written from now on.
func (k *Keys) Promote(id uint32) error {
	return k.changeKey(id, func(m *keyset.Manager, key Key) error {
		if key.Status == StatusDisabled {
			return refuse(id, "is disabled", "enable it first")
		}
		return m.SetPrimary(id)
	})
}

// Disable keeps the key in the keyset and stops using it: rows still sealed by it
// become unreadable, until it is enabled again.
func (k *Keys) Disable(id uint32) error {
	return k.changeKey(id, func(m *keyset.Manager, key Key) error {
		if key.Status == StatusPrimary {
			return refuse(id, "is the primary", "promote another key first")
		}
		return m.Disable(id)
	})
}

// Enable undoes Disable.
func (k *Keys) Enable(id uint32) error {
	return k.changeKey(id, func(m *keyset.Manager, _ Key) error { return m.Enable(id) })
}

// Remove destroys a disabled key for ever, and with it all that is still sealed by it.
func (k *Keys) Remove(id uint32) error {
	return k.changeKey(id, func(m *keyset.Manager, key Key) error {
		if key.Status != StatusDisabled {
			return refuse(id, "is in use", "disable it first, and remove it once no row was missed")
		}
		return m.Delete(id)
	})
}

func (k *Keys) changeKey(id uint32, f func(m *keyset.Manager, key Key) error) error {
	return k.change(func(m *keyset.Manager, _ map[uint32]time.Time) error {
		for _, key := range k.List() {
			if key.ID == id {
				return f(m, key)
			}
		}
		return &bellwether.Error{Kind: bellwether.ErrNotFound, Op: "keyset",
			Detail: fmt.Sprintf("no key %d", id), Hint: "list the keys to see their ids"}
	})
}

func (k *Keys) change(f func(m *keyset.Manager, created map[uint32]time.Time) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.state.Load()
	m := keyset.NewManagerFromHandle(old.handle)
	created := make(map[uint32]time.Time)
	for _, key := range old.keys {
		if !key.Created.IsZero() {
			created[key.ID] = key.Created
		}
	}
	if err := f(m, created); err != nil {
		if _, ok := errors.AsType[*bellwether.Error](err); ok {
			return err
		}
		return fmt.Errorf("bellwether: keyset: %w", err)
	}
	next, err := fromManager(m, created)
	if err != nil {
		return err
	}
	k.state.Store(next)
	return nil
}

func refuse(id uint32, why, hint string) error {
	return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "keyset", Detail: fmt.Sprintf("key %d %s", id, why), Hint: hint}
}

const printed = "[keyset]"

// Format implements fmt.Formatter, so that no verb reaches a key.
func (k *Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, printed) }

// LogValue implements slog.LogValuer.
func (k *Keys) LogValue() slog.Value { return slog.StringValue(printed) }

// MarshalText implements encoding.TextMarshaler; Create and Update write the keys.
func (k *Keys) MarshalText() ([]byte, error) { return []byte(printed), nil }

// An indexKey computes digests. It sits behind a pointer, and its key inside hashes,
// so that printing a struct around it shows neither.
type indexKey struct {
	key         []byte
	fingerprint string
	hashes      sync.Pool
}

func newIndexKey(key []byte) *indexKey {
	x := &indexKey{key: key}
	x.hashes.New = func() any { return hmac.New(sha256.New, key) }
	// No MAC has this input: its first 8 bytes would be an impossible length.
	h := x.hashes.Get().(hash.Hash)
	h.Write([]byte("bellwether fingerprint of the index key"))
	x.fingerprint = hex.EncodeToString(h.Sum(nil)[:8])
	return x
}

func (x *indexKey) mac(parts []string) []byte {
	h := x.hashes.Get().(hash.Hash)
	defer x.hashes.Put(h)
	h.Reset()
	var buf [256]byte
	b := buf[:0]
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	h.Write(b)
	return h.Sum(nil)
}
