package oauth

import (
	"net/http"
	"net/url"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/wire"
)

// RevokeRequest implements bellwether.Revoker by RFC 7009. Without a RevokeURL,
// or a token to revoke, the error matches ErrInvalid.
func (p *Provider) RevokeRequest(t bellwether.Token) (*http.Request, error) {
	if p.revoke == nil {
		return nil, p.invalid(t, "no revocation URL is configured",
			"revoke the grant at the provider's own pages, then delete the token")
	}
	if err := p.check(t); err != nil {
		return nil, err
	}
	v := url.Values{}
	switch {
	case !t.RefreshToken.IsZero():
		v.Set("token", t.RefreshToken.Reveal())
		v.Set("token_type_hint", "refresh_token")
	case !t.AccessToken.IsZero():
		v.Set("token", t.AccessToken.Reveal())
		v.Set("token_type_hint", "access_token")
	default:
		return nil, p.invalid(t, "neither refresh token nor access token", "there is nothing to revoke; delete the token")
	}
	return p.post(p.revoke.String(), v, t)
}

// ParseRevoke implements bellwether.Revoker. RFC 7009 section 2.2 answers 200
// for a token that is already dead; servers that say invalid_token or a refused
// code instead mean the same.
func (p *Provider) ParseRevoke(t bellwether.Token, a bellwether.Answer) error {
	f, fault := wire.Read(a.Header, a.Body)
	code := f.Code(p.cfg.ErrorFields...)
	if a.Status >= 200 && a.Status < 300 && code == "" {
		return nil
	}
	if code == "invalid_token" && a.Status < 500 {
		return nil
	}
	e := p.judge(t, a, f, fault)
	if e.Class == bellwether.ClassRefused {
		return nil
	}
	return e
}
