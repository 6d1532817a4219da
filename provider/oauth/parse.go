package oauth

import (
	"slices"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/wire"
)

// known are the members of an answer that do not go to Token.Extra: those that
// have a field of their own, errors, and what the token's owner puts there.
var known = map[string]bool{
	"access_token": true, "refresh_token": true, "token_type": true, "scope": true,
	"expires_in": true, "refresh_token_expires_in": true, "refresh_expires_in": true,
	"x_refresh_token_expires_in": true,
	"error":                      true, "error_description": true, "error_uri": true, "ok": true,
	ExtraCodeVerifier: true,
}

// refreshLife are the names under which providers send the life of the refresh
// token (GitHub, Keycloak, QuickBooks), none of them in an RFC.
var refreshLife = []string{"refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in"}

// Parse implements bellwether.Provider. It reads JSON and form-encoded answers.
//
// An answer with tokens gives them, whatever else is wrong with it; the error
// then is of ClassUnknown, or ClassUnusable when there is no access token. An
// expires_in that is absent, null, zero or negative leaves ExpiresAt zero; one
// above ten years counts as ten years. An absent refresh_token leaves
// RefreshToken absent: the old one stays.
func (p *Provider) Parse(t bellwether.Token, a bellwether.Answer) (bellwether.Token, error) {
	f, fault := wire.Read(a.Header, a.Body)
	code := f.Code(p.cfg.ErrorFields...)
	src := p.tokens(f)
	if !wire.Issued(src, code, a.Status, t) {
		return bellwether.Token{}, p.judge(t, a, f, fault)
	}
	out := bellwether.Token{RefreshToken: bellwether.NewSecret(src.String("refresh_token"))}
	usable := wire.IsAccessToken(src.String("access_token"))
	if usable {
		out.AccessToken = bellwether.NewSecret(src.String("access_token"))
		out.TokenType = src.String("token_type")
		out.IssuedAt = a.Time
	}
	out.Scopes = src.Scopes("scope", " "+p.cfg.ScopeSeparator)
	if s := f.String(p.cfg.APIDomainField); p.cfg.APIDomainField != "" {
		if base, err := wire.Base(s, p.cfg.AllowHTTP); err == nil {
			out.APIDomain = base
		}
	}
	out.Extra = p.extra(f, src)

	hint := ""
	life, err := src.Seconds("expires_in")
	switch {
	case err != nil:
		hint = "expires_in is not a number of seconds; the tokens were kept"
	case usable && life > 0:
		out.ExpiresAt = a.Time.Add(life)
	}
	for _, name := range refreshLife {
		life, err := src.Seconds(name)
		if err != nil {
			hint = name + " is not a number of seconds; the tokens were kept"
		}
		if life > 0 && out.RefreshExpiresAt.IsZero() {
			out.RefreshExpiresAt = a.Time.Add(life)
		}
	}
	return out, wire.Doubt(p.cfg.Name, code, a, fault, usable, hint, wire.Secrets(t, f, src)...)
}

// tokens returns the object that holds the tokens.
func (p *Provider) tokens(f wire.Fields) wire.Fields {
	if in := f.Object(p.cfg.TokenField); p.cfg.TokenField != "" && in.HasTokens() {
		return in
	}
	return f
}

// extra collects what has no field of its own, from the top of the answer and
// from the object with the tokens, which wins.
func (p *Provider) extra(f, src wire.Fields) map[string]bellwether.Secret {
	skip := known
	if p.cfg.TokenField != "" {
		skip = make(map[string]bool, len(known)+1)
		for k := range known {
			skip[k] = true
		}
		skip[p.cfg.TokenField] = true
	}
	out := f.Extra(skip)
	for k, v := range src.Extra(skip) {
		if out == nil {
			out = map[string]bellwether.Secret{}
		}
		out[k] = v
	}
	return out
}

func (p *Provider) judge(t bellwether.Token, a bellwether.Answer, f wire.Fields, fault error) *bellwether.ProviderError {
	code := f.Code(p.cfg.ErrorFields...)
	e := p.errors.Judge(p.cfg.Name, code, a, fault, wire.Secrets(t, f, p.tokens(f))...)
	if e.Class == bellwether.ClassUnknown && e.Status == 404 && e.Code == "" {
		e.Hint = "nothing answers at " + p.token.Host + p.token.Path + "; check the token URL"
	}
	return e
}

// Rejects implements bellwether.Provider: a 401, unless its body says
// insufficient_scope (RFC 6750 section 3.1), or a body with one of RejectCodes.
func (p *Provider) Rejects(status int, body []byte) bool {
	if status == 403 || status != 401 && len(p.cfg.RejectCodes) == 0 {
		return false
	}
	f, _ := wire.ReadJSON(body)
	code := f.Code(p.cfg.ErrorFields...)
	if slices.Contains(p.cfg.RejectCodes, code) {
		return true
	}
	return status == 401 && code != "insufficient_scope"
}
