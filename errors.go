package bellwether

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What can go wrong. Match with errors.Is; for the time, the hint and the cause
// take the *Error with errors.AsType.
var (
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("token not found")
	// ErrAmbiguous: several rows match.
	ErrAmbiguous = errors.New("several tokens match")
	// ErrConflict: another generation, or another owner of a credential or identity.
	ErrConflict = errors.New("conflict")
	// ErrInvalid: the caller's input cannot be right.
	ErrInvalid = errors.New("invalid")
	// ErrUnreadable: a stored row is sealed by an unknown key, or damaged.
	ErrUnreadable = errors.New("stored token is unreadable")
	// ErrMisconfigured: wrong keyset, index key, server version or setting.
	ErrMisconfigured = errors.New("misconfigured")
	// ErrUnavailable: the store cannot be reached or cannot serve just now.
	ErrUnavailable = errors.New("store unavailable")
	// ErrProvider: the provider cannot be reached or gave no usable answer. The
	// cause is a *ProviderError when the provider said why.
	ErrProvider = errors.New("provider failed")
	// ErrReauthRequired: only a new sign-in helps; see Error.Reason.
	ErrReauthRequired = errors.New("sign-in required")
	// ErrRecovering: an earlier attempt may still end; see Error.Until.
	ErrRecovering = errors.New("an earlier refresh is unresolved")
	// ErrThrottled: a cooldown or a quota; see Error.Until.
	ErrThrottled = errors.New("throttled")
	// ErrRejected: the token was rejected again too soon after a forced refresh;
	// see Error.Until.
	ErrRejected = errors.New("token rejected")
	// ErrMinTTL: a fresh token lives shorter than was asked for; it is returned
	// with the error.
	ErrMinTTL = errors.New("token life is shorter than asked for")
	// ErrRevoking: the token is being revoked.
	ErrRevoking = errors.New("token is being revoked")
	// ErrUnknownProvider: the row names a provider that is not configured.
	ErrUnknownProvider = errors.New("unknown provider")
	// ErrClosed: the object was closed.
	ErrClosed = errors.New("closed")
)

// An Error says what failed, to which row, until when, and what to do. It never
// holds a secret.
type Error struct {
	Kind   error     // one of the Err… values above; errors.Is matches it
	Op     string    // what was attempted: "get", "save", "open", …
	ID     string    // the row, when there is one
	Detail string    // what was seen
	Hint   string    // what the reader can do about it
	Reason Reason    // with ErrReauthRequired
	Until  time.Time // when trying again makes sense, on the local wall clock; zero when unknown
	Err    error     // the cause
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("bellwether")
	if e.Op != "" {
		b.WriteString(": " + e.Op)
	}
	if e.ID != "" {
		fmt.Fprintf(&b, " %q", e.ID)
	}
	b.WriteString(": ")
	if e.Kind != nil {
		b.WriteString(e.Kind.Error())
	} else {
		b.WriteString("failed")
	}
	if e.Reason != "" {
		fmt.Fprintf(&b, " (%s)", e.Reason)
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if !e.Until.IsZero() {
		b.WriteString("; not before " + e.Until.UTC().Format(time.RFC3339))
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap gives errors.Is and errors.As both the kind and the cause.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 2)
	if e.Kind != nil {
		errs = append(errs, e.Kind)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// Class sorts what a provider said, by its own table of error bodies; the status
// alone decides nothing.
type Class string

// The classes of a ProviderError.
const (
	// ClassRefused: the refresh token or code is dead (invalid_grant, RFC 6749
	// section 5.2). To be believed only while the stored credential is the same.
	ClassRefused Class = "refused"
	// ClassThrottled: too many requests; the credential was not consumed.
	ClassThrottled Class = "throttled"
	// ClassConfig: another OAuth error that consumed nothing, e.g. invalid_client.
	ClassConfig Class = "config"
	// ClassUnavailable: the provider's table names it as a passing failure that
	// consumed nothing, e.g. maintenance.
	ClassUnavailable Class = "unavailable"
	// ClassUnusable: a 2xx answer without a usable token. The provider may have
	// rotated all the same.
	ClassUnusable Class = "unusable"
	// ClassUnknown: an answer that proves nothing: 5xx, HTML, a cut body.
	ClassUnknown Class = "unknown"
	// ClassTransport: no answer at all. Set by package refresh, not by a provider.
	ClassTransport Class = "transport"
)

// Concern says whom a provider's error is about.
type Concern string

// The concerns of a ProviderError.
const (
	ConcernToken  Concern = "token"  // this token only
	ConcernClient Concern = "client" // every token of this OAuth client
)

// A ProviderError is what a provider's answer to a token request means. It never
// holds the body.
type ProviderError struct {
	Provider   string
	Class      Class
	Code       string // the error code of the body, at most 64 printable bytes
	Concern    Concern
	Status     int           // HTTP status
	RetryAfter time.Duration // from Retry-After or the provider's table; 0 when not given
	Hint       string        // what the reader can do about it
}

func (e *ProviderError) Error() string {
	s := fmt.Sprintf("%s: %s", e.Provider, e.Class)
	if e.Code != "" {
		s += fmt.Sprintf(" %q", e.Code)
	}
	if e.Status != 0 {
		s += fmt.Sprintf(" (HTTP %d)", e.Status)
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}
