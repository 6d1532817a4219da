package refresh

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

const second = time.Second

// one checks that every caller got the same fresh token, all within.
func one(t *testing.T, fl *fleet, out []outcome, within time.Duration) Access {
	t.Helper()
	for _, o := range out {
		if o.err != nil {
			t.Fatalf("a caller got %v", o.err)
		}
		if !o.access.Token.Equal(out[0].access.Token) {
			t.Fatalf("callers got %d different tokens", len(tally(out)))
		}
		if o.took > within {
			t.Fatalf("a caller waited %v, want at most %v", o.took, within)
		}
	}
	if !fl.srv.Accepts(out[0].access.Token) {
		t.Error("the provider does not know the token")
	}
	return out[0].access
}

func TestHerdMakesOneCall(t *testing.T) {
	for _, rotation := range []bellwether.Rotation{bellwether.RotationStrict, bellwether.RotationReusable} {
		t.Run(string(rotation), func(t *testing.T) {
			inBubble(t, 3, oauthtest.Config{Rotation: rotation, Latency: second}, nil, func(t *testing.T, fl *fleet) {
				tok, grant := fl.expired("bob")
				out := fl.herd(64, tok.ID, Want{})
				// Pushed: no one waits for a poll or for the lock.
				one(t, fl, out, second+5*time.Millisecond)
				fl.wantCalls(1)
				fl.wantSeen(EventRefreshed, 1)
				fl.wantSeen(EventAdopted, 2)
				if fl.srv.Replays() != 0 || !fl.srv.GrantAlive(grant.ID) {
					t.Error("the refresh token was replayed")
				}
			})
		})
	}
}

func TestThreeExpiriesThreeCalls(t *testing.T) {
	inBubble(t, 3, oauthtest.Config{Latency: second}, nil, func(t *testing.T, fl *fleet) {
		tok, grant := fl.expired("bob")
		for i := range 3 {
			out := fl.herd(20, tok.ID, Want{})
			one(t, fl, out, second+5*time.Millisecond)
			fl.wantCalls(i + 1)
			time.Sleep(time.Hour + time.Minute)
		}
		if fl.srv.Replays() != 0 || !fl.srv.GrantAlive(grant.ID) {
			t.Error("the refresh token was replayed")
		}
	})
}

// A provider slower than the lock's TTL: the lease is renewed meanwhile.
func TestConvoy(t *testing.T) {
	// The intent alone keeps a second replica from calling a strict provider.
	for _, rotation := range []bellwether.Rotation{bellwether.RotationStrict, bellwether.RotationReusable} {
		t.Run(string(rotation), func(t *testing.T) {
			inBubble(t, 3, oauthtest.Config{Rotation: rotation, Latency: 15 * second}, nil, func(t *testing.T, fl *fleet) {
				tok, _ := fl.expired("bob")
				out := fl.herd(16, tok.ID, Want{})
				one(t, fl, out, 15*second+5*time.Millisecond)
				fl.wantCalls(1)
			})
		})
	}
}

func TestLostPublishCostsOneSlowPoll(t *testing.T) {
	inBubble(t, 3, oauthtest.Config{Latency: 1500 * time.Millisecond}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		for _, r := range fl.replicas {
			r.store.setDeaf(true)
		}
		out := fl.herd(16, tok.ID, Want{})
		one(t, fl, out, 1500*time.Millisecond+second)
		fl.wantCalls(1)
	})
}

func TestCallerThatLeavesTakesNobodyAlong(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{Latency: 2 * second}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		ctx, cancel := context.WithTimeout(t.Context(), second)
		defer cancel()
		first := make(chan error)
		go func() {
			_, err := fl.replicas[0].Get(ctx, tok.ID, Want{})
			first <- err
		}()
		synctest.Wait() // the first caller leads
		start := time.Now()
		done := make(chan outcome)
		go func() {
			a, err := fl.get(tok.ID, Want{})
			done <- outcome{a, err, time.Since(start)}
		}()
		if err := <-first; err == nil || ctx.Err() == nil || !isDeadline(err) {
			t.Errorf("the caller that left got %v", err)
		}
		one(t, fl, []outcome{<-done}, 2*second+5*time.Millisecond)
		fl.wantCalls(1)
	})
}

// Callers of all kinds at once share one call.
func TestAllKindsShareOneCall(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{Latency: second}, nil, func(t *testing.T, fl *fleet) {
		tok, grant := fl.lively("bob")
		time.Sleep(50 * time.Minute) // in the advisory window
		old := fl.mustGet(tok.ID)
		synctest.Wait() // a background attempt is at the provider
		fl.wantCalls(1)
		got := make(chan outcome, 3)
		for _, w := range []Want{{Rejected: old.Token}, {MinTTL: 30 * time.Minute}} {
			go func() {
				a, err := fl.get(tok.ID, w)
				got <- outcome{access: a, err: err}
			}()
		}
		go func() {
			a, err := fl.replicas[0].Refresh(t.Context(), tok.ID)
			got <- outcome{access: a, err: err}
		}()
		fresh := one(t, fl, []outcome{<-got, <-got, <-got}, 0)
		if fresh.Token.Equal(old.Token) {
			t.Error("the old token was served")
		}
		fl.wantCalls(1)
		if !fl.srv.GrantAlive(grant.ID) {
			t.Error("the grant is dead")
		}
	})
}
