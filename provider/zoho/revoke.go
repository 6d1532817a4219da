package zoho

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/wire"
)

// RevokeRequest implements bellwether.Revoker. The token stands in the body,
// where Zoho's pages write it into the URL. Revoking a refresh token ends its
// access tokens too.
func (p *Provider) RevokeRequest(t bellwether.Token) (*http.Request, error) {
	e, err := p.endpoints(t)
	if err != nil {
		return nil, err
	}
	token := t.RefreshToken
	if token.IsZero() {
		token = t.AccessToken
	}
	if token.IsZero() {
		return nil, p.invalid(t, "neither refresh token nor access token", "there is nothing to revoke; delete the token")
	}
	return p.post(t, e.Accounts+"/oauth/v2/token/revoke", url.Values{"token": {token.Reveal()}})
}

// ParseRevoke implements bellwether.Revoker. Status 400 says that the token was
// not valid (zoho.com/accounts/protocol/oauth/revoke-refresh-token.html), which is
// as good as revoked, unless the body names another error of the table.
func (p *Provider) ParseRevoke(t bellwether.Token, a bellwether.Answer) error {
	f, fault := wire.ReadJSON(a.Body)
	code := f.Code("error")
	if a.Status >= 200 && a.Status < 300 && code == "" && f.String("status") == "success" {
		return nil
	}
	if _, known := table[code]; a.Status == 400 && !known && !errors.Is(fault, wire.ErrHTML) {
		return nil
	}
	e := table.Judge(p.cfg.Name, code, a, fault, wire.Secrets(t, f)...)
	if e.Class == bellwether.ClassRefused {
		return nil
	}
	return e
}

// Rejects implements bellwether.Provider.
func (p *Provider) Rejects(status int, body []byte) bool {
	if status != 401 && status != 400 {
		return false
	}
	f, _ := wire.ReadJSON(body)
	return slices.Contains(rejects[f.Code("code", "error")], status)
}
