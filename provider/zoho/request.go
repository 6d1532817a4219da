package zoho

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/wire"
)

// ExtraSOID is the key of Token.Extra that names the organisation for client
// credentials, as product and organisation id: "ZohoCRM.60001".
const ExtraSOID = "soid"

// Request implements bellwether.Provider. The grant is the refresh token, else
// the grant token, else client credentials; those need a soid, and a token with
// a RedirectURL, which came from a user's sign-in, is never refreshed by them.
func (p *Provider) Request(t bellwether.Token) (*http.Request, error) {
	e, err := p.check(t)
	if err != nil {
		return nil, err
	}
	v := url.Values{"client_id": {t.ClientID}, "client_secret": {t.ClientSecret.Reveal()}}
	switch {
	case !t.RefreshToken.IsZero():
		v.Set("grant_type", "refresh_token")
		v.Set("refresh_token", t.RefreshToken.Reveal())
	case !t.GrantToken.IsZero():
		v.Set("grant_type", "authorization_code")
		v.Set("code", t.GrantToken.Reveal())
		if t.RedirectURL != "" { // a self client has none
			v.Set("redirect_uri", t.RedirectURL)
		}
	case t.RedirectURL != "":
		return nil, p.invalid(t, "no refresh token",
			"the sign-in gave none; use access_type=offline and prompt=consent and sign in again")
	default:
		if err := p.clientCredentials(t, v); err != nil {
			return nil, err
		}
	}
	return p.post(t, e.Accounts+"/oauth/v2/token", v)
}

func (p *Provider) clientCredentials(t bellwether.Token, v url.Values) error {
	soid, scopes := t.Extra[ExtraSOID].Reveal(), t.Scopes
	if soid == "" {
		soid = p.cfg.SOID
	}
	if len(scopes) == 0 {
		scopes = p.cfg.Scopes
	}
	switch {
	case soid == "":
		return p.invalid(t, "neither refresh token, grant token nor soid",
			`sign in again, or name the organisation as Extra["soid"] for client credentials`)
	case len(scopes) == 0:
		return p.invalid(t, "client credentials without scopes", "name the scopes to ask for")
	}
	v.Set("grant_type", "client_credentials")
	v.Set("soid", soid)
	v.Set("scope", strings.Join(scopes, ","))
	return nil
}

// check looks at what every token request needs.
func (p *Provider) check(t bellwether.Token) (Endpoints, error) {
	e, err := p.endpoints(t)
	switch {
	case err != nil:
		return e, err
	case t.ClientID == "":
		return e, p.invalid(t, "no client id", "add the client id of the OAuth application")
	case t.ClientSecret.IsZero():
		return e, p.invalid(t, "no client secret", "add the client secret; each data centre has its own")
	}
	return e, nil
}

func (p *Provider) invalid(t bellwether.Token, detail, hint string) error {
	return wire.Invalid(t, p.cfg.Name+" request", detail, hint)
}

func (p *Provider) post(t bellwether.Token, to string, v url.Values) (*http.Request, error) {
	req, err := wire.PostForm(to, v)
	if err != nil {
		return nil, p.invalid(t, "no request can be built", "check the accounts URL")
	}
	return req, nil
}

func host(base string) string {
	_, h, _ := strings.Cut(base, "://")
	return h
}

// AuthURL returns the page where a user consents to t's scopes, for t's client,
// redirect URL and data centre. It asks for a refresh token (access_type=offline)
// and, since Zoho leaves that out of a second consent, for the consent page
// again. state comes back with the code and must be unguessable. The redirect
// also names an accounts-server: see ParseDataCenter.
func (p *Provider) AuthURL(t bellwether.Token, state string) (string, error) {
	e, err := p.endpoints(t)
	switch {
	case err != nil:
		return "", err
	case t.ClientID == "" || t.RedirectURL == "" || len(t.Scopes) == 0 || state == "":
		return "", p.invalid(t, "client id, redirect URL, scopes and state are needed", "fill them")
	}
	v := url.Values{
		"response_type": {"code"},
		"access_type":   {"offline"},
		"prompt":        {"consent"},
		"client_id":     {t.ClientID},
		"redirect_uri":  {t.RedirectURL},
		"scope":         {strings.Join(t.Scopes, ",")},
		"state":         {state},
	}
	return e.Accounts + "/oauth/v2/auth?" + v.Encode(), nil
}
