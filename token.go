package bellwether

import (
	"maps"
	"slices"
	"time"
)

// A Token is one stored OAuth credential: what Zoho's SDKs call an OAuthToken.
// A blank field means absent. Times are on the store's clock (Redis's for
// redisstore), to the millisecond.
type Token struct {
	// ID names the row: 1 to 255 bytes of valid UTF-8. Blank in a Save that
	// leaves the choice to the store.
	ID string
	// Provider is the Name of the Provider that refreshes this token.
	Provider string
	// AccountsURL selects the provider's data centre; blank is the provider's own.
	AccountsURL string
	// UserName says whose token this is, in the provider's terms.
	UserName     string
	ClientID     string
	ClientSecret Secret
	RedirectURL  string
	// GrantToken is an authorization code (RFC 6749 section 4.1), spent by the
	// first refresh.
	GrantToken   Secret
	RefreshToken Secret
	AccessToken  Secret
	// TokenType is the token_type of RFC 6749 section 5.1, as the provider gave it.
	TokenType string
	Scopes    []string
	// APIDomain is the base URL of the API this token is for (Zoho's api_domain).
	APIDomain string
	// IssuedAt is when the access token was made. ExpiresAt is when it ends; zero
	// when the provider does not say.
	IssuedAt  time.Time
	ExpiresAt time.Time
	// RefreshExpiresAt is when the refresh token ends; zero when unknown.
	RefreshExpiresAt time.Time
	// Extra holds what else the provider answered (id_token, instance_url, …).
	Extra map[string]Secret

	// The rest is kept by the store and ignored by Save, Generation aside.

	CreatedAt time.Time
	UpdatedAt time.Time
	// Generation grows by one at each visible write. In a Save, zero merges and
	// any other value replaces exactly that generation.
	Generation int64
	State      State
	// Failure is the newest failed refresh since the last success, or nil.
	Failure *Failure
}

// State says whether a token can be refreshed.
type State string

// The states of a stored token.
const (
	StateActive         State = "active"
	StateReauthRequired State = "reauth_required" // only a new sign-in helps
	StateRevoking       State = "revoking"        // Revoke has begun
)

// Reason says why a new sign-in is needed.
type Reason string

// The reasons of StateReauthRequired.
const (
	// ReasonRevoked: the provider said that the grant is gone.
	ReasonRevoked Reason = "revoked"
	// ReasonRotationLost: the provider may have rotated the refresh token in an
	// answer that never reached the store. An infrastructure fault, not a
	// revocation by the user.
	ReasonRotationLost Reason = "rotation_lost"
	// ReasonCodeOutcomeUnknown: an authorization code was sent and no answer
	// came; a code is never sent twice (RFC 6749 section 4.1.2).
	ReasonCodeOutcomeUnknown Reason = "code_outcome_unknown"
)

// A Failure tells of failed refreshes. It holds no text of the provider's answer
// beyond its error code.
type Failure struct {
	Reason Reason // set with StateReauthRequired
	Class  Class
	Code   string    // the provider's error code, e.g. "invalid_grant"
	Count  int       // failures in a row
	At     time.Time // when the newest happened
	Until  time.Time // no attempt before; zero when there is no cooldown
}

// Clone returns a copy that shares no map, slice or pointer with t.
func (t Token) Clone() Token {
	t.Scopes = slices.Clone(t.Scopes)
	t.Extra = maps.Clone(t.Extra)
	if t.Failure != nil {
		f := *t.Failure
		t.Failure = &f
	}
	return t
}

// HasCredential reports whether t can ever give an access token: it holds an
// access, refresh or grant token, or client credentials (RFC 6749 section 4.4).
func (t Token) HasCredential() bool {
	return !t.AccessToken.IsZero() || !t.RefreshToken.IsZero() || !t.GrantToken.IsZero() ||
		(t.ClientID != "" && !t.ClientSecret.IsZero())
}
