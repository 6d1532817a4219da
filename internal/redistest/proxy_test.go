package redistest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether/internal/redistest"
)

// onEach runs a test over TCP on a real server and in memory on miniredis.
// direct bypasses the proxy.
func onEach(t *testing.T, test func(t *testing.T, p *redistest.Proxy, through *redis.Options, direct *redis.Client)) {
	t.Run("redis-server", func(t *testing.T) {
		s := redistest.Single(t, redistest.Config{})
		p := s.Proxy(t)
		o := s.Options()
		o.Addr = p.Addr()
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
		test(t, p, o, s.Client(t))
	})
	t.Run("miniredis", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, direct := redistest.Mini(t)
			p := redistest.NewProxy(t, m.Dial)
			test(t, p, redistest.DialOptions(p.Dial), direct)
		})
	})
}

func newClient(t *testing.T, o *redis.Options) *redis.Client {
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestProxyDropsReplies(t *testing.T) {
	incr := redis.NewScript(`return redis.call('INCR', KEYS[1])`)
	tests := []struct {
		name     string
		retries  int
		drop     int
		executed string
		err      bool
	}{
		{"without retries", -1, 1, "1", true},
		{"default retries", 0, 2, "3", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, p *redistest.Proxy, o *redis.Options, direct *redis.Client) {
				o.MaxRetries = tt.retries
				c := newClient(t, o)
				if err := incr.Load(t.Context(), direct).Err(); err != nil {
					t.Fatal(err)
				}
				p.DropReplies(tt.drop, redistest.Scripts)
				if err := c.Get(t.Context(), "other").Err(); !errors.Is(err, redis.Nil) {
					t.Fatalf("a command that does not match: %v", err)
				}
				err := incr.EvalSha(t.Context(), c, []string{"n"}).Err()
				if (err != nil) != tt.err {
					t.Errorf("error %v, want one: %v", err, tt.err)
				}
				if tt.err && !errors.Is(err, io.EOF) {
					t.Errorf("error %v, want EOF", err)
				}
				if got := direct.Get(t.Context(), "n").Val(); got != tt.executed {
					t.Errorf("executed %s times, want %s", got, tt.executed)
				}
				if got := p.Dropped(); got != tt.drop {
					t.Errorf("dropped %d replies, want %d", got, tt.drop)
				}
				if err := c.Ping(t.Context()).Err(); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}

// A request that is held is executed when the wire comes back, though its client
// has given up.
func TestProxySilentRequests(t *testing.T) {
	onEach(t, func(t *testing.T, p *redistest.Proxy, o *redis.Options, direct *redis.Client) {
		o.MaxRetries = -1
		c := newClient(t, o)
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		p.Silence(redistest.Requests)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := c.Set(ctx, "k", "late", 0).Err(); !isTimeout(err) {
			t.Errorf("error %v, want a timeout", err)
		}
		if n := direct.Exists(t.Context(), "k").Val(); n != 0 {
			t.Error("executed while silent")
		}
		if err := p.Resume(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "late delivery", func() bool {
			return direct.Get(context.Background(), "k").Val() == "late"
		})
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestProxySilentReplies(t *testing.T) {
	onEach(t, func(t *testing.T, p *redistest.Proxy, o *redis.Options, direct *redis.Client) {
		o.MaxRetries = -1
		c := newClient(t, o)
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		p.Silence(redistest.Replies)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := c.Incr(ctx, "n").Err(); !isTimeout(err) {
			t.Errorf("error %v, want a timeout", err)
		}
		if got := direct.Get(t.Context(), "n").Val(); got != "1" {
			t.Errorf("executed %q times, want 1", got)
		}
		if err := p.Resume(); err != nil {
			t.Fatal(err)
		}
		if err := c.Incr(t.Context(), "n").Err(); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if seen, executed := p.Count("incr"), p.Executed("incr"); seen != 2 || executed != 2 {
			t.Errorf("passed on %d, executed %d, want 2 and 2", seen, executed)
		}
	})
}

// A subscription keeps its connection and hears nothing.
func TestProxyHalfOpenSubscription(t *testing.T) {
	onEach(t, func(t *testing.T, p *redistest.Proxy, o *redis.Options, direct *redis.Client) {
		sub := newClient(t, o).Subscribe(t.Context(), "ev")
		defer sub.Close()
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		publish := func(text string) {
			t.Helper()
			if n, err := direct.Publish(t.Context(), "ev", text).Result(); n != 1 || err != nil {
				t.Fatalf("publish: %d receivers, %v", n, err)
			}
		}
		publish("a")
		if msg, err := sub.ReceiveMessage(t.Context()); err != nil || msg.Payload != "a" {
			t.Fatalf("got %v, %v", msg, err)
		}
		p.Silence(redistest.Both)
		publish("b")
		if msg, err := sub.ReceiveTimeout(t.Context(), 50*time.Millisecond); !isTimeout(err) {
			t.Errorf("heard %v, %v through a silent wire", msg, err)
		}
		if err := p.Resume(); err != nil {
			t.Fatal(err)
		}
		if msg, err := sub.ReceiveMessage(t.Context()); err != nil || msg.Payload != "b" {
			t.Errorf("after resume: %v, %v", msg, err)
		}
	})
}

func TestProxyRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, p *redistest.Proxy, o *redis.Options, _ *redis.Client) {
		o.MaxRetries = -1
		c := newClient(t, o)
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		p.Refuse()
		if err := c.Ping(t.Context()).Err(); err == nil {
			t.Error("served while refusing")
		}
		if err := c.Ping(t.Context()).Err(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("error %v, want connection refused", err)
		}
		if err := p.Resume(); err != nil {
			t.Fatal(err)
		}
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Errorf("after resume: %v", err)
		}
	})
}

// Replies before the dropped one arrive, nothing after it does.
func TestProxyDropsInAPipeline(t *testing.T) {
	onEach(t, func(t *testing.T, p *redistest.Proxy, o *redis.Options, direct *redis.Client) {
		conn, err := o.Dialer(t.Context(), "tcp", o.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		p.DropReplies(1, func(cmd []string) bool { return cmd[0] == "INCR" })
		const pipeline = "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$4\r\nPING\r\n"
		if _, err := conn.Write([]byte(pipeline)); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if want := "+PONG\r\n"; string(got) != want || err != nil {
			t.Errorf("read %q, %v; want %q and the end", got, err, want)
		}
		if got := direct.Get(t.Context(), "n").Val(); got != "1" {
			t.Errorf("executed %q times, want 1", got)
		}
	})
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// eventually polls ok; the limit is generous because it only bounds a failure.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: did not happen", what)
		}
	}
}
