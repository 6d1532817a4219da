package zoho

import (
	"slices"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/wire"
)

// fields are the members of an answer that do not go to Token.Extra.
var fields = map[string]bool{
	"access_token": true, "refresh_token": true, "token_type": true, "scope": true,
	"expires_in": true, "expires_in_sec": true, "api_domain": true,
	"error": true, "error_description": true, "status": true,
	ExtraSOID: true,
}

// Parse implements bellwether.Provider.
//
// An answer with tokens gives them, whatever else is wrong with it. An
// api_domain that is not an API host of the token's data centre is dropped and
// reported, and the tokens are kept: API calls must not carry them elsewhere.
// Zoho's refresh answers hold no refresh token; the old one stays.
func (p *Provider) Parse(t bellwether.Token, a bellwether.Answer) (bellwether.Token, error) {
	f, fault := wire.ReadJSON(a.Body)
	code := f.Code("error")
	if !wire.Issued(f, code, a.Status, t) {
		return bellwether.Token{}, table.Judge(p.cfg.Name, code, a, fault, wire.Secrets(t, f)...)
	}
	out := bellwether.Token{
		RefreshToken: bellwether.NewSecret(f.String("refresh_token")),
		Scopes:       f.Scopes("scope", " ,"),
		Extra:        f.Extra(fields),
	}
	usable := wire.IsAccessToken(f.String("access_token"))
	if usable {
		out.AccessToken = bellwether.NewSecret(f.String("access_token"))
		out.TokenType = f.String("token_type")
		out.IssuedAt = a.Time
	}
	hint := ""
	life, err := life(f)
	if err != nil {
		hint = "expires_in is not a number; the tokens were kept"
	}
	if usable && life > 0 {
		out.ExpiresAt = a.Time.Add(life)
	}
	if d := wire.Text(f["api_domain"]); d != "" {
		e, _ := p.endpoints(t)
		base, err := wire.Base(d, p.cfg.AllowHTTP)
		if err == nil && slices.Contains(e.API, base) {
			out.APIDomain = base
		} else {
			hint = "the api_domain of the answer is no API host of this data centre and was dropped, " +
				"the tokens were kept; check the accounts URL of the token"
		}
	}
	return out, wire.Doubt(p.cfg.Name, code, a, fault, usable, hint, wire.Secrets(t, f)...)
}

// life reads the life of the access token. expires_in_sec is seconds. Without
// it, expires_in is seconds too; where Zoho writes both, expires_in is in
// milliseconds, and so is any expires_in above a day, since access tokens live
// one hour.
func life(f wire.Fields) (time.Duration, error) {
	d, errSec := f.Seconds("expires_in_sec")
	if d > 0 {
		return d, nil
	}
	d, err := f.Seconds("expires_in")
	if d > 24*time.Hour {
		n, _ := f.Number("expires_in")
		d = min(time.Duration(min(n, wire.MaxLife.Seconds()*1000))*time.Millisecond, wire.MaxLife)
	}
	if err == nil && d == 0 {
		err = errSec
	}
	return d, err
}
