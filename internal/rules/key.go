package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/bellwether-go/bellwether"
)

// A Key stands for a user name or a token in an index and in the past of a row.
type Key [20]byte

// Compare orders keys.
func (k Key) Compare(other Key) int { return bytes.Compare(k[:], other[:]) }

// MarshalText implements encoding.TextMarshaler: 27 characters of base64url.
func (k Key) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, k[:]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Key) UnmarshalText(text []byte) error {
	b, err := base64.RawURLEncoding.DecodeString(string(text))
	if err != nil || len(b) != len(k) {
		return fmt.Errorf("rules: %d characters are no key", len(text))
	}
	*k = Key(b)
	return nil
}

// A Keyer makes keys. The zero Keyer makes plain digests, which keep a token secret as
// long as it cannot be guessed.
type Keyer struct {
	// MAC, when set, makes keyed digests; bellwether.Sealer has one.
	MAC func(parts ...string) []byte
}

func (k Keyer) key(kind, value string) Key {
	if k.MAC != nil {
		return Key(k.MAC(kind, value)[:len(Key{})])
	}
	h := sha256.New()
	h.Write([]byte(kind))
	h.Write([]byte(value))
	return Key(h.Sum(nil)[:len(Key{})])
}

// User returns the key of a user name.
func (k Keyer) User(name string) Key { return k.key("u", name) }

// Access returns the key of an access token.
func (k Keyer) Access(s bellwether.Secret) Key { return k.key("a", s.Reveal()) }

// Credential returns the key of a refresh or grant token.
func (k Keyer) Credential(s bellwether.Secret) Key { return k.key("c", s.Reveal()) }

// credentials returns the keys of t's refresh and grant token.
func (k Keyer) credentials(t bellwether.Token) []Key {
	var keys []Key
	for _, c := range []bellwether.Secret{t.RefreshToken, t.GrantToken} {
		if !c.IsZero() {
			keys = append(keys, k.Credential(c))
		}
	}
	return keys
}

// Rules returns, in the order in which they are tried, the keys that each rule of
// identity looks for; see bellwether.Store. None: there is nothing to look for.
func (k Keyer) Rules(t bellwether.Token) [][]Key {
	var rules [][]Key
	if t.UserName != "" {
		rules = append(rules, []Key{k.User(t.UserName)})
	}
	if !t.AccessToken.IsZero() && t.ClientID == "" && t.ClientSecret.IsZero() {
		rules = append(rules, []Key{k.Access(t.AccessToken)})
	}
	if keys := k.credentials(t); len(keys) > 0 {
		rules = append(rules, keys)
	}
	return rules
}

// Lookup returns every key under which a write of t may meet another row: those of the
// rules, and of the user name and the credentials of t.
func (k Keyer) Lookup(t bellwether.Token) []Key {
	keys := slices.Concat(k.Rules(t)...)
	slices.SortFunc(keys, Key.Compare)
	return slices.Compact(keys)
}
