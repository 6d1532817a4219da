package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/refresh"
)

func TestExitCodes(t *testing.T) {
	kind := func(k error) error { return &bellwether.Error{Kind: k, Op: "get", ID: "x"} }
	provider := func(c bellwether.Class) error {
		return &bellwether.Error{Kind: bellwether.ErrProvider, Op: "get", Err: &bellwether.ProviderError{Provider: "p", Class: c}}
	}
	for _, test := range []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, exitOK},
		{"any", errors.New("any"), exitOther},
		{"usage", &usageError{what: "what"}, exitUsage},
		{"invalid", kind(bellwether.ErrInvalid), exitUsage},
		{"ambiguous", kind(bellwether.ErrAmbiguous), exitUsage},
		{"not found", kind(bellwether.ErrNotFound), exitNotFound},
		{"sign in", kind(bellwether.ErrReauthRequired), exitSignIn},
		{"store away", kind(bellwether.ErrUnavailable), exitUnavailable},
		{"no answer", kind(bellwether.ErrProvider), exitUnavailable},
		{"provider away", provider(bellwether.ClassTransport), exitUnavailable},
		{"provider unclear", provider(bellwether.ClassUnknown), exitUnavailable},
		{"provider refuses", provider(bellwether.ClassRefused), exitSignIn},
		{"provider throttles", provider(bellwether.ClassThrottled), exitThrottled},
		{"wrong client", provider(bellwether.ClassConfig), exitOther},
		{"throttled", kind(bellwether.ErrThrottled), exitThrottled},
		{"rejected", kind(bellwether.ErrRejected), exitThrottled},
		{"recovering", kind(bellwether.ErrRecovering), exitThrottled},
		{"conflict", kind(bellwether.ErrConflict), exitOther},
		{"unreadable", kind(bellwether.ErrUnreadable), exitOther},
		{"misconfigured", kind(bellwether.ErrMisconfigured), exitOther},
		{"unknown provider", kind(bellwether.ErrUnknownProvider), exitOther},
		{"revoking", kind(bellwether.ErrRevoking), exitOther},
		{"closed", kind(bellwether.ErrClosed), exitOther},
		{"short life", kind(bellwether.ErrMinTTL), exitOther},
		{"interrupted", &bellwether.Error{Op: "get", Err: context.Canceled}, exitOther},
		{"wrapped", fmt.Errorf("around: %w", kind(bellwether.ErrNotFound)), exitNotFound},
		{"joined: the first decides", errors.Join(nil, errors.Join(kind(bellwether.ErrNotFound)), kind(bellwether.ErrUnavailable)), exitNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if got := exitCode(test.err, &out); got != test.want {
				t.Errorf("exitCode(%v) = %d, want %d", test.err, got, test.want)
			}
			if (out.Len() == 0) != (test.err == nil) {
				t.Errorf("printed %q", out.String())
			}
		})
	}
}

func TestExplain(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	zone := now.Format("MST")
	inner := &bellwether.ProviderError{Provider: "zoho", Class: bellwether.ClassThrottled, Code: "Access Denied", Status: 200, Hint: "inner hint"}
	for _, test := range []struct {
		name       string
		err        error
		what, hint string
	}{
		{"plain", errors.New("plain"), "plain", ""},
		{"usage", &usageError{"what", "hint"}, "what", "hint"},
		{"until, and the hint of the cause",
			&bellwether.Error{Kind: bellwether.ErrThrottled, Op: "get", ID: "x", Until: now.Add(90 * time.Second), Err: inner},
			`get x: throttled: zoho: throttled "Access Denied" (HTTP 200); not before 2026-03-01 12:01:30 ` + zone + " (in 1m)", "inner hint"},
		{"the outer hint wins",
			&bellwether.Error{Kind: bellwether.ErrProvider, Op: "get", ID: "x", Hint: "outer", Err: inner},
			`get x: provider failed: zoho: throttled "Access Denied" (HTTP 200)`, "outer"},
		{"reason", &bellwether.Error{Kind: bellwether.ErrReauthRequired, Op: "get", ID: "x", Reason: bellwether.ReasonRotationLost},
			"get x: sign-in required (rotation_lost)", ""},
		{"nothing is said twice",
			&bellwether.Error{Kind: bellwether.ErrUnreadable, Op: "list", Detail: "one", Err: &bellwether.Error{Kind: bellwether.ErrUnreadable, ID: "x",
				Err: &bellwether.Error{Kind: bellwether.ErrUnreadable, Op: "open", ID: "x", Detail: "two", Hint: "innermost"}}},
			"list: stored token is unreadable: one: x: two", "innermost"},
		{"what a terminal would obey",
			&bellwether.Error{Kind: bellwether.ErrNotFound, Op: "find", ID: "a\x1b[31m", Detail: "b\r\nc\u009bd"},
			`find "a\x1b[31m": token not found: b  c d`, ""},
		{"interrupted", &bellwether.Error{Op: "get", ID: "x", Err: context.Canceled}, "interrupted", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			what, hint := explain(test.err, now)
			if what != test.what || hint != test.hint {
				t.Errorf("explain = %q, %q\nwant %q, %q", what, hint, test.what, test.hint)
			}
		})
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1s", 400 * time.Millisecond: "1s", 59 * time.Second: "59s", 90 * time.Second: "1m",
		59*time.Minute + 59*time.Second: "59m", 61 * time.Minute: "1h01m", 47 * time.Hour: "47h00m", 80 * time.Hour: "3d",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestVersionNamesTheBuild(t *testing.T) {
	b := build{Version: "v1.2.3", Revision: "abc", Time: "2026-01-02T03:04:05Z", Modified: true, Go: "go1.26", Platform: "linux/amd64"}
	if got, want := b.String(), "bellwether v1.2.3 revision abc 2026-01-02T03:04:05Z modified go1.26 linux/amd64"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := readBuild(); got.Go == "" || !strings.Contains(got.Platform, "/") || got.Version == "" {
		t.Errorf("readBuild() = %+v", got)
	}
}

func TestProgressTellsOnce(t *testing.T) {
	var out bytes.Buffer
	observe := progress(&out)
	for range 2 {
		observe(refresh.Report{Event: refresh.EventWaiting})
		observe(refresh.Report{Event: refresh.EventCommitRetried})
	}
	observe(refresh.Report{Event: refresh.EventRecovering, Until: time.Now().Add(30 * time.Second)})
	for _, want := range []string{"another process refreshes", "(in 30s)", "Redis does not take it"} {
		if n := strings.Count(out.String(), want); n != 1 {
			t.Errorf("%q stands %d times in %q, want once", want, n, out.String())
		}
	}
}
