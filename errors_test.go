package bellwether_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
)

func TestErrorMatchesKindAndCause(t *testing.T) {
	cause := &bellwether.ProviderError{Provider: "zoho", Class: bellwether.ClassThrottled, Code: "Access Denied", Status: 400, Hint: "wait ten minutes"}
	err := fmt.Errorf("job 4: %w", &bellwether.Error{Kind: bellwether.ErrThrottled, Op: "get", ID: "a\x00b", Err: cause, Until: one})
	if !errors.Is(err, bellwether.ErrThrottled) {
		t.Error("does not match its kind")
	}
	if errors.Is(err, bellwether.ErrUnavailable) {
		t.Error("matches another kind")
	}
	if got, ok := errors.AsType[*bellwether.ProviderError](err); !ok || got != cause {
		t.Errorf("cause = %v, %v", got, ok)
	}
	if got, ok := errors.AsType[*bellwether.Error](err); !ok || !got.Until.Equal(one) {
		t.Errorf("error = %v, %v", got, ok)
	}
	cancelled := &bellwether.Error{Kind: bellwether.ErrUnavailable, Err: context.Canceled}
	if !errors.Is(cancelled, context.Canceled) {
		t.Error("a ctx error is not matchable")
	}
}

func TestErrorText(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{&bellwether.Error{}, "bellwether: failed"},
		{&bellwether.Error{Kind: bellwether.ErrNotFound, Op: "find"}, "bellwether: find: token not found"},
		{&bellwether.Error{Kind: bellwether.ErrReauthRequired, Op: "get", ID: "a\nb", Reason: bellwether.ReasonRotationLost, Hint: "sign in again"},
			`bellwether: get "a\nb": sign-in required (rotation_lost); sign in again`},
		{&bellwether.Error{Kind: bellwether.ErrUnavailable, Detail: "no answer", Err: io.ErrUnexpectedEOF, Until: one},
			"bellwether: store unavailable: no answer: unexpected EOF; not before " + one.Format(time.RFC3339)},
		{&bellwether.ProviderError{Provider: "zoho", Class: bellwether.ClassRefused, Code: "invalid_code", Status: 200, Hint: "sign in again"},
			`zoho: refused "invalid_code" (HTTP 200); sign in again`},
		{&bellwether.LockedError{Remaining: time.Second}, "bellwether: locked by another attempt"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
