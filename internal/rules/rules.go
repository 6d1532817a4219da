package rules

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether"
)

// Rows is what a decision looks rows up in. Nothing may change them between the look
// and the write.
type Rows interface {
	// ByID returns the row or tombstone id, or nil.
	ByID(id string) (*Row, error)
	// ByKey returns the live rows that key is one of the Keys of, in any order. It may
	// return more rows, but not the same one twice.
	ByKey(key Key) ([]*Row, error)
}

// A Namer is Rows that choose the ID of a new row; without it the ID is random.
type Namer interface {
	// NewID returns an ID that no row and no tombstone has.
	NewID() (string, error)
}

func newID(rows Rows) (string, error) {
	if n, ok := rows.(Namer); ok {
		return n.NewID()
	}
	return rand.Text(), nil
}

// Find returns the row that partial identifies; no row is ErrNotFound, nothing to look
// for is ErrInvalid.
func (k Keyer) Find(rows Rows, partial bellwether.Token) (*Row, error) {
	var r *Row
	var err error
	switch {
	case partial.ID != "":
		if err := bellwether.ValidateID(partial.ID); err != nil {
			return nil, err
		}
		r, err = rows.ByID(partial.ID)
	default:
		if err := partial.Validate(); err != nil {
			return nil, err
		}
		if len(k.Rules(partial)) == 0 {
			return nil, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "find",
				Detail: "there is nothing to look for",
				Hint:   "give an ID, a user name, a refresh or grant token, or an access token without client credentials"}
		}
		r, err = k.identify(rows, "find", partial)
	}
	if err != nil {
		return nil, err
	}
	if r == nil || !r.Live {
		return nil, NotFound("find", partial.ID)
	}
	return r, nil
}

// identify returns the row that t, which has no ID, identifies, or nil.
func (k Keyer) identify(rows Rows, op string, t bellwether.Token) (*Row, error) {
	for _, keys := range k.Rules(t) {
		found := make(map[string]*Row)
		for _, key := range keys {
			candidates, err := rows.ByKey(key)
			if err != nil {
				return nil, err
			}
			for _, r := range candidates {
				named := r.Token.UserName == "" || t.UserName == "" || r.Token.UserName == t.UserName
				if named && k.has(r, key) && bellwether.Compatible(r.Token, t) {
					found[r.Token.ID] = r
				}
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			for _, r := range found {
				return r, nil
			}
		default:
			return nil, &bellwether.Error{Kind: bellwether.ErrAmbiguous, Op: op,
				Hint: "narrow it by provider, accounts URL and client id, or give the ID"}
		}
	}
	return nil, nil
}

func (k Keyer) has(r *Row, key Key) bool { return slices.Contains(k.Keys(r), key) }

// Save returns what a Save of t at now makes of which row, to be written as it is. The
// row that it came from is old, nil when there was none.
func (k Keyer) Save(rows Rows, t bellwether.Token, now time.Time) (old, saved *Row, err error) {
	if err := t.Validate(); err != nil {
		return nil, nil, err
	}
	old, err = k.target(rows, t)
	if err != nil {
		return nil, nil, err
	}
	r := &Row{Token: bellwether.Token{ID: t.ID}}
	if old != nil {
		r = old
	} else if r.Token.ID == "" {
		if r.Token.ID, err = newID(rows); err != nil {
			return nil, nil, err
		}
	}
	if err := k.owned(rows, r.Token.ID, t); err != nil {
		return nil, nil, err
	}
	given := k.strip(r.Past, t)
	var next bellwether.Token
	switch {
	case t.Generation == 0:
		next = r.Token.Merge(given)
	case !r.Live || t.Generation != r.Token.Generation:
		return nil, nil, conflict("save", t.ID, fmt.Sprintf("the row does not have generation %d", t.Generation),
			"read the row again and repeat the change")
	default:
		next = r.Token.Replace(given)
	}
	if !next.HasCredential() {
		return nil, nil, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "save", ID: next.ID,
			Detail: "the row would hold no credential",
			Hint:   "give a refresh, grant or access token that this row has not superseded, or client id and secret"}
	}
	if err := k.named(rows, next); err != nil {
		return nil, nil, err
	}

	now = time.UnixMilli(now.UnixMilli()).UTC()
	saved = r.clone()
	how := sameLineage
	if !r.Live || r.Token.StartsLineage(next) {
		how = newLineage
		next.State, next.Failure = bellwether.StateActive, nil
	}
	if !r.Live {
		next.CreatedAt = now
	}
	next.UpdatedAt = now
	next.Generation = r.Token.Generation + 1
	saved.Past = r.Past.supersede(k.Held(r.Token), k.Held(next), how, r.Prev == "" || r.Adopted)
	saved.Token, saved.Live, saved.Adopted = next, true, true
	return old, saved, nil
}

// target returns the row that a Save of t is about: live, a tombstone, or nil when it
// is to be inserted.
func (k Keyer) target(rows Rows, t bellwether.Token) (*Row, error) {
	if t.ID == "" {
		return k.identify(rows, "save", t)
	}
	return rows.ByID(t.ID)
}

// owned returns ErrConflict when another row than id has a refresh or grant token of t,
// now or in its past.
func (k Keyer) owned(rows Rows, id string, t bellwether.Token) error {
	for _, key := range k.credentials(t) {
		owners, err := rows.ByKey(key)
		if err != nil {
			return err
		}
		for _, o := range owners {
			if o.Token.ID != id && k.has(o, key) {
				return conflict("save", t.ID, "another row owns this refresh or grant token",
					"find that row by the token, or delete it first")
			}
		}
	}
	return nil
}

// named returns ErrConflict when another row has the identity of next by user name.
func (k Keyer) named(rows Rows, next bellwether.Token) error {
	if next.UserName == "" {
		return nil
	}
	others, err := rows.ByKey(k.User(next.UserName))
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.Token.ID != next.ID && o.Token.UserName == next.UserName && bellwether.Compatible(o.Token, next) {
			return conflict("save", next.ID, "another row has this user name, provider, data centre and client",
				"save without an ID to update that row")
		}
	}
	return nil
}

// Swap returns what a Swap of next makes of the row old, nil when there is none, whose
// version the caller has compared.
func (k Keyer) Swap(rows Rows, old *Row, next bellwether.Record) (*Row, error) {
	t := next.Token
	if err := bellwether.ValidateID(t.ID); err != nil {
		return nil, err
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	switch {
	case !t.HasCredential():
		return nil, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "swap", ID: t.ID, Detail: "the row would hold no credential"}
	case next.Cred == "" || t.Generation == 0 || t.State == "":
		return nil, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "swap", ID: t.ID, Detail: "cred, generation or state is blank",
			Hint: "Swap is for a tier that keeps them; use Save"}
	case len(next.Notes) > bellwether.MaxNotesLen:
		return nil, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "swap", ID: t.ID, Detail: "the notes are too long"}
	}
	if err := k.owned(rows, t.ID, t); err != nil {
		return nil, err
	}
	if err := k.named(rows, t); err != nil {
		return nil, err
	}
	r := &Row{Token: bellwether.Token{ID: t.ID}}
	if old != nil {
		r = old
	}
	how := newLineage
	switch {
	case !r.Live:
	case next.Cred == r.Cred:
		how = sameLineage
	case next.Prev == r.Cred && r.Cred != "":
		how = rotation
	}
	swapped := &Row{Token: t.Canonical(), Live: true, Cred: next.Cred, Prev: next.Prev, Notes: slices.Clone(next.Notes)}
	swapped.Past = r.Past.supersede(k.Held(r.Token), k.Held(swapped.Token), how, r.Prev == "" || r.Adopted)
	return swapped, nil
}

// NotFound returns the error that op of id found nothing.
func NotFound(op, id string) error {
	return &bellwether.Error{Kind: bellwether.ErrNotFound, Op: op, ID: id}
}

// OtherVersion returns the error of a Swap that finds another version.
func OtherVersion(id string) error {
	return conflict("swap", id, "the row has another version", "look at the row and decide again")
}

func conflict(op, id, detail, hint string) error {
	return &bellwether.Error{Kind: bellwether.ErrConflict, Op: op, ID: id, Detail: detail, Hint: hint}
}
