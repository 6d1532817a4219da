package rules

import (
	"slices"

	"github.com/bellwether-go/bellwether"
)

// How much of the past a row keeps.
const (
	keepFirst  = 8  // first refresh and grant tokens of lineages
	keepLast   = 15 // superseded refresh and grant tokens
	keepAccess = 15 // superseded access tokens
)

// Past is what a row has superseded, oldest first.
type Past struct {
	First  []Key `json:"first,omitempty"`  // of each lineage
	Last   []Key `json:"last,omitempty"`   // refresh and grant tokens
	Access []Key `json:"access,omitempty"` // access tokens
}

func (p Past) clone() Past {
	return Past{First: slices.Clone(p.First), Last: slices.Clone(p.Last), Access: slices.Clone(p.Access)}
}

// strip returns t without the credentials that are in the past, nor what t tells of
// them.
func (k Keyer) strip(p Past, t bellwether.Token) bellwether.Token {
	old := func(s bellwether.Secret) bool {
		key := k.Credential(s)
		return slices.Contains(p.First, key) || slices.Contains(p.Last, key)
	}
	if !t.RefreshToken.IsZero() && old(t.RefreshToken) {
		t = t.WithoutRefreshToken()
	}
	if !t.GrantToken.IsZero() && old(t.GrantToken) {
		t.GrantToken = bellwether.Secret{}
	}
	if !t.AccessToken.IsZero() && slices.Contains(p.Access, k.Access(t.AccessToken)) {
		t = t.WithoutAccessToken()
	}
	return t
}

// How credentials come to be superseded.
type change int

const (
	sameLineage change = iota
	newLineage         // a sign-in: all that it does not keep is superseded, cleared or not
	rotation           // the provider gave another refresh token within the lineage
)

// supersede returns p with what next has taken the place of. What was only cleared may
// come back, and is not added. first says that old holds the first credentials of its
// lineage.
func (k Keyer) supersede(p Past, old, next bellwether.Token, how change, first bool) Past {
	p = p.clone()
	gone := func(was, is bellwether.Secret) bool {
		return !was.IsZero() && !was.Equal(is) && (how == newLineage || !is.IsZero())
	}
	for _, c := range [][2]bellwether.Secret{{old.GrantToken, next.GrantToken}, {old.RefreshToken, next.RefreshToken}} {
		spent := how == rotation && !c[0].IsZero() && c[1].IsZero() // a code, by its refresh token
		if !gone(c[0], c[1]) && !spent {
			continue
		}
		key := k.Credential(c[0])
		if first {
			p.First = push(p.First, key, keepFirst)
		}
		p.Last = push(p.Last, key, keepLast)
	}
	if gone(old.AccessToken, next.AccessToken) {
		p.Access = push(p.Access, k.Access(old.AccessToken), keepAccess)
	}
	// What is current is not past: a rotation may come back to a token.
	for _, key := range k.credentials(next) {
		p.First, p.Last = without(p.First, key), without(p.Last, key)
	}
	if !next.AccessToken.IsZero() {
		p.Access = without(p.Access, k.Access(next.AccessToken))
	}
	return p
}

func without(ring []Key, key Key) []Key {
	return slices.DeleteFunc(ring, func(k Key) bool { return k == key })
}

// push appends key, once, and drops the oldest beyond most.
func push(ring []Key, key Key, most int) []Key {
	ring = append(without(ring, key), key)
	return ring[max(0, len(ring)-most):]
}
