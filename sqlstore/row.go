package sqlstore

import (
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/rules"
)

// The columns of the SDKs' table, the ID aside, in the order of every statement.
const (
	userName = iota
	clientID
	clientSecret
	refreshToken
	accessToken
	grantToken
	expiryTime
	redirectURL
	apiDomain

	numColumns
)

var columnNames = [numColumns]string{
	"user_name", "client_id", "client_secret", "refresh_token", "access_token",
	"grant_token", "expiry_time", "redirect_url", "api_domain",
}

// columns are the texts of a row of the SDKs' table. NULL and the empty text are one.
type columns [numColumns]string

// digest tells whether a row is as it was left.
func (c columns) digest() []byte {
	h := sha256.New()
	for _, v := range c {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(v)))
		h.Write(n[:])
		h.Write([]byte(v))
	}
	return h.Sum(nil)
}

// args returns the columns as parameters: absent is NULL, as the SDKs write it.
func (c columns) args() []any {
	args := make([]any, 0, numColumns+1)
	for _, v := range c {
		args = append(args, sql.NullString{String: v, Valid: v != ""})
	}
	return args
}

// secret says whether a column is sealed in a table of our own.
func secret(column int) bool {
	switch column {
	case clientSecret, refreshToken, accessToken, grantToken:
		return true
	}
	return false
}

// columnsOf returns what the SDKs' table holds of t.
func (s *Store) columnsOf(t bellwether.Token) (columns, error) {
	c := columns{
		userName: t.UserName, clientID: t.ClientID, clientSecret: t.ClientSecret.Reveal(),
		refreshToken: t.RefreshToken.Reveal(), accessToken: t.AccessToken.Reveal(), grantToken: t.GrantToken.Reveal(),
		redirectURL: t.RedirectURL, apiDomain: t.APIDomain,
	}
	if !t.ExpiresAt.IsZero() {
		c[expiryTime] = strconv.FormatInt(t.ExpiresAt.UnixMilli(), 10)
	}
	if s.sealer == nil {
		return c, nil
	}
	for i, v := range c {
		if v == "" || !secret(i) {
			continue
		}
		sealed, err := s.sealer.Seal([]byte(v), sealedAs(t.ID, columnNames[i]))
		if err != nil {
			return columns{}, err
		}
		c[i] = base64.RawStdEncoding.EncodeToString(sealed)
	}
	return c, nil
}

// token returns the columns as a token: what the SDKs know of it.
func (s *Store) token(id string, c columns) (bellwether.Token, error) {
	for i, v := range c {
		switch {
		case !utf8.ValidString(v):
			return bellwether.Token{}, unreadable(id, columnNames[i]+" is not valid UTF-8", nil)
		case s.sealer != nil && v != "" && secret(i):
			sealed, err := base64.RawStdEncoding.DecodeString(v)
			if err != nil {
				return bellwether.Token{}, unreadable(id, columnNames[i]+" is not sealed", nil)
			}
			plain, err := s.sealer.Open(sealed, sealedAs(id, columnNames[i]))
			if err != nil {
				return bellwether.Token{}, unreadable(id, columnNames[i]+" cannot be opened", err)
			}
			c[i] = string(plain)
		}
	}
	t := bellwether.Token{
		ID: id, UserName: c[userName], ClientID: c[clientID], RedirectURL: c[redirectURL], APIDomain: c[apiDomain],
		ClientSecret: bellwether.NewSecret(c[clientSecret]),
		RefreshToken: bellwether.NewSecret(c[refreshToken]),
		AccessToken:  bellwether.NewSecret(c[accessToken]),
		GrantToken:   bellwether.NewSecret(c[grantToken]),
	}
	if !t.AccessToken.IsZero() {
		t.ExpiresAt = expiry(c[expiryTime])
	}
	return t, nil
}

// expiry reads an expiry_time: Unix milliseconds in decimal. What is none is unknown.
func expiry(text string) time.Time {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms <= 0 || ms > maxMilli {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

var maxMilli = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - 1

// A book is the bookkeeping of a row, as it is stored.
type book struct {
	generation       int64
	version          string
	cred, prev       string
	adopted          bool
	state            bellwether.State
	created, updated int64         // Unix milliseconds
	buried           sql.NullInt64 // when the row became a tombstone; NULL while it lives
	digest           []byte        // of the columns as they were written or adopted
	past             []byte        // JSON of history
	rest             []byte        // JSON of rest, sealed when the table is
	notes            []byte
}

// A history is what a row is and was found by.
type history struct {
	Held rules.Held `json:"held,omitzero"`
	Past rules.Past `json:"past,omitzero"`
}

// rest is what the SDKs' table has no column for.
type rest struct {
	Provider         string            `json:"provider,omitempty"`
	AccountsURL      string            `json:"accounts_url,omitempty"`
	TokenType        string            `json:"token_type,omitempty"`
	Scopes           []string          `json:"scopes,omitempty"`
	IssuedAt         int64             `json:"issued_at,omitempty"` // Unix milliseconds, as all times here
	RefreshExpiresAt int64             `json:"refresh_expires_at,omitempty"`
	Extra            map[string]string `json:"extra,omitempty"`
	Failure          *failure          `json:"failure,omitempty"`
}

type failure struct {
	Reason bellwether.Reason `json:"reason,omitempty"`
	Class  bellwether.Class  `json:"class,omitempty"`
	Code   string            `json:"code,omitempty"`
	Count  int               `json:"count,omitempty"`
	At     int64             `json:"at,omitempty"`
	Until  int64             `json:"until,omitempty"`
}

// bookOf returns the bookkeeping of a row whose columns have the digest.
func (s *Store) bookOf(r *rules.Row, held rules.Held, digest []byte, version string) (book, error) {
	t := r.Token
	b := book{generation: t.Generation, version: version, cred: r.Cred, prev: r.Prev, adopted: r.Adopted,
		state: t.State, created: milli(t.CreatedAt), updated: milli(t.UpdatedAt), digest: digest, notes: r.Notes}
	var err error
	if b.past, err = json.Marshal(history{Held: held, Past: r.Past}); err != nil || !r.Live {
		return b, err
	}
	kept := rest{Provider: t.Provider, AccountsURL: t.AccountsURL, TokenType: t.TokenType, Scopes: t.Scopes,
		IssuedAt: milli(t.IssuedAt), RefreshExpiresAt: milli(t.RefreshExpiresAt)}
	for k, v := range t.Extra {
		if kept.Extra == nil {
			kept.Extra = make(map[string]string)
		}
		kept.Extra[k] = v.Reveal()
	}
	if f := t.Failure; f != nil {
		kept.Failure = &failure{Reason: f.Reason, Class: f.Class, Code: f.Code, Count: f.Count, At: milli(f.At), Until: milli(f.Until)}
	}
	if b.rest, err = json.Marshal(kept); err != nil || s.sealer == nil {
		return b, err
	}
	b.rest, err = s.sealer.Seal(b.rest, sealedAs(t.ID, "rest"))
	return b, err
}

// row returns the bookkeeping of id as a row, without what the columns hold. When it
// cannot be read, the row is good enough to be buried.
func (s *Store) row(id string, b book) (*rules.Row, rules.Held, error) {
	r := &rules.Row{Token: bellwether.Token{ID: id, Generation: b.generation}, Live: !b.buried.Valid}
	var h history
	if err := json.Unmarshal(b.past, &h); err != nil {
		return r, rules.Held{}, unreadable(id, "the past cannot be read", err)
	}
	r.Past = h.Past
	if b.buried.Valid {
		return r, h.Held, nil
	}
	plain := b.rest
	if s.sealer != nil {
		var err error
		if plain, err = s.sealer.Open(b.rest, sealedAs(id, "rest")); err != nil {
			return r, h.Held, unreadable(id, "the bookkeeping cannot be opened", err)
		}
	}
	var kept rest
	if err := json.Unmarshal(plain, &kept); err != nil {
		return r, h.Held, unreadable(id, "the bookkeeping cannot be read", err)
	}
	t := &r.Token
	t.Provider, t.AccountsURL, t.TokenType, t.Scopes = kept.Provider, kept.AccountsURL, kept.TokenType, kept.Scopes
	t.IssuedAt, t.RefreshExpiresAt = at(kept.IssuedAt), at(kept.RefreshExpiresAt)
	for k, v := range kept.Extra {
		if t.Extra == nil {
			t.Extra = make(map[string]bellwether.Secret)
		}
		t.Extra[k] = bellwether.NewSecret(v)
	}
	if f := kept.Failure; f != nil {
		t.Failure = &bellwether.Failure{Reason: f.Reason, Class: f.Class, Code: f.Code, Count: f.Count, At: at(f.At), Until: at(f.Until)}
	}
	t.State, t.CreatedAt, t.UpdatedAt = b.state, at(b.created), at(b.updated)
	r.Cred, r.Prev, r.Adopted, r.Notes = b.cred, b.prev, b.adopted, b.notes
	return r, h.Held, nil
}

// join puts what the columns hold into r, which is up to date with them.
func join(r *rules.Row, seen bellwether.Token) {
	t := &r.Token
	t.UserName, t.ClientID, t.ClientSecret = seen.UserName, seen.ClientID, seen.ClientSecret
	t.RefreshToken, t.AccessToken, t.GrantToken = seen.RefreshToken, seen.AccessToken, seen.GrantToken
	t.ExpiresAt, t.RedirectURL, t.APIDomain = seen.ExpiresAt, seen.RedirectURL, seen.APIDomain
}

// milli and at keep the zero time as 0.
func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// sealedAs binds a sealed value to its row and its place there.
func sealedAs(id, field string) []byte {
	return []byte("bellwether sqlstore\x00" + field + "\x00" + id)
}

func unreadable(id, detail string, err error) error {
	return &bellwether.Error{Kind: bellwether.ErrUnreadable, Op: "read", ID: id, Detail: detail, Err: err,
		Hint: "give the store the keys that sealed it, or delete the row"}
}
