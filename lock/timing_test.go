package lock_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/lock"
)

// When each thing happens, to the millisecond of a bubble's clock.

func TestTrustEndsBeforeTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := miniGround(t)
		start := time.Now()
		l, _ := g.obtain(t)
		time.Sleep(4 * time.Second) // one renewal, at TTL/3
		g.wire.Silence(redistest.Requests)
		wantCause(t, l, lock.ErrLost)
		renewed := g.opt.TTL / 3
		if got, want := time.Since(start), renewed+g.opt.TTL-g.opt.Margin; got != want {
			t.Errorf("trust ended after %v, want %v", got, want)
		}
		if got := g.direct.PTTL(t.Context(), key).Val(); got < g.opt.Margin-2*time.Millisecond || got > g.opt.Margin {
			t.Errorf("the key lives %v longer, want the margin %v", got, g.opt.Margin)
		}
	})
}

// Trust counts from before the request, however long its answer takes.
func TestTrustCountsFromTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := miniGround(t)
		g.client.Options().ReadTimeout = time.Minute
		g.warm(t)
		g.wire.Silence(redistest.Replies)
		const slow = 5 * time.Second
		time.AfterFunc(slow, func() { _ = g.wire.Resume() })
		start := time.Now()
		g.opt.MaxHold = g.opt.TTL // no renewal
		l, _ := g.obtain(t)
		if got := time.Since(start); got != slow {
			t.Fatalf("obtained after %v, want %v", got, slow)
		}
		ended(t, l)
		if got, want := time.Since(start), g.opt.TTL-g.opt.Margin; got != want {
			t.Errorf("trust ended after %v, want %v", got, want)
		}
	})
}

// The same for a renewal.
func TestRenewedTrustCountsFromTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := miniGround(t)
		g.opt.Timeout = 4 * time.Second
		g.client.Options().ReadTimeout = time.Minute
		start := time.Now()
		l, _ := g.obtain(t)
		g.wire.Silence(redistest.Replies)
		time.Sleep(g.opt.TTL/3 + 3*time.Second) // the renewal is executed, unheard for 3 s
		if err := g.wire.Resume(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.wire.Refuse()
		wantCause(t, l, lock.ErrLost)
		if got, want := time.Since(start), g.opt.TTL/3+g.opt.TTL-g.opt.Margin; got != want {
			t.Errorf("trust ended after %v, want %v", got, want)
		}
	})
}

// A lock that was taken away is noticed by the next renewal, not by the clock.
func TestLossIsNoticedByRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := miniGround(t)
		start := time.Now()
		l, _ := g.obtain(t)
		g.direct.Del(t.Context(), key)
		wantCause(t, l, lock.ErrLost)
		if got, want := time.Since(start), g.opt.TTL/3; got != want {
			t.Errorf("noticed after %v, want %v", got, want)
		}
	})
}

// An answer that comes when the lease would have ended gives none.
func TestAnswerTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := miniGround(t)
		o := *g.client.Options()
		o.ReadTimeout, o.ContextTimeoutEnabled = time.Minute, false // deaf to deadlines
		g.client = newClient(t, &o)
		g.warm(t)
		g.wire.Silence(redistest.Replies)
		time.AfterFunc(g.opt.TTL-g.opt.Margin, func() { _ = g.wire.Resume() })
		l, err := lock.Obtain(t.Context(), g.client, key, rand.Text(), g.opt)
		if !errors.Is(err, lock.ErrLost) || l != nil {
			t.Errorf("got %v, %v; want ErrLost", l, err)
		}
		if got := g.owner(t); got != "" {
			t.Errorf("owner %q, want none", got)
		}
	})
}

func TestMaxHoldBoundsTheKey(t *testing.T) {
	for _, hold := range []time.Duration{
		5 * time.Second, 10 * time.Second, 12 * time.Second, 13333 * time.Millisecond, time.Minute, time.Minute + time.Microsecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			g := miniGround(t)
			g.opt.MaxHold = hold
			start := time.Now()
			l, _ := g.obtain(t)
			if got := ended(t, l); !errors.Is(got, lock.ErrMaxHold) {
				t.Errorf("hold %v: cause %v, want ErrMaxHold", hold, got)
			}
			margin, unit := g.opt.Margin, time.Millisecond
			if got, want := time.Since(start), hold-margin; got > want || got < want-unit {
				t.Errorf("hold %v: trust ended after %v, want %v", hold, got, want)
			}
			time.Sleep(margin + 2*unit)
			if got := g.owner(t); got != "" {
				t.Errorf("hold %v: the key outlives it", hold)
			}
		})
	}
}

// Renewals come every TTL/3: not fewer, and not more than that costs.
func TestRenewalCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := miniGround(t)
		g.warm(t)
		before := g.wire.Count("evalsha")
		l, _ := g.obtain(t)
		wantCause(t, l, lock.ErrMaxHold)
		// Obtain, and every 3.3 s until a renewal, at 53.3 s, reaches the hold's end.
		if got, want := g.wire.Count("evalsha")-before, 1+16; got != want {
			t.Errorf("%d commands in a minute, want %d", got, want)
		}
	})
}

// A Redis that comes back in time has cost nothing.
func TestShortOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := miniGround(t)
		l, nonce := g.obtain(t)
		g.wire.Refuse()
		time.Sleep(g.opt.TTL - g.opt.Margin - g.opt.TTL/10)
		if err := g.wire.Resume(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * g.opt.TTL)
		if err := l.Context().Err(); err != nil {
			t.Errorf("lost: %v", context.Cause(l.Context()))
		}
		if got := g.owner(t); got != nonce {
			t.Errorf("owner %q, want %q", got, nonce)
		}
	})
}

// A silent server delays Obtain and Release by their time limits, and no more.
func TestSilentServerBoundsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := miniGround(t)
		g.client.Options().ReadTimeout = time.Hour
		g.opt.Timeout = 700 * time.Millisecond
		l, _ := g.obtain(t)
		g.wire.Silence(redistest.Both)

		start := time.Now()
		if err := l.Release(t.Context()); !isTimeout(err) {
			t.Errorf("release: %v, want a timeout", err)
		}
		if got := time.Since(start); got != g.opt.Timeout {
			t.Errorf("release took %v, want %v", got, g.opt.Timeout)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := lock.Obtain(ctx, g.client, key, rand.Text(), g.opt); err == nil {
			t.Error("obtained from a silent server")
		}
		if got, want := time.Since(start), time.Second+g.opt.Timeout; got != want {
			t.Errorf("obtain took %v, want %v", got, want)
		}
	})
}

// A renewal that hears nothing is given up and tried again, on another
// connection: the first may be half-open.
func TestRenewalGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := miniGround(t)
		g.client.Options().ReadTimeout = time.Hour
		l, _ := g.obtain(t)
		before := g.wire.Count("hello")
		g.wire.Silence(redistest.Replies)
		time.Sleep(g.opt.TTL - g.opt.Margin - time.Millisecond)
		if got := g.wire.Count("hello") - before; got < 2 {
			t.Errorf("%d new connections while silent, want at least 2", got)
		}
		if err := l.Context().Err(); err != nil {
			t.Errorf("ended before its time: %v", err)
		}
	})
}

// Without a deadline of the caller's, Obtain gives up when a lease would have
// ended.
func TestObtainHasItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := miniGround(t)
		g.opt.Timeout = 700 * time.Millisecond
		g.client.Options().ReadTimeout = time.Hour
		g.wire.Silence(redistest.Both)
		start := time.Now()
		if _, err := lock.Obtain(t.Context(), g.client, key, rand.Text(), g.opt); err == nil {
			t.Error("obtained from a silent server")
		}
		if got, want := time.Since(start), g.opt.TTL-g.opt.Margin+g.opt.Timeout; got != want {
			t.Errorf("obtain took %v, want %v", got, want)
		}
	})
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name string
		opt  lock.Options
	}{
		{"TTL below the least", lock.Options{TTL: 9 * time.Millisecond}},
		{"negative TTL", lock.Options{TTL: -time.Second}},
		{"MaxHold below the least TTL", lock.Options{MaxHold: time.Millisecond}},
		{"margin as long as the TTL", lock.Options{TTL: time.Second, Margin: time.Second}},
		{"negative timeout", lock.Options{Timeout: -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, c := redistest.Mini(t)
			if _, err := lock.Obtain(t.Context(), c, key, rand.Text(), tt.opt); !errors.Is(err, bellwether.ErrInvalid) {
				t.Errorf("error %v, want ErrInvalid", err)
			}
			if m.Exists(key) {
				t.Error("the key was set")
			}
		})
	}
	_, c := redistest.Mini(t)
	if _, err := lock.Obtain(t.Context(), c, "", rand.Text(), lock.Options{}); !errors.Is(err, bellwether.ErrInvalid) {
		t.Errorf("empty key: %v, want ErrInvalid", err)
	}
}
