// Package redact keeps secrets out of texts that come from elsewhere: error codes and
// error messages in which a server quotes what it was sent.
package redact

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/bellwether-go/bellwether"
)

// part is how much of a secret reveals it, in bytes.
const part = 8

// Reveals reports whether text, which came from a server, holds one of secrets or
// eight bytes of one: as they are, percent-encoded, in base64 or in hexadecimal. A
// server that encodes what it quotes in another way is not seen through.
func Reveals(text string, secrets ...bellwether.Secret) bool {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		plain = text
	}
	std := strings.NewReplacer("-", "+", "_", "/").Replace(text) // the other alphabet
	lower := strings.ToLower(text)
	for _, s := range secrets {
		secret := s.Reveal()
		if secret == "" {
			continue
		}
		if strings.Contains(text, secret) || strings.Contains(plain, secret) ||
			overlap(text, secret, part) || overlap(plain, secret, part) ||
			overlap(lower, hex.EncodeToString([]byte(secret)), 2*part) {
			return true
		}
		for i := range min(3, len(secret)) { // wherever it began in what was encoded
			if overlap(std, base64.RawStdEncoding.EncodeToString([]byte(secret[i:])), 4*part/3) {
				return true
			}
		}
	}
	return false
}

// overlap reports whether n bytes of text stand in secret.
func overlap(text, secret string, n int) bool {
	for i := 0; i+n <= len(text); i++ {
		if strings.Contains(secret, text[i:i+n]) {
			return true
		}
	}
	return false
}
