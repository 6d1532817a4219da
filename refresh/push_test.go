package refresh

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// The outcome of an attempt is pushed to those who wait for it. The provider answers
// half-way between two slow polls, so that a poll cannot pass for a push.

func TestOutcomeIsPushed(t *testing.T) {
	const latency = 1500 * time.Millisecond
	t.Run("success", func(t *testing.T) {
		inBubble(t, 3, oauthtest.Config{Latency: latency}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			one(t, fl, fl.herd(16, tok.ID, Want{}), latency+5*time.Millisecond)
			fl.wantCalls(1)
		})
	})
	t.Run("failure", func(t *testing.T) {
		srv := oauthtest.Config{Latency: latency, Rotation: bellwether.RotationReusable}
		inBubble(t, 3, srv, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			fl.srv.Inject(oauthtest.Throttle(40 * second))
			for _, o := range fl.herd(16, tok.ID, Want{}) {
				wantKind(t, o.err, bellwether.ErrThrottled)
				if o.took > latency+5*time.Millisecond {
					t.Fatalf("a caller waited %v for the failure, want %v", o.took, latency)
				}
			}
			fl.wantCalls(1)
		})
	})
}

// The caller that started a wait for another replica leaves; those who joined it get
// what they came for.
func TestWaitOutlivesItsFirstCaller(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{Latency: 2500 * time.Millisecond}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		holder := make(chan error)
		go func() {
			_, err := fl.replicas[1].Get(t.Context(), tok.ID, Want{})
			holder <- err
		}()
		synctest.Wait() // the other replica is at the provider
		ctx, cancel := context.WithTimeout(t.Context(), second)
		defer cancel()
		first := make(chan error)
		go func() {
			_, err := fl.replicas[0].Get(ctx, tok.ID, Want{})
			first <- err
		}()
		synctest.Wait() // it waits for the lock
		start := time.Now()
		access, err := fl.get(tok.ID, Want{})
		one(t, fl, []outcome{{access, err, time.Since(start)}}, 2500*time.Millisecond+5*time.Millisecond)
		if err := <-first; !isDeadline(err) {
			t.Errorf("the caller that left got %v", err)
		}
		unexpected(t, <-holder)
		fl.wantCalls(1)
	})
}

// What a herd asks of the store does not grow with the callers.
func TestHerdAsksTheStoreOncePerReplica(t *testing.T) {
	asked := func(callers int) (total int) {
		srv := oauthtest.Config{Latency: 1500 * time.Millisecond}
		inBubble(t, 3, srv, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			one(t, fl, fl.herd(callers, tok.ID, Want{}), 1500*time.Millisecond+5*time.Millisecond)
			for _, r := range fl.replicas {
				total += r.store.total()
			}
		})
		return total
	}
	few, many := asked(2), asked(200)
	if many > few+6 { // how the replicas meet at the lock differs a little
		t.Errorf("2 callers a replica take %d store operations, 200 take %d", few, many)
	}
}
