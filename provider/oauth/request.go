package oauth

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/wire"
)

// ExtraCodeVerifier is the key of Token.Extra that holds the PKCE verifier of a
// grant token (RFC 7636 section 4.5).
const ExtraCodeVerifier = "code_verifier"

// Request implements bellwether.Provider. The grant is the refresh token, else
// the grant token, else client credentials. A token with a RedirectURL came from
// a user's sign-in and is never refreshed by client credentials: that would turn
// it silently into a token of the application.
func (p *Provider) Request(t bellwether.Token) (*http.Request, error) {
	v, err := p.grant(t)
	if err != nil {
		return nil, err
	}
	for name, value := range p.cfg.Params {
		v.Set(name, value)
	}
	return p.post(p.token.String(), v, t)
}

func (p *Provider) grant(t bellwether.Token) (url.Values, error) {
	if err := p.check(t); err != nil {
		return nil, err
	}
	v := url.Values{}
	scopes := p.cfg.Scopes
	switch {
	case !t.RefreshToken.IsZero():
		v.Set("grant_type", "refresh_token")
		v.Set("refresh_token", t.RefreshToken.Reveal())
	case !t.GrantToken.IsZero():
		v.Set("grant_type", "authorization_code")
		v.Set("code", t.GrantToken.Reveal())
		if t.RedirectURL != "" {
			v.Set("redirect_uri", t.RedirectURL)
		}
		if s := t.Extra[ExtraCodeVerifier]; !s.IsZero() {
			v.Set("code_verifier", s.Reveal())
		}
		scopes = nil // the sign-in has settled them
	case t.RedirectURL != "":
		return nil, p.invalid(t, "no refresh token",
			"the sign-in gave none; ask for offline access and sign in again")
	case t.ClientSecret.IsZero():
		return nil, p.invalid(t, "neither refresh token, grant token nor client secret",
			"sign in again, or add the client secret for client credentials")
	default:
		v.Set("grant_type", "client_credentials")
		if len(scopes) == 0 {
			scopes = t.Scopes
		}
	}
	if len(scopes) > 0 {
		v.Set("scope", strings.Join(scopes, p.cfg.ScopeSeparator))
	}
	return v, nil
}

// check looks at what every request needs.
func (p *Provider) check(t bellwether.Token) error {
	if t.ClientID == "" {
		return p.invalid(t, "no client id", "add the client id of the OAuth application")
	}
	if t.AccountsURL != "" {
		base, err := wire.Base(t.AccountsURL, p.cfg.AllowHTTP)
		if err != nil || base != p.token.Scheme+"://"+p.token.Host {
			return p.invalid(t, "the accounts URL is not this provider's",
				"leave it blank, or use "+p.token.Scheme+"://"+p.token.Host)
		}
	}
	return nil
}

func (p *Provider) invalid(t bellwether.Token, detail, hint string) error {
	return wire.Invalid(t, p.cfg.Name+" request", detail, hint)
}

// post adds the client's credentials to v and builds the request.
func (p *Provider) post(to string, v url.Values, t bellwether.Token) (*http.Request, error) {
	basic := p.cfg.AuthStyle == AuthBasic && !t.ClientSecret.IsZero()
	if !basic {
		v.Set("client_id", t.ClientID)
		if !t.ClientSecret.IsZero() {
			v.Set("client_secret", t.ClientSecret.Reveal())
		}
	}
	build := wire.PostForm
	if p.cfg.BodyFormat == BodyJSON {
		build = wire.PostJSON
	}
	req, err := build(to, v)
	if err != nil {
		return nil, p.invalid(t, "no request can be built", "check the token URL")
	}
	if basic {
		req.SetBasicAuth(url.QueryEscape(t.ClientID), url.QueryEscape(t.ClientSecret.Reveal()))
	}
	return req, nil
}
