package redact_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redact"
)

func TestReveals(t *testing.T) {
	secrets := []bellwether.Secret{{}, bellwether.NewSecret("rt_7f+Q/x2=Lm90"), bellwether.NewSecret("pin4")}
	for _, tc := range []struct {
		text string
		want bool
	}{
		{"", false},
		{"invalid_grant", false},
		{"the token rt_7f+Q is short", false}, // seven bytes
		{"unknown token rt_7f+Q/…", true},
		{"unknown token …2=Lm90", false},
		{"unknown token …Q/x2=Lm90", true},
		{"token=rt_7f%2BQ%2Fx2%3DLm90&x=1", true},
		{"100% of rt_7f+Q/x2=Lm90", true},
		{"the pin4 is wrong", true},
		{base64.StdEncoding.EncodeToString([]byte("rt_7f+Q/x2=Lm90")), true},
		{base64.RawURLEncoding.EncodeToString([]byte("token=rt_7f+Q/x2=Lm90")), true},
		{base64.RawURLEncoding.EncodeToString([]byte("a token=rt_7f+Q/x2=Lm90")), true},
		{hex.EncodeToString([]byte("rt_7f+Q/x2=Lm90")), true},
		{strings.ToUpper(hex.EncodeToString([]byte("x rt_7f+Q/x2="))), true},
	} {
		if got := redact.Reveals(tc.text, secrets...); got != tc.want {
			t.Errorf("%q: %v, want %v", tc.text, got, tc.want)
		}
	}
}
