package bench

import (
	"testing"
	"time"
)

// TestLeave: a baseline makes its call in the caller's name, and calls again when that
// caller has left.
func TestLeave(t *testing.T) {
	runs := runSmall(t, "leave", Settings{Replicas: 2, Callers: 5, Rounds: 1, Latency: 200 * time.Millisecond},
		SourceBellwether, SourceRedislockLinear)
	if got := most(t, runs, SourceRedislockLinear, "provider_calls"); got < 2 {
		t.Errorf("%v calls by callers who leave", got)
	}
}

// TestSignIn: a baseline writes what its call brought over the new sign-in.
func TestSignIn(t *testing.T) {
	runs := runSmall(t, "signin", Settings{Replicas: 2, Callers: 5, Rounds: 1}, SourceBellwether, SourceRedislockLinear)
	if got := most(t, runs, SourceRedislockLinear, "sign_ins_lost"); got != 1 {
		t.Errorf("%v sign-ins lost without a fence", got)
	}
}
