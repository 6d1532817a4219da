package refresh

import (
	"errors"
	"net/http"
	"time"

	"github.com/bellwether-go/bellwether"
)

// An evidence is all that is known of one token request.
type evidence struct {
	sent   bool             // false: proven not sent
	status int              // 0: no answer
	token  bellwether.Token // what the answer said
	err    error            // of Parse, or of the transport
	// strict: a credential that was used has no grace of any kind; code: it is an
	// authorization code, which is never sent twice at all.
	strict bool
	code   bool
}

// A verdict is what an attempt's evidence means.
type verdict struct {
	outcome    bellwether.Outcome
	sent       bool
	lost       bool // the credential is used up and the answer cannot be
	class      bellwether.Class
	code       string
	client     bool // it concerns every token of the client
	retryAfter time.Duration
	hint       string
}

// judge sorts evidence in the order of docs/adr/0002: spent, refused, unspent,
// unknown. The class comes from the provider's table of bodies; a status alone
// decides only 429 and what a 5xx cannot prove.
func judge(ev evidence) verdict {
	v := verdict{sent: ev.sent}
	if pe, ok := errors.AsType[*bellwether.ProviderError](ev.err); ok {
		v.class, v.code, v.retryAfter, v.hint = pe.Class, pe.Code, pe.RetryAfter, pe.Hint
		v.client = pe.Concern == bellwether.ConcernClient || (pe.Concern == "" && ev.status == http.StatusTooManyRequests)
	}
	switch {
	case !ev.token.AccessToken.IsZero() || !ev.token.RefreshToken.IsZero():
		v.outcome = bellwether.OutcomeSpent
	case v.class == bellwether.ClassRefused:
		v.outcome = bellwether.OutcomeRefused
	case !ev.sent:
		v.outcome = bellwether.OutcomeUnspent
	case ev.status == http.StatusTooManyRequests:
		v.outcome, v.class = bellwether.OutcomeUnspent, bellwether.ClassThrottled
	case ev.status < 500 && (v.class == bellwether.ClassThrottled || v.class == bellwether.ClassConfig || v.class == bellwether.ClassUnavailable):
		v.outcome = bellwether.OutcomeUnspent
	default:
		v.outcome = bellwether.OutcomeUnknown
		v.lost = ev.code || (ev.strict && ev.status/100 == 2)
		switch {
		case ev.status == 0:
			v.class = bellwether.ClassTransport
		case ev.status/100 == 2:
			v.class = bellwether.ClassUnusable
		case v.class == "":
			v.class = bellwether.ClassUnknown
		}
	}
	return v
}

// cooldown is how long nobody tries again after this verdict: what the provider
// asks for, else exponential in the failures in a row; jitter adds up to a quarter.
func (v verdict) cooldown(c Config, failures int) time.Duration {
	if v.class == "" || v.outcome == bellwether.OutcomeRefused || v.outcome == bellwether.OutcomeSpent {
		return 0
	}
	d, longest := c.CooldownBase, c.CooldownCap
	switch {
	case v.retryAfter > 0:
		d, failures = min(v.retryAfter, maxRetryAfter), 0
		longest = maxRetryAfter
	case v.class == bellwether.ClassThrottled:
		d, longest = max(d, c.ThrottleCooldown), max(longest, c.ThrottleCooldown)
	}
	for ; failures > 0 && d < longest; failures-- {
		d *= 2
	}
	d = min(d, longest)
	return d + time.Duration(c.jitter()*float64(d)/4)
}

// longestCooldown is more than cooldown ever returns: what is read from the store
// is never believed for longer.
func (c Config) longestCooldown() time.Duration {
	d := max(c.CooldownCap, c.ThrottleCooldown, maxRetryAfter)
	return d + d/4
}
