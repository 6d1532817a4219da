package rules

import (
	"time"

	"github.com/bellwether-go/bellwether"
)

// Adopt returns what the row old becomes when another program, which knows a part of
// its fields only, is seen at now to have written it. seen holds those fields as they
// stand now, blanks included: user name, client id and secret, redirect URL, API domain,
// the three tokens and ExpiresAt. The fields that program does not know are old's, as
// far as they speak of tokens that are still there.
//
// old is nil when the row is new to the store, and held is what old held when the store
// last wrote it. A row that has nothing of that any more is another one that has got the
// same ID: nothing of old goes into it but the count of generations.
func (k Keyer) Adopt(old *Row, held Held, seen bellwether.Token, now time.Time) *Row {
	is := k.Held(seen)
	r := &Row{}
	if old != nil {
		r = old.clone()
	}
	if !held.meets(is) {
		r, held = &Row{Token: bellwether.Token{Generation: r.Token.Generation}}, Held{}
	}
	now = time.UnixMilli(now.UnixMilli()).UTC()
	how := sameLineage
	next := seen.Clone()
	next.State, next.Failure = r.Token.State, r.Token.Failure
	next.CreatedAt = r.Token.CreatedAt
	if r.Live {
		next.Provider, next.AccountsURL = r.Token.Provider, r.Token.AccountsURL
		next.Scopes, next.Extra = r.Token.Scopes, r.Token.Extra
		if is.Access == held.Access {
			next.TokenType, next.IssuedAt = r.Token.TokenType, r.Token.IssuedAt
		}
		if is.Refresh == held.Refresh {
			next.RefreshExpiresAt = r.Token.RefreshExpiresAt
		}
	} else {
		next.CreatedAt = now
	}
	if !r.Live || bringsKey(held.Refresh, is.Refresh) || bringsKey(held.Grant, is.Grant) {
		how = newLineage
		next.State, next.Failure = bellwether.StateActive, nil
	}
	next.UpdatedAt = now
	next.Generation = r.Token.Generation + 1

	adopted := r.clone()
	adopted.Past = r.Past.supersede(held, is, how, r.Prev == "" || r.Adopted)
	adopted.Token = next.Canonical()
	adopted.Live, adopted.Adopted = true, true
	return adopted
}

func bringsKey(was, is Key) bool { return is != Key{} && is != was }

// meets reports whether h and other have a user name or a token in common.
func (h Held) meets(other Held) bool {
	one := func(a, b Key) bool { return a != Key{} && a == b }
	return one(h.User, other.User) || one(h.Refresh, other.Refresh) ||
		one(h.Grant, other.Grant) || one(h.Access, other.Access)
}
