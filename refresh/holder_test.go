package refresh

import (
	"context"
	"crypto/rand"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// crash leaves a row as a process does that dies after begin: intent and lock. It
// returns what that process would have committed under.
func crash(t *testing.T, s *redisstore.Store, tok bellwether.Token, rotation bellwether.Rotation) bellwether.Attempt {
	t.Helper()
	snap, err := s.Peek(t.Context(), tok.ID, "")
	unexpected(t, err)
	nonce := rand.Text()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lease, err := s.Lock(ctx, tok.ID, nonce, 10*second, 10*second)
	unexpected(t, err)
	a := bellwether.Attempt{ID: tok.ID, Nonce: nonce, Expected: snap.Cred, MinGeneration: snap.Generation,
		Kind: bellwether.AttemptMandatory, Budget: 30 * second, Rotation: rotation}
	ans, err := s.Begin(ctx, a)
	unexpected(t, err)
	if ans.Word != bellwether.BeginGo {
		t.Fatalf("begin answered %q", ans.Word)
	}
	// The lock stays until its TTL: the maximum hold is the TTL, so it is not renewed.
	_ = lease
	return a
}

// Not dead but slow: its commit comes while others wait for its time to end. Where
// the event is lost, a slow poll finds it.
func TestLateCommitEndsTheRecovery(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			for _, r := range fl.replicas {
				r.store.setDeaf(deaf)
			}
			a := crash(t, fl.replicas[0].store.Store, tok, bellwether.RotationStrict)
			fresh := fl.srv.Issue("bob").Token
			committed := make(chan error, 1)
			time.AfterFunc(20*second+500*time.Millisecond, func() {
				fresh.IssuedAt, fresh.ExpiresAt = time.Now(), time.Now().Add(time.Hour)
				_, err := fl.replicas[0].store.Store.Commit(context.Background(), bellwether.Commit{Attempt: a, Token: fresh})
				committed <- err
			})
			within := 20*second + 505*time.Millisecond
			if deaf {
				within += second
			}
			if got := one(t, fl, fl.herd(8, tok.ID, Want{}), within); !got.Token.Equal(fresh.AccessToken) {
				t.Error("not the late token")
			}
			unexpected(t, <-committed) // the herd may be told before the writer is
			fl.wantCalls(0)
		})
	}
}

func TestHolderKilledReusable(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{Rotation: bellwether.RotationReusable}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		crash(t, fl.replicas[0].store.Store, tok, bellwether.RotationReusable)
		out := fl.herd(8, tok.ID, Want{})
		one(t, fl, out, 10*second+100*time.Millisecond)
		fl.wantCalls(1)
	})
}

func TestHolderKilledStrict(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		crash(t, fl.replicas[0].store.Store, tok, bellwether.RotationStrict)
		// Too impatient: told at once, with the time.
		time.Sleep(11 * second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*second)
		defer cancel()
		start := time.Now()
		_, err := fl.replicas[1].Get(ctx, tok.ID, Want{})
		e := wantKind(t, err, bellwether.ErrRecovering)
		if took := time.Since(start); took > 5*time.Millisecond {
			t.Errorf("told after %v, want at once", took)
		}
		if d := time.Until(e.Until).Round(second); d != 19*second {
			t.Errorf("until is %v away, want 19s", d)
		}
		// Patient enough: waits and makes the one attempt.
		out := fl.herd(8, tok.ID, Want{})
		one(t, fl, out, 19*second+100*time.Millisecond)
		fl.wantCalls(1)
	})
}

// The holder of the one attempt that is left in doubt dies too: begin condemns the row,
// nobody calls, and the replica that began reports it. Those who come later find it said.
func TestHolderKilledTwiceStrict(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		for range 2 {
			crash(t, fl.replicas[0].store.Store, tok, bellwether.RotationStrict)
			time.Sleep(31 * second)
		}
		_, err := fl.get(tok.ID, Want{})
		for _, err := range append([]error{err}, errs(fl.herd(8, tok.ID, Want{}))...) {
			if e := wantKind(t, err, bellwether.ErrReauthRequired); e.Reason != bellwether.ReasonRotationLost {
				t.Errorf("reason %q", e.Reason)
			}
		}
		fl.wantCalls(0)
		fl.wantSeen(EventReauthRequired, 1)
	})
}

// dialer is a DialContext that a test can stop, and that counts.
type dialer struct {
	srv  *oauthtest.Server
	mu   sync.Mutex
	gate chan struct{}
	n    int
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	d.n++
	gate := d.gate
	d.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return d.srv.DialContext(ctx, network, addr)
}

func (d *dialer) stop() { d.mu.Lock(); defer d.mu.Unlock(); d.gate = make(chan struct{}) }

func (d *dialer) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.gate)
	d.gate = nil
}

func (fl *fleet) dropLock(id string) {
	fl.t.Helper()
	for _, key := range fl.redis.Keys() {
		if len(key) > len(id) && key[len(key)-len(id):] == id && fl.redis.Type(key) == "string" {
			fl.redis.Del(key)
			return
		}
	}
	fl.t.Fatal("no lock to drop")
}

func TestLockLostBeforeSendingAborts(t *testing.T) {
	d := new(dialer)
	inBubble(t, 1, oauthtest.Config{}, func(c *Config) { c.DialContext = d.dial }, func(t *testing.T, fl *fleet) {
		d.srv = fl.srv
		tok, grant := fl.expired("bob")
		d.stop()
		done := make(chan []outcome)
		go func() { done <- fl.herd(4, tok.ID, Want{}) }()
		synctest.Wait()
		if !fl.peek(tok.ID).Intent {
			t.Fatal("no intent while dialing")
		}
		fl.dropLock(tok.ID)
		time.Sleep(4 * second) // the renewal notices
		fl.wantCalls(0)
		fl.wantSeen(EventLockLost, 1)
		d.resume()
		one(t, fl, <-done, 10*second)
		fl.wantCalls(1)
		if !fl.srv.GrantAlive(grant.ID) {
			t.Error("the grant is dead")
		}
	})
}

// A lock lost after sending changes nothing: the answer is read and the fence
// decides.
func TestLockLostAfterSending(t *testing.T) {
	t.Run("nobody took over", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{Latency: 8 * second}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			done := make(chan []outcome)
			go func() { done <- fl.herd(4, tok.ID, Want{}) }()
			synctest.Wait()
			fl.dropLock(tok.ID)
			one(t, fl, <-done, 8*second+5*time.Millisecond)
			fl.wantCalls(1)
		})
	})
	t.Run("another took over", func(t *testing.T) {
		inBubble(t, 2, oauthtest.Config{Rotation: bellwether.RotationReusable}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			hold := fl.srv.HoldNext(true)
			done := make(chan []outcome)
			first := &fleet{t: t, srv: fl.srv, replicas: fl.replicas[:1]}
			go func() { done <- first.herd(4, tok.ID, Want{}) }()
			<-hold.Arrived()
			fl.dropLock(tok.ID)
			second, err := fl.replicas[1].Get(t.Context(), tok.ID, Want{})
			unexpected(t, err)
			hold.Release()
			got := one(t, fl, <-done, time.Minute)
			fl.wantSeen(EventCommitSibling, 1)
			if !got.Token.Equal(second.Token) {
				t.Error("the slower writer won")
			}
		})
	})
}

// Nothing is sent past the deadline, which counts from before begin.
func TestDeadline(t *testing.T) {
	t.Run("while dialing", func(t *testing.T) {
		d := new(dialer)
		inBubble(t, 1, oauthtest.Config{}, func(c *Config) { c.DialContext = d.dial }, func(t *testing.T, fl *fleet) {
			d.srv = fl.srv
			tok, _ := fl.expired("bob")
			d.stop()
			start := time.Now()
			_, err := fl.get(tok.ID, Want{})
			wantKind(t, err, bellwether.ErrProvider)
			if isDeadline(err) {
				t.Errorf("the caller's ctx seems to have ended: %v", err)
			}
			if took := time.Since(start).Round(time.Millisecond); took != 20*second {
				t.Errorf("gave up after %v, want 20s", took)
			}
			fl.wantSeen(EventUnspent, 1)
			if fl.peek(tok.ID).Intent {
				t.Error("the intent stayed")
			}
			d.resume()
		})
	})
	t.Run("in begin", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			slow := func(op string) error {
				if op == "begin" {
					time.Sleep(21 * second)
				}
				return nil
			}
			fl.replicas[0].store.mu.Lock()
			fl.replicas[0].store.after = slow
			fl.replicas[0].store.mu.Unlock()
			if _, err := fl.get(tok.ID, Want{}); err == nil {
				t.Error("a token, though the deadline had passed")
			}
			fl.wantCalls(0)
		})
	})
	t.Run("while answering", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{Latency: 25 * second}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			start := time.Now()
			_, err := fl.get(tok.ID, Want{})
			wantKind(t, err, bellwether.ErrProvider)
			if took := time.Since(start).Round(time.Millisecond); took != 20*second {
				t.Errorf("gave up after %v, want 20s", took)
			}
			fl.wantSeen(EventUnknown, 1)
			if !fl.peek(tok.ID).Intent {
				t.Error("no intent of unknown outcome")
			}
		})
	})
}

// What cannot be presented twice goes by a connection of its own; the rest may share
// one.
func TestConnectionPerRotation(t *testing.T) {
	for rotation, want := range map[bellwether.Rotation]int{
		bellwether.RotationReusable: 1, bellwether.RotationUntilSuccessorUsed: 2, bellwether.RotationStrict: 2,
	} {
		d := new(dialer)
		set := func(c *Config) { c.DialContext, c.ForcedInterval = d.dial, -1 }
		inBubble(t, 1, oauthtest.Config{Rotation: rotation}, set, func(t *testing.T, fl *fleet) {
			d.srv = fl.srv
			tok, _ := fl.lively("bob")
			for range 2 {
				_, err := fl.replicas[0].Refresh(t.Context(), tok.ID)
				unexpected(t, err)
			}
			if d.n != want {
				t.Errorf("%s: %d connections for 2 calls, want %d", rotation, d.n, want)
			}
		})
	}
}
