package lock_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/lock"
)

const key = "bw1:t:{0001}:l:id"

var _ lock.Client = redis.UniversalClient(nil)

// A ground is where a case runs: miniredis on a bubble's clock, or a server.
type ground struct {
	wire   *redistest.Proxy
	client *redis.Client // through the wire, without retries
	direct *redis.Client
	opt    lock.Options
}

// onEach runs a case on both grounds.
func onEach(t *testing.T, test func(t *testing.T, g *ground)) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, miniGround(t)) })
	})
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		srv := redistest.Single(t, redistest.Config{})
		wire := srv.Proxy(t)
		o := srv.Options()
		o.Addr, o.MaxRetries = wire.Addr(), -1
		// A loaded machine may stall for a second. So long pass between the failure of the
		// first renewal, at TTL/3 and a timeout of 1 s, and the end of trust; and between
		// that and the end of the key.
		opt := lock.Options{TTL: 6 * time.Second, Margin: 1500 * time.Millisecond}
		test(t, &ground{wire, newClient(t, o), srv.Client(t), opt})
	})
}

func miniGround(t *testing.T) *ground {
	m, direct := redistest.Mini(t)
	wire := redistest.NewProxy(t, m.Dial)
	o := redistest.DialOptions(wire.Dial)
	o.MaxRetries = -1
	return &ground{wire, newClient(t, o), direct, lock.Options{TTL: 10 * time.Second, Margin: time.Second}}
}

func newClient(t *testing.T, o *redis.Options) *redis.Client {
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// obtain takes the lock with a new nonce, or ends the test.
func (g *ground) obtain(t *testing.T) (*lock.Lease, string) {
	t.Helper()
	nonce := rand.Text()
	l, err := lock.Obtain(t.Context(), g.client, key, nonce, g.opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Release(context.Background()) })
	return l, nonce
}

// owner returns the nonce in the lock, blank when it is free.
func (g *ground) owner(t *testing.T) string {
	t.Helper()
	v, err := g.direct.Get(t.Context(), key).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	return v
}

// ended waits for the end of a lease and returns the cause.
func ended(t *testing.T, l *lock.Lease) error {
	t.Helper()
	select {
	case <-l.Context().Done():
		return context.Cause(l.Context())
	case <-time.After(time.Minute):
		t.Fatal("the lease has not ended")
		return nil
	}
}

func wantCause(t *testing.T, l *lock.Lease, want error) {
	t.Helper()
	if got := ended(t, l); !errors.Is(got, want) {
		t.Errorf("cause %v, want %v", got, want)
	}
}

func TestMutualExclusion(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		first, nonce := g.obtain(t)
		if got := g.owner(t); got != nonce {
			t.Errorf("the key holds %q, want the bare nonce %q", got, nonce)
		}
		_, err := lock.Obtain(t.Context(), g.client, key, rand.Text(), g.opt)
		held, ok := errors.AsType[*bellwether.LockedError](err)
		if !ok {
			t.Fatalf("second holder: %v, want a LockedError", err)
		}
		if held.Remaining <= 0 || held.Remaining > g.opt.TTL {
			t.Errorf("remaining %v, want up to %v", held.Remaining, g.opt.TTL)
		}
		if err := first.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		second, nonce := g.obtain(t)
		if got := g.owner(t); got != nonce {
			t.Errorf("owner %q, want the second holder %q", got, nonce)
		}
		if err := second.Context().Err(); err != nil {
			t.Errorf("a fresh lease has ended: %v", err)
		}
	})
}

// One of many contenders wins each round.
func TestHerd(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		const herd = 32
		for range 3 {
			var won atomic.Int32
			leases := make(chan *lock.Lease, herd)
			for range herd {
				go func() {
					l, err := lock.Obtain(t.Context(), g.client, key, rand.Text(), g.opt)
					switch _, isHeld := errors.AsType[*bellwether.LockedError](err); {
					case err == nil:
						won.Add(1)
					case !isHeld:
						t.Errorf("loser: %v", err)
					}
					leases <- l
				}()
			}
			for range herd {
				if l := <-leases; l != nil {
					defer l.Release(context.Background())
				}
			}
			if n := won.Load(); n != 1 {
				t.Fatalf("%d holders, want 1", n)
			}
			g.direct.Del(t.Context(), key)
		}
	})
}

func TestRenewalBeyondTTL(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		l, nonce := g.obtain(t)
		select {
		case <-l.Context().Done():
			t.Fatalf("lost: %v", context.Cause(l.Context()))
		case <-time.After(g.opt.TTL + g.opt.TTL/2):
		}
		if got := g.owner(t); got != nonce {
			t.Errorf("owner %q beyond the TTL, want %q", got, nonce)
		}
	})
}

// A lost reply of a renewal is made good by the next one.
func TestRenewalSurvivesAnError(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		l, nonce := g.obtain(t)
		g.wire.DropReplies(1, redistest.Scripts)
		select {
		case <-l.Context().Done():
			t.Fatalf("lost: %v", context.Cause(l.Context()))
		case <-time.After(g.opt.TTL + g.opt.TTL/4):
		}
		if got := g.wire.Dropped(); got != 1 {
			t.Errorf("dropped %d replies, want 1", got)
		}
		if got := g.owner(t); got != nonce {
			t.Errorf("owner %q, want %q", got, nonce)
		}
	})
}

func TestLostByDeletion(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		l, _ := g.obtain(t)
		g.direct.Del(t.Context(), key)
		wantCause(t, l, lock.ErrLost)
	})
}

func TestLostToAnother(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		l, _ := g.obtain(t)
		other := rand.Text()
		g.direct.Set(t.Context(), key, other, time.Hour)
		wantCause(t, l, lock.ErrLost)
		if err := l.Release(t.Context()); err != nil {
			t.Errorf("release: %v", err)
		}
		if got := g.owner(t); got != other {
			t.Errorf("owner %q, want %q left alone", got, other)
		}
	})
}

// When the server cannot be reached trust ends while the server still has the key.
func TestLostByServerAway(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		away   func(*redistest.Proxy)
		reason func(error) bool // of the renewals' failure
	}{
		{"refused", (*redistest.Proxy).Refuse, func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		{"silent", func(p *redistest.Proxy) { p.Silence(redistest.Requests) }, isTimeout},
		{"unheard", func(p *redistest.Proxy) { p.Silence(redistest.Replies) }, isTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, g *ground) {
				l, nonce := g.obtain(t)
				tt.away(g.wire)
				cause := ended(t, l)
				if got := g.owner(t); got != nonce {
					t.Errorf("owner %q when trust ended, want %q still", got, nonce)
				}
				if !errors.Is(cause, lock.ErrLost) || !tt.reason(cause) {
					t.Errorf("cause %v, want ErrLost and why", cause)
				}
				if err := g.wire.Resume(); err != nil {
					t.Fatal(err)
				}
				if err := l.Release(t.Context()); err != nil {
					t.Errorf("release: %v", err)
				}
				if got := g.owner(t); got != "" {
					t.Errorf("owner %q after release, want none", got)
				}
			})
		})
	}
}

func TestMaxHold(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		g.opt.MaxHold = g.opt.TTL + g.opt.TTL/4
		l, nonce := g.obtain(t)
		wantCause(t, l, lock.ErrMaxHold)
		if got := g.owner(t); got != nonce {
			t.Errorf("owner %q when trust ended, want %q still", got, nonce)
		}
		// The key ends by itself: no renewal reached beyond the hold.
		for deadline := time.Now().Add(g.opt.TTL); g.owner(t) != ""; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the key outlives the maximum hold")
			}
		}
	})
}

func TestReleaseAfterCancel(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		ctx, cancel := context.WithCancel(t.Context())
		l, err := lock.Obtain(ctx, g.client, key, rand.Text(), g.opt)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := l.Context().Err(); err != nil {
			t.Errorf("the lease ended with Obtain's ctx: %v", err)
		}
		if err := l.Release(ctx); err != nil {
			t.Errorf("release: %v", err)
		}
		if got := g.owner(t); got != "" {
			t.Errorf("owner %q after release, want none", got)
		}
		wantCause(t, l, lock.ErrReleased)
	})
}

// A second release does nothing, not even to the next holder.
func TestReleaseTwice(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		first, _ := g.obtain(t)
		if err := first.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		second, nonce := g.obtain(t)
		before := g.wire.Count("")
		if err := first.Release(t.Context()); err != nil {
			t.Errorf("second release: %v", err)
		}
		if got := g.wire.Count("") - before; got != 0 {
			t.Errorf("the second release sent %d commands", got)
		}
		if got := g.owner(t); got != nonce {
			t.Errorf("owner %q, want %q", got, nonce)
		}
		if err := second.Context().Err(); err != nil {
			t.Errorf("the second lease has ended: %v", err)
		}
	})
}

// A commit deletes the lock in the same script that writes the row.
func TestReleaseAfterCommit(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		l, _ := g.obtain(t)
		g.direct.Del(t.Context(), key)
		if err := l.Release(t.Context()); err != nil {
			t.Errorf("release of a lock that a commit deleted: %v", err)
		}
		wantCause(t, l, lock.ErrReleased)
	})
}

// A release that failed can be repeated.
func TestReleaseAgainAfterError(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		l, _ := g.obtain(t)
		g.wire.Refuse()
		if err := l.Release(t.Context()); err == nil {
			t.Error("released without a server")
		}
		if err := g.wire.Resume(); err != nil {
			t.Fatal(err)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Errorf("second try: %v", err)
		}
		if got := g.owner(t); got != "" {
			t.Errorf("owner %q, want none", got)
		}
	})
}

// redislock lets an owner token that is a prefix of the holder's take the lock.
func TestPrefixOfTheHolder(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		_, nonce := g.obtain(t)
		for _, n := range []int{0, 1, lock.NonceLen - 1} {
			if _, err := lock.Obtain(t.Context(), g.client, key, nonce[:n], g.opt); !errors.Is(err, bellwether.ErrInvalid) {
				t.Errorf("nonce of %d characters: %v, want ErrInvalid", n, err)
			}
		}
		if _, err := lock.Obtain(t.Context(), g.client, key, nonce+"x", g.opt); !errors.Is(err, bellwether.ErrInvalid) {
			t.Errorf("nonce of %d characters: %v, want ErrInvalid", len(nonce)+1, err)
		}
		if got := g.owner(t); got != nonce {
			t.Errorf("owner %q, want %q", got, nonce)
		}
	})
}

func TestObtainReplyLost(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		g.warm(t)
		g.wire.DropReplies(1, redistest.Scripts)
		executed := g.wire.Executed("evalsha")
		l, err := lock.Obtain(t.Context(), g.client, key, rand.Text(), g.opt)
		if !errors.Is(err, io.EOF) || l != nil {
			t.Fatalf("obtained %v, %v; want EOF", l, err)
		}
		if got := g.wire.Executed("evalsha") - executed; got == 0 {
			t.Error("the lock was never taken: the case shows nothing")
		}
		if got := g.owner(t); got != "" {
			t.Errorf("owner %q, want none", got)
		}
	})
}

// The same when the caller gives up: the clean-up is not bound by its ctx.
func TestObtainGivenUp(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		g.warm(t)
		g.wire.Silence(redistest.Replies)
		g.client.AddHook(afterFirst(func() { _ = g.wire.Resume() }))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		executed := g.wire.Executed("evalsha")
		_, err := lock.Obtain(ctx, g.client, key, rand.Text(), g.opt)
		if err == nil || ctx.Err() == nil {
			t.Fatalf("obtained without a reply: %v, %v", err, ctx.Err())
		}
		if got := g.wire.Executed("evalsha") - executed; got == 0 {
			t.Error("the lock was never taken: the case shows nothing")
		}
		if got := g.owner(t); got != "" {
			t.Errorf("owner %q, want none", got)
		}
	})
}

// afterFirst is a hook that calls a function when the first command has ended.
func afterFirst(f func()) redis.Hook { return &firstHook{f: f} }

type firstHook struct {
	once sync.Once
	f    func()
}

func (h *firstHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		h.once.Do(h.f)
		return err
	}
}

func (h *firstHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *firstHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A lost reply while somebody else holds the lock leaves the holder's alone.
func TestObtainReplyLostWhileHeld(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		_, nonce := g.obtain(t)
		g.wire.DropReplies(1, redistest.Scripts)
		if _, err := lock.Obtain(t.Context(), g.client, key, rand.Text(), g.opt); !errors.Is(err, io.EOF) {
			t.Fatalf("error %v, want EOF", err)
		}
		if got := g.owner(t); got != nonce {
			t.Errorf("owner %q, want %q", got, nonce)
		}
	})
}

// With retries a lost reply is no fault at all: the same nonce obtains again.
func TestObtainRetried(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		g.warm(t)
		o := *g.client.Options()
		o.MaxRetries = 3
		g.client = newClient(t, &o)
		g.wire.DropReplies(2, redistest.Scripts)
		l, nonce := g.obtain(t)
		if got := g.wire.Dropped(); got != 2 {
			t.Errorf("dropped %d replies, want 2", got)
		}
		if got := g.owner(t); got != nonce || l.Context().Err() != nil {
			t.Errorf("owner %q, lease %v; want %q, alive", got, l.Context().Err(), nonce)
		}
	})
}

// warm makes the server know the scripts, so that one lost reply is that of a
// script that ran, and not a NOSCRIPT error.
func (g *ground) warm(t *testing.T) {
	t.Helper()
	l, _ := g.obtain(t)
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestServerUnavailable(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		g.wire.Refuse()
		_, err := lock.Obtain(t.Context(), g.client, key, rand.Text(), g.opt)
		if _, isHeld := errors.AsType[*bellwether.LockedError](err); err == nil || isHeld {
			t.Errorf("error %v, want Redis's", err)
		}
	})
}

// What remains is at most what a lease could have left: a foreign key must not
// stop waiters for ever.
func TestRemainingIsBounded(t *testing.T) {
	onEach(t, func(t *testing.T, g *ground) {
		for _, life := range []time.Duration{0, time.Hour} { // 0: for ever
			g.direct.Set(t.Context(), key, "somebody", life)
			_, err := lock.Obtain(t.Context(), g.client, key, rand.Text(), g.opt)
			held, ok := errors.AsType[*bellwether.LockedError](err)
			if !ok || held.Remaining != g.opt.TTL {
				t.Errorf("life %v: got %v (%v), want locked for %v", life, err, held, g.opt.TTL)
			}
		}
	})
}

func TestNoGoroutineLeft(t *testing.T) {
	ends := map[string]func(t *testing.T, g *ground, l *lock.Lease){
		"released": func(t *testing.T, _ *ground, l *lock.Lease) {
			if err := l.Release(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"lost":     func(t *testing.T, g *ground, _ *lock.Lease) { g.direct.Del(t.Context(), key) },
		"max hold": func(*testing.T, *ground, *lock.Lease) {},
		"away":     func(_ *testing.T, g *ground, _ *lock.Lease) { g.wire.Refuse() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := miniGround(t)
				before := leaseGoroutines()
				l, _ := g.obtain(t)
				synctest.Wait()
				if n := leaseGoroutines() - before; n != 1 {
					t.Fatalf("%d goroutines while a lease is held, want 1", n)
				}
				end(t, g, l)
				ended(t, l)
				synctest.Wait()
				if n := leaseGoroutines() - before; n != 0 {
					t.Errorf("%d goroutines left", n)
				}
			})
		})
	}
}

// leaseGoroutines counts the goroutines of package lock.
func leaseGoroutines() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "lock.(*Lease).renew(")
}
