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

// Held is what a row holds, in keys; the zero Key stands for nothing. Bookkeeping beside
// rows that another program writes keeps it, to know what that program has changed.
type Held struct {
	User    Key `json:"user,omitzero"`
	Refresh Key `json:"refresh,omitzero"`
	Grant   Key `json:"grant,omitzero"`
	Access  Key `json:"access,omitzero"`
}

// Held returns what t holds.
func (k Keyer) Held(t bellwether.Token) Held {
	var h Held
	if t.UserName != "" {
		h.User = k.User(t.UserName)
	}
	if !t.RefreshToken.IsZero() {
		h.Refresh = k.Credential(t.RefreshToken)
	}
	if !t.GrantToken.IsZero() {
		h.Grant = k.Credential(t.GrantToken)
	}
	if !t.AccessToken.IsZero() {
		h.Access = k.Access(t.AccessToken)
	}
	return h
}

// supersede returns p with what the row that held was, and now holds is, has
// superseded. What was only cleared may come back, and is not added. first says that
// was are the first credentials of their lineage.
func (p Past) supersede(was, is Held, how change, first bool) Past {
	p = p.clone()
	gone := func(was, is Key) bool {
		return was != Key{} && was != is && (how == newLineage || is != Key{})
	}
	for _, c := range [][2]Key{{was.Grant, is.Grant}, {was.Refresh, is.Refresh}} {
		spent := how == rotation && c[0] != Key{} && c[1] == Key{} // a code, by its refresh token
		if !gone(c[0], c[1]) && !spent {
			continue
		}
		if first {
			p.First = push(p.First, c[0], keepFirst)
		}
		p.Last = push(p.Last, c[0], keepLast)
	}
	if gone(was.Access, is.Access) {
		p.Access = push(p.Access, was.Access, keepAccess)
	}
	// What is current is not past: a rotation may come back to a token.
	for _, key := range []Key{is.Refresh, is.Grant} {
		p.First, p.Last = without(p.First, key), without(p.Last, key)
	}
	p.Access = without(p.Access, is.Access)
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
