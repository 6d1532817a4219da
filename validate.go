package bellwether

import (
	"fmt"
	"net/url"
	"time"
	"unicode/utf8"
)

// What a store takes, in bytes.
const (
	MaxIDLen    = 255
	MaxValueLen = 64 << 10 // of each field, each scope, each key and value of Extra
)

// Times a store can keep: to the millisecond, and countable by a double.
var (
	minTime = time.UnixMilli(1)
	maxTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Millisecond)
)

// ValidateID returns nil when id can name a row: 1 to 255 bytes of valid UTF-8,
// any characters, NUL included. Otherwise the error matches ErrInvalid.
func ValidateID(id string) error {
	switch {
	case id == "":
		return invalid("the ID is blank", "an ID is 1 to 255 bytes of UTF-8")
	case len(id) > MaxIDLen:
		return invalid(fmt.Sprintf("the ID has %d bytes", len(id)), "an ID is 1 to 255 bytes of UTF-8")
	case !utf8.ValidString(id):
		return invalid("the ID is not valid UTF-8", "an ID is 1 to 255 bytes of UTF-8")
	}
	return nil
}

// Validate returns nil when every store can keep t: the ID, when set, passes
// ValidateID; every text is valid UTF-8 of at most 64 KiB, any characters; the
// provider is named in its charset; URLs parse and hold no password; times lie
// between 1970 and 9999; the generation is not negative. Otherwise the error
// matches ErrInvalid and says which field and why, never its value.
//
// Whether t holds a credential is another question: see HasCredential.
func (t Token) Validate() error {
	if t.ID != "" {
		if err := ValidateID(t.ID); err != nil {
			return err
		}
	}
	if err := validateProvider(t.Provider); err != nil {
		return err
	}
	texts := []struct{ name, value string }{
		{"accounts URL", t.AccountsURL},
		{"user name", t.UserName},
		{"client id", t.ClientID},
		{"client secret", t.ClientSecret.Reveal()},
		{"redirect URL", t.RedirectURL},
		{"grant token", t.GrantToken.Reveal()},
		{"refresh token", t.RefreshToken.Reveal()},
		{"access token", t.AccessToken.Reveal()},
		{"token type", t.TokenType},
		{"API domain", t.APIDomain},
	}
	for _, f := range texts {
		if err := validateText(f.name, f.value); err != nil {
			return err
		}
	}
	for _, s := range t.Scopes {
		if err := validateText("scope", s); err != nil {
			return err
		}
	}
	for k, v := range t.Extra {
		if err := validateText("key of Extra", k); err != nil {
			return err
		}
		if err := validateText("value of Extra", v.Reveal()); err != nil {
			return err
		}
	}
	urls := []struct{ name, value string }{
		{"accounts URL", t.AccountsURL},
		{"redirect URL", t.RedirectURL},
		{"API domain", t.APIDomain},
	}
	for _, f := range urls {
		if err := validateURL(f.name, f.value); err != nil {
			return err
		}
	}
	times := []struct {
		name  string
		value time.Time
	}{
		{"issue time", t.IssuedAt},
		{"expiry", t.ExpiresAt},
		{"expiry of the refresh token", t.RefreshExpiresAt},
	}
	for _, f := range times {
		if !f.value.IsZero() && (f.value.Before(minTime) || f.value.After(maxTime)) {
			return invalid("the "+f.name+" is outside the years 1970 to 9999", "leave an unknown time zero")
		}
	}
	if t.Generation < 0 {
		return invalid("the generation is negative", "0 merges; a row's own generation replaces it")
	}
	return nil
}

func validateText(name, value string) error {
	switch {
	case len(value) > MaxValueLen:
		return invalid(fmt.Sprintf("the %s has %d bytes", name, len(value)), "a value has at most 64 KiB")
	case !utf8.ValidString(value):
		return invalid("the "+name+" is not valid UTF-8", "encode binary values, for instance as base64")
	}
	return nil
}

func validateProvider(name string) error {
	if len(name) > MaxIDLen {
		return invalid("the provider's name is too long", "a provider's name has at most 255 bytes")
	}
	for _, c := range []byte(name) {
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' {
			continue
		}
		return invalid(fmt.Sprintf("the provider's name holds %q", c), "use lower-case letters, digits, '-', '_' and '.'")
	}
	return nil
}

// validateURL refuses what no URL can be, and passwords, which would be stored and
// shown in clear. Which hosts are right is for the provider to say.
func validateURL(name, value string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil { // the error quotes the value
		return invalid("the "+name+" is not a URL", "write it like https://accounts.example.com")
	}
	if u.User != nil {
		return invalid("the "+name+" holds a user name or password", "URLs are shown in clear: take it out")
	}
	return nil
}

func invalid(detail, hint string) error {
	return &Error{Kind: ErrInvalid, Detail: detail, Hint: hint}
}
