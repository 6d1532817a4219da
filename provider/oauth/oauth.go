// Package oauth is a bellwether.Provider for any server that speaks RFC 6749:
// refresh_token, authorization_code (with PKCE, RFC 7636) and client_credentials.
//
// What holds: a token in an answer is not lost. Parse returns every token that
// stands in front of the first fault of a body, together with the error. An
// error is sorted by the code in the body, never by the status alone, so that an
// overloaded proxy does not look like a revocation.
//
// What does not: how a server treats a used refresh token cannot be seen on the
// wire. Config.Rotation must say so; strict, the default, is always safe.
//
//	p, err := oauth.New(oauth.Config{
//		Name:      "crm",
//		TokenURL:  "https://login.example.com/oauth/token",
//		AuthStyle: oauth.AuthBasic,
//	})
package oauth

import (
	"net/url"
	"slices"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/wire"
)

var (
	_ bellwether.Provider = (*Provider)(nil)
	_ bellwether.Revoker  = (*Provider)(nil)
)

// A Provider is one OAuth server. It is immutable and safe for concurrent use.
type Provider struct {
	cfg    Config
	token  *url.URL
	revoke *url.URL // nil without a revocation endpoint
	hosts  []string
	errors wire.Table
}

// New returns the provider that cfg describes. An error matches ErrInvalid.
func New(cfg Config) (*Provider, error) {
	cfg = cfg.withDefaults()
	token, revoke, err := cfg.endpoints()
	if err == nil {
		err = cfg.validate()
	}
	if err != nil {
		return nil, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "oauth provider " + cfg.Name, Err: err}
	}
	p := &Provider{cfg: cfg, token: token, revoke: revoke, hosts: []string{token.Host}, errors: cfg.table()}
	if revoke != nil && revoke.Host != token.Host {
		p.hosts = append(p.hosts, revoke.Host)
	}
	return p, nil
}

// Name implements bellwether.Provider.
func (p *Provider) Name() string { return p.cfg.Name }

// Profile implements bellwether.Provider.
func (p *Provider) Profile() bellwether.Profile {
	return bellwether.Profile{
		Rotation:     p.cfg.Rotation,
		Grace:        p.cfg.Grace,
		Quotas:       slices.Clone(p.cfg.Quotas),
		Hosts:        slices.Clone(p.hosts),
		HeaderScheme: p.cfg.HeaderScheme,
		DefaultLife:  p.cfg.DefaultLife,
		AllowHTTP:    p.cfg.AllowHTTP,
	}
}
