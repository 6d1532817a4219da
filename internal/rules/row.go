package rules

import (
	"slices"

	"github.com/bellwether-go/bellwether"
)

// A Row is one stored token with what a store keeps beside it.
type Row struct {
	// Token of a tombstone holds ID and Generation only.
	Token bellwether.Token
	Past  Past
	// Live is false for a tombstone and for a row that is not inserted yet.
	Live bool

	// What only Swap writes; see bellwether.Record.
	Cred, Prev string
	Notes      []byte
	Adopted    bool
}

// clone returns a copy that shares no memory with r.
func (r *Row) clone() *Row {
	c := *r
	c.Token = r.Token.Clone()
	c.Past = r.Past.clone()
	c.Notes = slices.Clone(r.Notes)
	return &c
}

// Record returns the row as a bellwether.Record of the version.
func (r *Row) Record(version string) bellwether.Record {
	return bellwether.Record{Token: r.Token.Clone(), Cred: r.Cred, Prev: r.Prev,
		Notes: slices.Clone(r.Notes), Version: version, Adopted: r.Adopted}
}

// Bury returns the tombstone of a live row: its generation and its past.
func (r *Row) Bury() *Row {
	return &Row{Token: bellwether.Token{ID: r.Token.ID, Generation: r.Token.Generation + 1}, Past: r.Past.clone()}
}

// Keys returns all that a live row is found by, each once.
func (k Keyer) Keys(r *Row) []Key {
	if !r.Live {
		return nil
	}
	keys := k.credentials(r.Token)
	if r.Token.UserName != "" {
		keys = append(keys, k.User(r.Token.UserName))
	}
	if !r.Token.AccessToken.IsZero() {
		keys = append(keys, k.Access(r.Token.AccessToken))
	}
	keys = slices.Concat(keys, r.Past.First, r.Past.Last, r.Past.Access)
	slices.SortFunc(keys, Key.Compare)
	return slices.Compact(keys)
}
