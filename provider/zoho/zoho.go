// Package zoho is the bellwether.Provider for Zoho's accounts servers: all data
// centres, their answers, errors and limits.
//
// What holds: one Provider serves all data centres. Token.AccountsURL selects
// one and must be in the table; blank is the constructor's. Secrets travel in
// the body of a request, never in its URL. An answer is judged by its body,
// since Zoho sends errors with status 200; the throttle "Access Denied" is never
// taken for a revocation.
//
// What does not: Zoho's pages disagree on how many access tokens of a refresh
// token live at once (10, 15 or 30). One more ends the oldest early, which shows
// as INVALID_TOKEN at the API and costs one forced refresh.
//
//	r, err := refresh.New(store, refresh.Config{Providers: []bellwether.Provider{zoho.New(zoho.EU)}})
package zoho

import (
	"slices"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/wire"
)

var (
	_ bellwether.Provider = (*Provider)(nil)
	_ bellwether.Revoker  = (*Provider)(nil)
)

// A Config describes a Provider that differs from New's. The zero Config is
// New(US).
type Config struct {
	// Name is what Token.Provider says; blank is "zoho".
	Name string
	// Home is the data centre of tokens without an AccountsURL; blank is the first
	// of Endpoints.
	Home DataCenter
	// Endpoints is the table of data centres; nil is DefaultEndpoints(), which may
	// be appended to.
	Endpoints []Endpoints
	// Scopes are asked for with client credentials when a token has none.
	Scopes []string
	// SOID names the organisation of client credentials (soid), e.g.
	// "ZohoCRM.60001", for tokens without Extra["soid"].
	SOID string
	// AllowHTTP permits http URLs in Endpoints, for tests on loopback.
	AllowHTTP bool
}

// A Provider is Zoho. It is immutable and safe for concurrent use.
type Provider struct {
	cfg   Config
	table []Endpoints // cfg.Endpoints in normal form
	home  Endpoints
	hosts []string
}

// New returns Zoho with dc as the data centre of tokens that name none. It
// panics when dc is none of the constants; check text with ParseDataCenter.
func New(dc DataCenter) *Provider {
	p, err := NewWith(Config{Home: dc})
	if err != nil {
		panic(err)
	}
	return p
}

// NewWith returns the Provider that cfg describes. An error matches ErrInvalid.
func NewWith(cfg Config) (*Provider, error) {
	if cfg.Name == "" {
		cfg.Name = "zoho"
	}
	if cfg.Endpoints == nil {
		cfg.Endpoints = DefaultEndpoints()
	}
	cfg.Scopes = slices.Clone(cfg.Scopes)
	table, err := normal(cfg.Endpoints, cfg.AllowHTTP)
	if err == nil {
		err = wire.CheckName(cfg.Name)
	}
	if err != nil {
		return nil, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "zoho provider", Err: err}
	}
	p := &Provider{cfg: cfg, table: table}
	at := 0
	if cfg.Home != "" {
		at = slices.IndexFunc(table, func(e Endpoints) bool { return e.DataCenter == cfg.Home })
	}
	if at < 0 || len(table) == 0 {
		return nil, &bellwether.Error{
			Kind: bellwether.ErrInvalid, Op: "zoho provider",
			Detail: "the home data centre is not in the table", Hint: "known are " + known(table),
		}
	}
	p.home = table[at]
	for _, e := range table {
		p.hosts = append(p.hosts, host(e.Accounts))
	}
	return p, nil
}

// Name implements bellwether.Provider.
func (p *Provider) Name() string { return p.cfg.Name }

// accessLife is the life of every access token of Zoho's.
const accessLife = time.Hour

// Profile implements bellwether.Provider. A refresh token makes at most ten
// access tokens in ten minutes (zoho.com/accounts/protocol/oauth/token-limits.html)
// and, so that no live one is evicted, in the hour that they live.
func (p *Provider) Profile() bellwether.Profile {
	return bellwether.Profile{
		Rotation:     bellwether.RotationReusable,
		Quotas:       []bellwether.Quota{{N: 10, Per: 10 * time.Minute}, {N: 10, Per: accessLife}},
		Hosts:        slices.Clone(p.hosts),
		HeaderScheme: "Zoho-oauthtoken",
		DefaultLife:  accessLife,
		AllowHTTP:    p.cfg.AllowHTTP,
	}
}

// endpoints returns those of the data centre that t selects.
func (p *Provider) endpoints(t bellwether.Token) (Endpoints, error) {
	if t.AccountsURL == "" {
		return p.home, nil
	}
	base, err := wire.Base(t.AccountsURL, p.cfg.AllowHTTP)
	at := slices.IndexFunc(p.table, func(e Endpoints) bool { return err == nil && e.Accounts == base })
	if at < 0 {
		return Endpoints{}, p.invalid(t, "the accounts URL is not in the table of data centres", "known are "+known(p.table))
	}
	return p.table[at], nil
}
