package redisstore_test

import (
	"log/slog"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// eachServer runs f on an empty store over each kind of single server.
func eachServer(t *testing.T, f func(t *testing.T, s *redisstore.Store)) {
	t.Run("miniredis", func(t *testing.T) {
		_, client := redistest.Mini(t)
		f(t, newStore(t, client, newSealer(t)))
	})
	t.Run("redis", func(t *testing.T) {
		redistest.Need(t)
		f(t, openStore(t, redistest.Single(t, redistest.Config{}).URL(), newSealer(t)))
	})
}

func newSealer(t testing.TB) bellwether.Sealer {
	t.Helper()
	keys, err := seal.New()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func config(sealer bellwether.Sealer) redisstore.Config {
	return redisstore.Config{Namespace: "test", Sealer: sealer, Logger: slog.New(slog.DiscardHandler)}
}

func newStore(t testing.TB, client redis.UniversalClient, sealer bellwether.Sealer) *redisstore.Store {
	t.Helper()
	s, err := redisstore.New(t.Context(), client, config(sealer))
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openStore(t testing.TB, url string, sealer bellwether.Sealer) *redisstore.Store {
	t.Helper()
	s, err := redisstore.Open(t.Context(), url, config(sealer))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// freeLock ends the lock of an attempt, as its TTL would.
func freeLock(t *testing.T, s *redisstore.Store, id, nonce string) {
	t.Helper()
	if got := s.RawClient().Get(t.Context(), s.LockKey(id)).Val(); got != nonce {
		t.Fatalf("lock is held by %q, want %q", got, nonce)
	}
	forceUnlock(t, s, id)
}

func forceUnlock(t *testing.T, s *redisstore.Store, id string) {
	t.Helper()
	if err := s.RawClient().Del(t.Context(), s.LockKey(id)).Err(); err != nil {
		t.Fatal(err)
	}
}

func rawField(t *testing.T, s *redisstore.Store, id, field string) string {
	t.Helper()
	v, err := s.RawClient().HGet(t.Context(), s.RowKey(id), field).Result()
	if err != nil {
		t.Fatalf("HGET %s: %v", field, err)
	}
	return v
}

func setField(t *testing.T, s *redisstore.Store, id, field, value string) {
	t.Helper()
	if err := s.RawClient().HSet(t.Context(), s.RowKey(id), field, value).Err(); err != nil {
		t.Fatal(err)
	}
}
