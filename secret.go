package bellwether

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a Secret shows of itself.
const redacted = "[redacted]"

// A Secret is a string that cannot be printed: every fmt verb, slog, JSON and
// text encoding show "[redacted]". It holds a pointer, so that reflection over a
// struct with an unexported Secret finds an address and not the text. The zero
// Secret is absent. Secrets are immutable and safe for concurrent use.
type Secret struct{ p *string }

// NewSecret returns s as a Secret; the empty string is the absent Secret.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{&s}
}

// Reveal returns the text. Call it only where the text leaves for the place that
// needs it: a request header, a codec that seals.
func (s Secret) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// IsZero reports whether the Secret is absent.
func (s Secret) IsZero() bool { return s.p == nil }

// Equal reports, in time that depends only on the lengths, whether two Secrets
// hold the same text.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

func (s Secret) String() string {
	if s.p == nil {
		return ""
	}
	return redacted
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// Format implements fmt.Formatter, so that no verb reaches the text.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler; codecs that must write the text
// call Reveal.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It refuses "[redacted]", so
// that a printed token read back can never replace a real credential.
func (s *Secret) UnmarshalText(b []byte) error {
	if string(b) == redacted {
		return errors.New(`bellwether: "[redacted]" is not a secret: this text was printed, not exported`)
	}
	*s = NewSecret(string(b))
	return nil
}
