package refresh

import (
	"context"
	"sync"
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

// What a waiting replica asks, however many callers wait in it: the row before it asks for
// the lock, once for the callers and once after it has begun to listen; once whether the
// holder has begun; once when it is told. It asks for the lock once.
func TestWaitingReplicaReadsOncePerEvent(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{Latency: 500 * time.Millisecond}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		holder, waiter := fl.replicas[0], fl.replicas[1]
		holder.store.setBefore(func(op string) error {
			if op == "begin" {
				time.Sleep(leastPause / 2)
			}
			return nil
		})
		go holder.Get(t.Context(), tok.ID, Want{})
		synctest.Wait() // it has the lock and has not begun
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := waiter.Get(t.Context(), tok.ID, Want{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if reads, locks := waiter.store.did("peek"), waiter.store.did("lock"); reads != 4 || locks != 1 {
			t.Errorf("%d reads and %d tries at the lock, want 4 and 1", reads, locks)
		}
		fl.wantCalls(1)
	})
}

// A holder who has not begun may leave without an event: a waiter looks soon.
func TestHolderLeavesBeforeItBegins(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		holder, waiter := fl.replicas[0], fl.replicas[1]
		holder.store.setBefore(func(op string) error {
			if op == "begin" {
				time.Sleep(leastPause / 2)
				return errAway
			}
			return nil
		})
		go holder.Get(t.Context(), tok.ID, Want{})
		synctest.Wait() // it has the lock and has not begun
		start := time.Now()
		_, err := waiter.Get(t.Context(), tok.ID, Want{})
		unexpected(t, err)
		if took := time.Since(start); took >= 2*leastPause {
			t.Errorf("the waiter has taken over after %v", took)
		}
	})
}

// What is left of a lock can be less than the first look takes: a waiter comes at its end.
func TestFirstLookEndsWithTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dial, _ := ended(t)
		const left = leastPause / 5
		begun := time.Now()
		s.lock = func() (bellwether.Lease, error) {
			if rest := left - time.Since(begun); rest > 0 {
				return nil, &bellwether.LockedError{Remaining: rest}
			}
			return newFreeLease(), nil
		}
		r := newRefresher(t, s, Config{DialContext: dial})
		if _, err := r.Get(t.Context(), "row", Want{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != left {
			t.Errorf("taken over after %v, want %v", took, left)
		}
	})
}

// An attempt of unknown outcome leaves its intent. If its event is lost, a waiter who looks
// after its end tries the lock at once.
func TestFirstLookSeesAnEndedAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dial, _ := ended(t)
		row, err := s.peek("")
		if err != nil {
			t.Fatal(err)
		}
		s.peek = func(string) (bellwether.Snapshot, error) {
			if s.count("lock") == 1 {
				row.Intent, row.Failure = true, &bellwether.Failure{Class: bellwether.ClassUnknown, Count: 1, At: time.Now()}
			}
			return row, nil
		}
		var asked []time.Time
		s.lock = func() (bellwether.Lease, error) {
			if asked = append(asked, time.Now()); len(asked) == 1 {
				return nil, &bellwether.LockedError{Remaining: 10 * second}
			}
			return nil, errAway
		}
		r := newRefresher(t, s, Config{DialContext: dial})
		_, err = r.Get(t.Context(), "row", Want{})
		wantKind(t, err, bellwether.ErrUnavailable)
		if len(asked) != 2 || asked[1].Sub(asked[0]) != leastPause {
			t.Errorf("the lock is asked for at %v, want twice, %v apart", asked, leastPause)
		}
	})
}
