package bellwether

import (
	"maps"
	"slices"
	"time"
)

// This file holds the rules of Store.Save that need no storage, so that every
// store has the same ones.

// Compatible reports whether stored and given can be one identity as far as
// Provider, AccountsURL and ClientID go: each is equal or blank on either side. It
// is symmetric, so it also tells whether two rows of one user name would be one
// identity.
func Compatible(stored, given Token) bool {
	agree := func(a, b string) bool { return a == "" || b == "" || a == b }
	return agree(stored.Provider, given.Provider) &&
		agree(stored.AccountsURL, given.AccountsURL) &&
		agree(stored.ClientID, given.ClientID)
}

// StartsLineage reports whether saving given over t is a new authorisation by the
// user: it brings another refresh or grant token than t holds. Superseded
// credentials must have been taken out of given before.
func (t Token) StartsLineage(given Token) bool {
	return brings(t.RefreshToken, given.RefreshToken) || brings(t.GrantToken, given.GrantToken)
}

// brings reports whether given is a value and another one than stored.
func brings(stored, given Secret) bool { return !given.IsZero() && !given.Equal(stored) }

// Merge returns t, a stored row, as a Save of given with Generation 0 makes it. An
// absent field keeps the stored value; Extra is merged by key; Scopes are replaced
// as a whole. Superseded credentials must have been taken out of given before.
//
//   - Another access token brings its own TokenType, IssuedAt and ExpiresAt: when
//     given has none, the old ones are not kept.
//   - Another refresh token brings its own RefreshExpiresAt.
//   - Another grant token without a refresh token supersedes the stored refresh and
//     access token: the code is spent by the next refresh, which would not come while
//     the old access token lives, nor use the code while a refresh token is there.
//
// What the store keeps by itself (CreatedAt, UpdatedAt, Generation, State, Failure)
// is t's; the ID is t's unless blank. The result is Canonical, holds no life of a
// token that is absent, and shares no memory with either.
func (t Token) Merge(given Token) Token {
	m := t.Clone()
	newCode := brings(t.GrantToken, given.GrantToken) && given.RefreshToken.IsZero()
	if newCode || brings(t.RefreshToken, given.RefreshToken) {
		m = m.WithoutRefreshToken()
	}
	if newCode && given.AccessToken.IsZero() || brings(t.AccessToken, given.AccessToken) {
		m = m.WithoutAccessToken()
	}
	if m.ID == "" {
		m.ID = given.ID
	}
	keep(&m.Provider, given.Provider)
	keep(&m.AccountsURL, given.AccountsURL)
	keep(&m.UserName, given.UserName)
	keep(&m.ClientID, given.ClientID)
	keepSecret(&m.ClientSecret, given.ClientSecret)
	keep(&m.RedirectURL, given.RedirectURL)
	keepSecret(&m.GrantToken, given.GrantToken)
	keepSecret(&m.RefreshToken, given.RefreshToken)
	keepSecret(&m.AccessToken, given.AccessToken)
	keep(&m.TokenType, given.TokenType)
	if len(given.Scopes) > 0 {
		m.Scopes = slices.Clone(given.Scopes)
	}
	keep(&m.APIDomain, given.APIDomain)
	keepTime(&m.IssuedAt, given.IssuedAt)
	keepTime(&m.ExpiresAt, given.ExpiresAt)
	keepTime(&m.RefreshExpiresAt, given.RefreshExpiresAt)
	for k, v := range given.Extra {
		if v.IsZero() {
			continue
		}
		if m.Extra == nil {
			m.Extra = make(map[string]Secret)
		}
		m.Extra[k] = v
	}
	return m.settled()
}

// Replace returns t, a stored row, as a Save of given with t's Generation makes it:
// every field as given, absent ones cleared. What the store keeps by itself
// (CreatedAt, UpdatedAt, Generation, State, Failure) and the ID are t's. The result
// is Canonical, holds no life of a token that is absent, and shares no memory with
// either.
func (t Token) Replace(given Token) Token {
	r := given.Clone()
	r.ID = t.ID
	r.CreatedAt, r.UpdatedAt, r.Generation = t.CreatedAt, t.UpdatedAt, t.Generation
	r.State, r.Failure = t.State, t.Clone().Failure
	return r.settled()
}

// settled returns t in canonical form, without the life of a token it does not hold.
func (t Token) settled() Token {
	if t.AccessToken.IsZero() {
		t.IssuedAt, t.ExpiresAt = time.Time{}, time.Time{}
	}
	if t.RefreshToken.IsZero() {
		t.RefreshExpiresAt = time.Time{}
	}
	return t.Canonical()
}

// WithoutAccessToken returns t without its access token and what is told of it:
// TokenType, IssuedAt, ExpiresAt.
func (t Token) WithoutAccessToken() Token {
	t.AccessToken, t.TokenType = Secret{}, ""
	t.IssuedAt, t.ExpiresAt = time.Time{}, time.Time{}
	return t
}

// WithoutRefreshToken returns t without its refresh token and its
// RefreshExpiresAt.
func (t Token) WithoutRefreshToken() Token {
	t.RefreshToken, t.RefreshExpiresAt = Secret{}, time.Time{}
	return t
}

// Canonical returns t as a store gives it back: times in UTC, cut to the
// millisecond, without a monotonic reading; no empty Scopes, no Extra without
// values. The result shares no memory with t.
func (t Token) Canonical() Token {
	t = t.Clone()
	for _, p := range []*time.Time{&t.IssuedAt, &t.ExpiresAt, &t.RefreshExpiresAt, &t.CreatedAt, &t.UpdatedAt} {
		*p = toMilli(*p)
	}
	if t.Failure != nil {
		t.Failure.At, t.Failure.Until = toMilli(t.Failure.At), toMilli(t.Failure.Until)
	}
	if len(t.Scopes) == 0 {
		t.Scopes = nil
	}
	maps.DeleteFunc(t.Extra, func(_ string, v Secret) bool { return v.IsZero() })
	if len(t.Extra) == 0 {
		t.Extra = nil
	}
	return t
}

func toMilli(at time.Time) time.Time {
	if at.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(at.UnixMilli()).UTC()
}

func keep(field *string, given string) {
	if given != "" {
		*field = given
	}
}

func keepSecret(field *Secret, given Secret) {
	if !given.IsZero() {
		*field = given
	}
}

func keepTime(field *time.Time, given time.Time) {
	if !given.IsZero() {
		*field = given
	}
}
