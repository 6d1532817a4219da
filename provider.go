package bellwether

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// A Provider knows the wire protocol of one OAuth provider. It is pure: it does
// no I/O, keeps no state, and is safe for concurrent use. Package refresh owns
// the HTTP client.
type Provider interface {
	// Name is what Token.Provider says: lower-case letters, digits, '-', '_', '.'.
	Name() string

	// Profile says how this provider behaves.
	Profile() Profile

	// Request builds the token request that turns t into a fresh access token: by
	// its refresh token, else its grant token, else client credentials. The error
	// matches ErrInvalid when t lacks what is needed or names an unknown host.
	Request(t Token) (*http.Request, error)

	// Parse reads the answer to Request(t) and returns only what the answer said:
	// the caller merges it over t. On failure the error is a *ProviderError; the
	// token is then partly filled when the answer did hold tokens, since the
	// provider has rotated by then. ExpiresAt and RefreshExpiresAt are relative to
	// a.Time. Parse never panics, whatever the answer.
	Parse(t Token, a Answer) (Token, error)

	// Rejects reports whether an API's answer says that the access token is dead
	// (and not, say, short of a scope): only then may it be refreshed.
	Rejects(status int, body []byte) bool
}

// A Revoker is a Provider that can revoke a grant (RFC 7009).
type Revoker interface {
	// RevokeRequest builds the request that revokes t's refresh token, or its
	// access token when it has no other.
	RevokeRequest(t Token) (*http.Request, error)
	// ParseRevoke returns nil when the answer means that the token is dead,
	// already dead included, else a *ProviderError.
	ParseRevoke(t Token, a Answer) error
}

// An Answer is a provider's HTTP answer, body read and capped. Printed, logged or
// encoded it shows its status and size, since header and body hold tokens.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Time is the store's time from before the request was sent: an expiry counted
	// from it can only be early.
	Time time.Time
}

func (a Answer) String() string { return fmt.Sprintf("HTTP %d, %d bytes", a.Status, len(a.Body)) }

// Format implements fmt.Formatter, so that no verb reaches header or body.
func (a Answer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue implements slog.LogValuer.
func (a Answer) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalText implements encoding.TextMarshaler.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Rotation says what happens to a refresh token that was used.
type Rotation string

// The rotations. They decide what may follow an attempt whose outcome is unknown.
const (
	// RotationReusable: the refresh token stays valid (Zoho, Google, HubSpot).
	RotationReusable Rotation = "reusable"
	// RotationGrace: replaced, but usable for Profile.Grace after its first use
	// (Okta, Atlassian, Xero).
	RotationGrace Rotation = "grace"
	// RotationUntilSuccessorUsed: replaced, but usable until its successor is
	// first used (Shopify).
	RotationUntilSuccessorUsed Rotation = "until_successor_used"
	// RotationStrict: replaced at once; a second use may revoke the whole grant
	// (RFC 9700 section 4.14.2).
	RotationStrict Rotation = "strict"
)

// A Quota allows N token requests per refresh token in any window of length Per.
type Quota struct {
	N   int
	Per time.Duration
}

// A Profile says how a provider treats tokens. The zero Rotation is strict, the
// safe reading.
type Profile struct {
	Rotation Rotation
	Grace    time.Duration // with RotationGrace
	Quotas   []Quota       // exact, at most 4, N at most 100; empty means no limit
	// Hosts lists the host[:port]s that a token or revocation request may go to.
	Hosts []string
	// HeaderScheme precedes the access token in the Authorization header of API
	// calls: "Bearer" (RFC 6750) when blank.
	HeaderScheme string
	// DefaultLife is assumed when an answer gives no expires_in; 0 means that the
	// life is unknown and only a rejection leads to a refresh.
	DefaultLife time.Duration
	// AllowHTTP permits token requests without TLS, for tests on loopback.
	AllowHTTP bool
}
