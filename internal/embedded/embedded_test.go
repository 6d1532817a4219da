package embedded

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

func start(t *testing.T) *Server {
	t.Helper()
	s, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T, url string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestStartAsksForItsPassword(t *testing.T) {
	s := start(t)
	if err := client(t, s.URL()).Ping(t.Context()).Err(); err != nil {
		t.Errorf("with the password: %v", err)
	}
	if !strings.Contains(s.URL(), "@127.0.0.1:") {
		t.Errorf("the server listens on %s", s.mini.Addr())
	}
	stranger := client(t, "redis://"+s.mini.Addr())
	if err := stranger.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("without it: got %v, want NOAUTH", err)
	}
}

// TestKeysExpire would wait for ever on a miniredis whose TTLs nobody moves.
func TestKeysExpire(t *testing.T) {
	c := client(t, start(t).URL())
	if err := c.Set(t.Context(), "short", "v", 50*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(t.Context(), "long", "v", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); c.Exists(t.Context(), "short").Val() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the key is still there")
		}
	}
	if left := c.TTL(t.Context(), "long").Val(); left < 59*time.Minute {
		t.Errorf("the TTL of another key is %v", left)
	}
}

func TestStep(t *testing.T) {
	for _, tc := range []struct{ cost, want time.Duration }{
		{0, leastStep},
		{100 * time.Microsecond, leastStep},
		{3 * time.Millisecond, 150 * time.Millisecond},
		{45 * time.Millisecond, 2250 * time.Millisecond},
		{time.Second, mostStep},
	} {
		if got := step(tc.cost); got != tc.want {
			t.Errorf("moving TTLs takes %v: got a step of %v, want %v", tc.cost, got, tc.want)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	s := start(t)
	s.Close()
	s.Close()
}
