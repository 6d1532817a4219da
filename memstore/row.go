package memstore

import (
	"crypto/sha256"
	"slices"

	"github.com/bellwether-go/bellwether"
)

// A row is one stored token, or the tombstone of one.
type row struct {
	tok  bellwether.Token // of a tombstone: ID and Generation
	past past
	seq  uint64 // place in the listing; 0 when not in it
	dead bool   // deleted, or not inserted yet
}

// kind says what a key identifies a row by.
type kind byte

const (
	byUser       kind = 'u'
	byAccess     kind = 'a'
	byCredential kind = 'c' // refresh and grant tokens
)

// A key stands for a user name or a token in the index and in the past, so that
// neither keeps a superseded secret.
type key [20]byte

func keyOf(k kind, value string) key {
	h := sha256.New()
	h.Write([]byte{byte(k)})
	h.Write([]byte(value))
	return key(h.Sum(nil)[:len(key{})])
}

// credentialKeys returns the keys of t's refresh and grant token.
func credentialKeys(t bellwether.Token) []key {
	var keys []key
	for _, c := range []bellwether.Secret{t.RefreshToken, t.GrantToken} {
		if !c.IsZero() {
			keys = append(keys, keyOf(byCredential, c.Reveal()))
		}
	}
	return keys
}

// keys returns all that a live row is found by, each once.
func (r *row) keys() []key {
	if r.dead {
		return nil
	}
	keys := credentialKeys(r.tok)
	if r.tok.UserName != "" {
		keys = append(keys, keyOf(byUser, r.tok.UserName))
	}
	if !r.tok.AccessToken.IsZero() {
		keys = append(keys, keyOf(byAccess, r.tok.AccessToken.Reveal()))
	}
	keys = slices.Concat(keys, r.past.first, r.past.last, r.past.access)
	slices.SortFunc(keys, func(a, b key) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(keys)
}

// rules returns, in the order in which they are tried, the keys that each rule of
// identity looks for; see bellwether.Store.
func rules(t bellwether.Token) [][]key {
	var rules [][]key
	if t.UserName != "" {
		rules = append(rules, []key{keyOf(byUser, t.UserName)})
	}
	if !t.AccessToken.IsZero() && t.ClientID == "" && t.ClientSecret.IsZero() {
		rules = append(rules, []key{keyOf(byAccess, t.AccessToken.Reveal())})
	}
	if keys := credentialKeys(t); len(keys) > 0 {
		rules = append(rules, keys)
	}
	return rules
}

// identifyLocked returns the row that t, which has no ID, identifies, or nil.
func (s *Store) identifyLocked(op string, t bellwether.Token) (*row, error) {
	for _, keys := range rules(t) {
		var found []*row
		for _, k := range keys {
			for _, r := range s.index[k] {
				named := r.tok.UserName == "" || t.UserName == "" || r.tok.UserName == t.UserName
				if named && bellwether.Compatible(r.tok, t) && !slices.Contains(found, r) {
					found = append(found, r)
				}
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return found[0], nil
		default:
			return nil, &bellwether.Error{Kind: bellwether.ErrAmbiguous, Op: op,
				Hint: "narrow it by provider, accounts URL and client id, or give the ID"}
		}
	}
	return nil, nil
}

// How much of the past a row keeps.
const (
	keepFirst  = 8  // first refresh or grant tokens of lineages
	keepLast   = 15 // superseded refresh and grant tokens
	keepAccess = 15 // superseded access tokens
)

// past is what a row has superseded, newest last. Since a store by itself does not
// rotate, each refresh token here was the first of its lineage.
type past struct {
	first, last, access []key
}

// strip returns t without the credentials that are in the past, nor what t tells of
// them.
func (p *past) strip(t bellwether.Token) bellwether.Token {
	old := func(s bellwether.Secret) bool {
		k := keyOf(byCredential, s.Reveal())
		return slices.Contains(p.first, k) || slices.Contains(p.last, k)
	}
	if !t.RefreshToken.IsZero() && old(t.RefreshToken) {
		t = t.WithoutRefreshToken()
	}
	if !t.GrantToken.IsZero() && old(t.GrantToken) {
		t.GrantToken = bellwether.Secret{}
	}
	if !t.AccessToken.IsZero() && slices.Contains(p.access, keyOf(byAccess, t.AccessToken.Reveal())) {
		t = t.WithoutAccessToken()
	}
	return t
}

// supersede adds what next has taken the place of. What was only cleared may come
// back, and is not added; a new lineage supersedes all that it does not keep.
func (p *past) supersede(old, next bellwether.Token, lineage bool) {
	gone := func(was, is bellwether.Secret) bool {
		return !was.IsZero() && !was.Equal(is) && (lineage || !is.IsZero())
	}
	for _, c := range [][2]bellwether.Secret{{old.GrantToken, next.GrantToken}, {old.RefreshToken, next.RefreshToken}} {
		if gone(c[0], c[1]) {
			k := keyOf(byCredential, c[0].Reveal())
			p.first = push(p.first, k, keepFirst)
			p.last = push(p.last, k, keepLast)
		}
	}
	if gone(old.AccessToken, next.AccessToken) {
		p.access = push(p.access, keyOf(byAccess, old.AccessToken.Reveal()), keepAccess)
	}
}

// push appends k and drops the oldest beyond n.
func push(ring []key, k key, n int) []key {
	ring = append(ring, k)
	return slices.Clone(ring[max(0, len(ring)-n):])
}
