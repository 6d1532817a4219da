package oauth

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/wire"
)

// AuthStyle says how the client proves who it is. It is never probed: a probe
// sends a single-use refresh token twice.
type AuthStyle string

// The styles of RFC 6749 section 2.3.1. A client without a secret is public and
// sends its client_id as a parameter in either style (section 3.2.1).
const (
	// AuthParams sends client_id and client_secret as parameters. The default.
	AuthParams AuthStyle = "params"
	// AuthBasic sends them by HTTP Basic, both form-encoded first as the RFC asks.
	AuthBasic AuthStyle = "basic"
)

// BodyFormat says how parameters are encoded.
type BodyFormat string

// The formats of a request's body.
const (
	BodyForm BodyFormat = "form" // RFC 6749; the default
	BodyJSON BodyFormat = "json" // Atlassian, Notion
)

// A Rule says what an error code in an answer's body means.
type Rule struct {
	Class   bellwether.Class
	Concern bellwether.Concern // blank is ConcernToken
	// RetryAfter is the pause when the answer names none.
	RetryAfter time.Duration
	Hint       string
}

// A Config describes one provider. Only Name and TokenURL are required.
type Config struct {
	// Name is what Token.Provider says: lower-case letters, digits, '-', '_', '.'.
	Name string
	// TokenURL is the token endpoint, RevokeURL the revocation endpoint (RFC 7009).
	// https is required unless AllowHTTP is set.
	TokenURL  string
	RevokeURL string
	AllowHTTP bool

	AuthStyle  AuthStyle  // blank is AuthParams
	BodyFormat BodyFormat // blank is BodyForm

	// Scopes are sent with refresh_token and client_credentials requests. Empty: a
	// refresh asks for what was granted before (RFC 6749 section 6), and client
	// credentials ask for the token's own scopes.
	Scopes []string
	// ScopeSeparator is the character between scopes, asked for or answered; blank
	// is a space. GitHub and Slack write a comma.
	ScopeSeparator string
	// Params are sent with every token request, e.g. audience or resource. They
	// cannot replace a parameter of the protocol.
	Params map[string]string

	// Errors adds to the table of RFC 6749 section 5.2 and replaces its entries.
	Errors map[string]Rule
	// ErrorFields are the members of an answer that can hold the error code, in
	// order; empty is "error".
	ErrorFields []string
	// TokenField names an object of the answer that holds the tokens when it is
	// there (Slack's authed_user); blank: they are always at the top.
	TokenField string
	// APIDomainField names the member of an answer that holds the base URL of the
	// API (Salesforce's instance_url). It becomes Token.APIDomain when it is https.
	APIDomainField string
	// RejectCodes are error codes of API answers that mean a dead access token
	// whatever the status; a plain 401 needs no entry.
	RejectCodes []string

	// The rest is handed on in the Profile.

	Rotation     bellwether.Rotation // blank is strict, the safe reading
	Grace        time.Duration       // with RotationGrace
	Quotas       []bellwether.Quota
	HeaderScheme string        // blank is Bearer
	DefaultLife  time.Duration // when an answer gives no expires_in
}

// protocolParams are the parameters that Config.Params must leave alone.
var protocolParams = []string{
	"grant_type", "client_id", "client_secret", "refresh_token", "code",
	"code_verifier", "redirect_uri", "scope", "token", "token_type_hint",
}

// withDefaults returns c with every blank filled, sharing no memory with c.
func (c Config) withDefaults() Config {
	if c.AuthStyle == "" {
		c.AuthStyle = AuthParams
	}
	if c.BodyFormat == "" {
		c.BodyFormat = BodyForm
	}
	if c.ScopeSeparator == "" {
		c.ScopeSeparator = " "
	}
	if c.Rotation == "" {
		c.Rotation = bellwether.RotationStrict
	}
	if len(c.ErrorFields) == 0 {
		c.ErrorFields = []string{"error"}
	}
	c.Scopes = slices.Clone(c.Scopes)
	c.Params = maps.Clone(c.Params)
	c.Errors = maps.Clone(c.Errors)
	c.ErrorFields = slices.Clone(c.ErrorFields)
	c.RejectCodes = slices.Clone(c.RejectCodes)
	c.Quotas = slices.Clone(c.Quotas)
	return c
}

func (c Config) validate() error {
	if err := wire.CheckName(c.Name); err != nil {
		return err
	}
	if c.AuthStyle != AuthParams && c.AuthStyle != AuthBasic {
		return fmt.Errorf("auth style %q: neither %q nor %q", c.AuthStyle, AuthParams, AuthBasic)
	}
	if c.BodyFormat != BodyForm && c.BodyFormat != BodyJSON {
		return fmt.Errorf("body format %q: neither %q nor %q", c.BodyFormat, BodyForm, BodyJSON)
	}
	for name := range c.Params {
		if slices.Contains(protocolParams, name) {
			return fmt.Errorf("parameter %q belongs to the protocol", name)
		}
	}
	for code, r := range c.Errors {
		switch r.Class {
		case bellwether.ClassRefused, bellwether.ClassThrottled, bellwether.ClassConfig,
			bellwether.ClassUnavailable, bellwether.ClassUnknown:
		default:
			return fmt.Errorf("error code %q: class %q is not one that a code can have", code, r.Class)
		}
		if r.Concern != "" && r.Concern != bellwether.ConcernToken && r.Concern != bellwether.ConcernClient {
			return fmt.Errorf("error code %q: unknown concern %q", code, r.Concern)
		}
	}
	return c.validateProfile()
}

func (c Config) validateProfile() error {
	switch c.Rotation {
	case bellwether.RotationGrace:
		if c.Grace <= 0 {
			return errors.New("rotation grace without Grace")
		}
	case bellwether.RotationStrict, bellwether.RotationReusable, bellwether.RotationUntilSuccessorUsed:
		if c.Grace != 0 {
			return fmt.Errorf("rotation %q with a Grace", c.Rotation)
		}
	default:
		return fmt.Errorf("unknown rotation %q", c.Rotation)
	}
	if c.DefaultLife < 0 {
		return errors.New("DefaultLife is negative")
	}
	if strings.ContainsAny(c.HeaderScheme, " \t\r\n") {
		return errors.New("HeaderScheme holds a space")
	}
	return wire.CheckQuotas(c.Quotas)
}

// endpoints checks both URLs and returns them in normal form.
func (c Config) endpoints() (token, revoke *url.URL, err error) {
	if token, err = wire.ParseURL(c.TokenURL, c.AllowHTTP); err != nil {
		return nil, nil, fmt.Errorf("TokenURL: %w", err)
	}
	if c.RevokeURL != "" {
		if revoke, err = wire.ParseURL(c.RevokeURL, c.AllowHTTP); err != nil {
			return nil, nil, fmt.Errorf("RevokeURL: %w", err)
		}
	}
	return token, revoke, nil
}

// table is the provider's error table.
func (c Config) table() wire.Table {
	extra := make(wire.Table, len(c.Errors))
	for code, r := range c.Errors {
		if r.Concern == "" {
			r.Concern = bellwether.ConcernToken
		}
		extra[code] = wire.Rule(r)
	}
	return wire.RFC.With(extra)
}
