package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// Bad days: each gives a typed error with a hint, and loses nothing.

func wantError(t *testing.T, err, kind error) *bellwether.Error {
	t.Helper()
	e, ok := errors.AsType[*bellwether.Error](err)
	if !errors.Is(err, kind) || !ok || e.Hint == "" {
		t.Fatalf("error is %v, want %q with a hint", err, kind)
	}
	return e
}

func TestOpenBadURL(t *testing.T) {
	for _, url := range []string{"", "localhost:6379", "http://127.0.0.1:1", "redis://:sesame@127.0.0.1:port", "redis://:sesame@127.0.0.1:1/0?nonsense=1",
		"redis://:sesame@127.0.0.1:1?addr=x&nonsense=1", "redis://:sesame@127.0.0.1:1?master_name=x&nonsense=1"} {
		_, err := redisstore.Open(t.Context(), url, config(newSealer(t)))
		wantError(t, err, bellwether.ErrInvalid)
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestOpenBadConfig(t *testing.T) {
	_, client := redistest.Mini(t)
	for name, change := range map[string]func(*redisstore.Config){
		"namespace": func(c *redisstore.Config) { c.Namespace = "Über:{1}" },
		"sealer":    func(c *redisstore.Config) { c.Sealer = nil },
		"negative":  func(c *redisstore.Config) { c.Watchdog = -1 },
	} {
		cfg := config(newSealer(t))
		change(&cfg)
		if _, err := redisstore.New(t.Context(), client, cfg); !errors.Is(err, bellwether.ErrInvalid) {
			t.Errorf("%s: New = %v, want ErrInvalid", name, err)
		}
	}
}

func TestOpenNobodyThere(t *testing.T) {
	_, err := redisstore.Open(t.Context(), "redis://127.0.0.1:1", config(newSealer(t)))
	wantError(t, err, bellwether.ErrUnavailable)
}

func TestOpenOtherIndexKey(t *testing.T) {
	_, client := redistest.Mini(t)
	newStore(t, client, newSealer(t))
	_, err := redisstore.New(t.Context(), client, config(newSealer(t)))
	wantError(t, err, bellwether.ErrMisconfigured)
}

func TestOpenPassword(t *testing.T) {
	redistest.Need(t)
	srv := redistest.Single(t, redistest.Config{Password: "sesame"})
	openStore(t, srv.URL(), newSealer(t))
	for _, url := range []string{"redis://" + srv.Addr(), "redis://:wrong-sesame@" + srv.Addr()} {
		_, err := redisstore.Open(t.Context(), url, config(newSealer(t)))
		wantError(t, err, bellwether.ErrMisconfigured)
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestReadOnlyReplica(t *testing.T) {
	redistest.Need(t)
	srv := redistest.Single(t, redistest.Config{})
	s := openStore(t, srv.URL(), newSealer(t))
	tok := save(t, s, newToken("p"))
	a := attempt(t, s, tok.ID)
	admin := srv.Client(t)
	if err := admin.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Begin(t.Context(), a)
	if e := wantError(t, err, bellwether.ErrUnavailable); !strings.Contains(e.Hint, "replica") {
		t.Errorf("hint is %q", e.Hint)
	}
	if err := admin.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	wantWord(t, begin(t, s, a), bellwether.BeginGo)
}

// A provider's answer must land although maxmemory is reached; what would add
// rows or calls is refused.
func TestMaxMemoryReached(t *testing.T) {
	redistest.Need(t)
	srv := redistest.Single(t, redistest.Config{})
	s := openStore(t, srv.URL(), newSealer(t))
	tok, other := save(t, s, newToken("p")), save(t, s, newToken("p"))
	a, b := attempt(t, s, tok.ID), attempt(t, s, other.ID)
	ans := begin(t, s, a)
	admin := srv.Client(t)
	if err := admin.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Save(t.Context(), newToken("p"))
	wantError(t, err, bellwether.ErrUnavailable)
	_, err = s.Begin(t.Context(), b)
	wantError(t, err, bellwether.ErrUnavailable)
	if got := commit(t, s, a, ans.Token); got.Word != bellwether.CommitOK {
		t.Errorf("commit answered %q, want ok", got.Word)
	}
	if err := admin.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	wantWord(t, begin(t, s, b), bellwether.BeginGo)
}

func TestEvictionIsWarnedOf(t *testing.T) {
	redistest.Need(t)
	srv := redistest.Single(t, redistest.Config{Directives: []string{"maxmemory-policy allkeys-lru"}})
	var log bytes.Buffer
	cfg := config(newSealer(t))
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s, err := redisstore.Open(t.Context(), srv.URL(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.Contains(log.String(), "allkeys-lru") {
		t.Errorf("no warning: %s", log.String())
	}
}

func TestTruncatedRow(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		for _, field := range []string{"sec", "st"} {
			tok := save(t, s, newToken("p"))
			if err := s.RawClient().HDel(t.Context(), s.RowKey(tok.ID), field).Err(); err != nil {
				t.Fatal(err)
			}
			_, err := s.FindByID(t.Context(), tok.ID)
			wantError(t, err, bellwether.ErrUnreadable)
		}
		tok := save(t, s, newToken("p"))
		at := rawField(t, s, tok.ID, "at")
		setField(t, s, tok.ID, "at", at[:len(at)/2])
		_, err := s.Peek(t.Context(), tok.ID, "")
		wantError(t, err, bellwether.ErrUnreadable)
	})
}

// A half-open subscription gives no error of its own. The watchdog must find it.
func TestHalfOpenSubscriptionIsNoticed(t *testing.T) {
	redistest.Need(t)
	srv := redistest.Single(t, redistest.Config{})
	proxy := srv.Proxy(t)
	cfg := config(newSealer(t))
	cfg.Watchdog = 100 * time.Millisecond
	s, err := redisstore.Open(t.Context(), "redis://"+proxy.Addr(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	resync := make(chan struct{}, 100)
	defer s.Subscribe(func(e bellwether.Event) {
		if e.Kind == bellwether.EventResync {
			resync <- struct{}{}
		}
	})()
	wait := func(what string) {
		t.Helper()
		select {
		case <-resync:
		case <-time.After(20 * time.Second):
			t.Fatalf("no resync %s", what)
		}
	}
	wait("at the first subscription")
	before := proxy.Count("HELLO")
	proxy.Silence(redistest.Replies)
	// The store must give the silent connection up by itself and try another.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for proxy.Count("HELLO") == before {
		if ctx.Err() != nil {
			t.Fatal("the silent connection was never given up")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := proxy.Resume(); err != nil {
		t.Fatal(err)
	}
	wait("after the silence")
}

func TestCutSubscriptionResyncs(t *testing.T) {
	redistest.Need(t)
	srv := redistest.Single(t, redistest.Config{})
	proxy := srv.Proxy(t)
	s := openStore(t, "redis://"+proxy.Addr(), newSealer(t))
	resync := make(chan struct{}, 100)
	defer s.Subscribe(func(e bellwether.Event) {
		if e.Kind == bellwether.EventResync {
			resync <- struct{}{}
		}
	})()
	for range 2 {
		select {
		case <-resync:
		case <-time.After(20 * time.Second):
			t.Fatal("no resync")
		}
		proxy.Cut()
	}
}

func TestCancelledCallerIsNotAnOutage(t *testing.T) {
	m, client := redistest.Mini(t)
	s := newStore(t, client, newSealer(t))
	_ = m
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Peek(ctx, "x", "")
	if !errors.Is(err, context.Canceled) || errors.Is(err, bellwether.ErrUnavailable) {
		t.Errorf("Peek = %v, want context.Canceled alone", err)
	}
}
