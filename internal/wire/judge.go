package wire

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redact"
)

// A Rule says what an error code means.
type Rule struct {
	Class      bellwether.Class
	Concern    bellwether.Concern
	RetryAfter time.Duration // when the answer names none
	Hint       string
}

// A Table maps the error codes of a provider to their meaning.
type Table map[string]Rule

// RFC is the table of RFC 6749 section 5.2, with the codes of other RFCs that
// token endpoints send. A code that is not here proves nothing. server_error
// (section 4.1.2.1) is left out for that reason: it does not say that nothing
// was consumed.
var RFC = Table{
	"invalid_request": {bellwether.ClassConfig, bellwether.ConcernToken, 0,
		"the provider misses a parameter; compare the provider's configuration with its documentation"},
	"invalid_client": {bellwether.ClassConfig, bellwether.ConcernClient, 0,
		"check the client id, the client secret and how they are sent (auth style)"},
	"invalid_grant": {bellwether.ClassRefused, bellwether.ConcernToken, 0,
		"the refresh token or code has ended, was revoked or was used; sign in again"},
	"unauthorized_client": {bellwether.ClassConfig, bellwether.ConcernClient, 0,
		"the client may not use this grant type; enable it with the provider"},
	"unsupported_grant_type": {bellwether.ClassConfig, bellwether.ConcernToken, 0,
		"the provider does not know this grant type"},
	"invalid_scope": {bellwether.ClassConfig, bellwether.ConcernToken, 0,
		"the scopes asked for exceed what was granted"},
	"temporarily_unavailable": {bellwether.ClassUnavailable, bellwether.ConcernClient, 0, ""}, // section 4.1.2.1
	"invalid_target": {bellwether.ClassConfig, bellwether.ConcernToken, 0,
		"the provider does not know the resource or audience asked for"}, // RFC 8707 section 2
	"unsupported_token_type": {bellwether.ClassConfig, bellwether.ConcernToken, 0,
		"the provider cannot revoke this kind of token"}, // RFC 7009 section 2.2.1
}

// With returns a table that holds both; extra wins.
func (t Table) With(extra Table) Table {
	out := make(Table, len(t)+len(extra))
	maps.Copy(out, t)
	maps.Copy(out, extra)
	return out
}

// Judge says what an answer without usable tokens means. code is the raw error
// code of its body and fault what was wrong with the body as a whole. The order
// is that of the outcomes of a call: refused by the table, whatever the status;
// throttled by status 429; what else the table says, unless the status is 5xx;
// and unknown, or unusable when the status promised success. Secrets that must
// not come out in the code are passed along.
func (t Table) Judge(provider, code string, a bellwether.Answer, fault error, secrets ...bellwether.Secret) *bellwether.ProviderError {
	e := &bellwether.ProviderError{
		Provider:   provider,
		Class:      bellwether.ClassUnknown,
		Code:       CleanCode(code, secrets...),
		Concern:    bellwether.ConcernToken,
		Status:     a.Status,
		RetryAfter: RetryAfter(a.Header, a.Time),
	}
	rule, known := t[code]
	if known {
		e.Code = CleanCode(code) // a word of the table is no secret
	}
	switch {
	case known && rule.Class == bellwether.ClassRefused,
		known && a.Status < 500 && a.Status != http.StatusTooManyRequests:
		e.Class, e.Concern, e.Hint = rule.Class, rule.Concern, rule.Hint
		if e.RetryAfter == 0 {
			e.RetryAfter = rule.RetryAfter
		}
	case a.Status == http.StatusTooManyRequests:
		e.Class = bellwether.ClassThrottled
		e.Concern = bellwether.ConcernClient
		if known && rule.Class == bellwether.ClassThrottled {
			e.Concern, e.Hint = rule.Concern, rule.Hint
			if e.RetryAfter == 0 {
				e.RetryAfter = rule.RetryAfter
			}
		}
	case a.Status >= 500:
		e.Hint = "the provider failed; nothing is known about the refresh token"
	case a.Status >= 300 && a.Status < 400:
		e.Hint = "the token endpoint redirects, which is never followed; check the token URL"
	case errors.Is(fault, ErrHTML):
		e.Hint = "the answer is a web page; check the token URL and any proxy in between"
	case code != "":
		e.Hint = "the error code is not in the provider's table"
	case errors.Is(fault, ErrCut):
		e.Hint = "the answer ends too early"
	case a.Status >= 200 && a.Status < 300:
		e.Class = bellwether.ClassUnusable
		e.Hint = "the answer holds no access token; check the token URL"
	default:
		e.Hint = "the answer names no error; check the token URL"
	}
	return e
}

// CleanCode makes an error code fit to be shown: printable ASCII, at most 64
// bytes, "" when it reveals one of secrets.
func CleanCode(code string, secrets ...bellwether.Secret) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, code)
	if redact.Reveals(code, secrets...) || redact.Reveals(clean, secrets...) {
		return ""
	}
	const most = 64
	return strings.TrimSpace(clean[:min(len(clean), most)])
}

// Secrets lists what must never be shown of a token and of the answers to it.
func Secrets(t bellwether.Token, answers ...Fields) []bellwether.Secret {
	out := []bellwether.Secret{t.AccessToken, t.RefreshToken, t.GrantToken, t.ClientSecret}
	for _, s := range t.Extra {
		out = append(out, s)
	}
	for _, f := range answers {
		for _, key := range []string{"access_token", "refresh_token", "id_token"} {
			out = append(out, bellwether.NewSecret(f.String(key)))
		}
	}
	return out
}

// IsAccessToken reports whether s can stand in a header: RFC 6749 appendix A.12
// allows printable ASCII and space.
func IsAccessToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// Issued reports whether the answer in f has given tokens. With status 2xx any
// token counts. With another status only one that was not presented counts, and
// only without an error code: servers echo what they refuse.
func Issued(f Fields, code string, status int, t bellwether.Token) bool {
	if !f.HasTokens() {
		return false
	}
	if status >= 200 && status < 300 {
		return true
	}
	refresh, access := f.String("refresh_token"), f.String("access_token")
	return code == "" &&
		(refresh != "" && refresh != t.RefreshToken.Reveal() || access != "" && access != t.AccessToken.Reveal())
}

// Doubt returns what is wrong with an answer that has given tokens, or nil.
// hint says what the provider found wrong in the members.
func Doubt(provider, code string, a bellwether.Answer, fault error, usable bool, hint string, secrets ...bellwether.Secret) error {
	e := &bellwether.ProviderError{
		Provider: provider,
		Class:    bellwether.ClassUnknown,
		Code:     CleanCode(code, secrets...),
		Concern:  bellwether.ConcernToken,
		Status:   a.Status,
		Hint:     hint,
	}
	switch {
	case !usable:
		e.Class = bellwether.ClassUnusable
		e.Hint = "the answer holds a refresh token and no usable access token; the refresh token was kept"
	case code != "":
		e.Hint = "the answer holds both tokens and an error; the tokens were kept"
	case a.Status < 200 || a.Status >= 300:
		e.Hint = "tokens came with an error status; they were kept"
	case fault != nil:
		e.Hint = fault.Error() + "; the tokens in front of that were kept"
	case hint == "":
		return nil
	}
	return e
}
