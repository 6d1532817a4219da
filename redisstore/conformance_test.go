package redisstore_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
	"github.com/bellwether-go/bellwether/storetest"
)

// The contract of bellwether.Store, on every kind of Redis.

// By these a child process finds the store of its parent.
const (
	urlEnv       = "REDISSTORE_TEST_URL"
	namespaceEnv = "REDISSTORE_TEST_NAMESPACE"
	keysEnv      = "REDISSTORE_TEST_KEYS"
)

func TestMain(m *testing.M) {
	storetest.Main(m, func() (bellwether.Store, error) {
		keys, err := seal.Open(os.Getenv(keysEnv))
		if err != nil {
			return nil, err
		}
		cfg := config(keys)
		cfg.Namespace = os.Getenv(namespaceEnv)
		return redisstore.Open(context.Background(), os.Getenv(urlEnv), cfg)
	})
}

// A shared store can be opened by other processes.
type shared struct {
	*redisstore.Store
	env []string
}

// openShared opens a store in a namespace of its own.
func openShared(t testing.TB, url string) shared {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	keys, err := seal.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(keys)
	cfg.Namespace = strings.ToLower(rand.Text())
	s, err := redisstore.Open(t.Context(), url, cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return shared{s, []string{urlEnv + "=" + url, namespaceEnv + "=" + cfg.Namespace, keysEnv + "=" + file}}
}

func condemn(t testing.TB, s bellwether.Store, id string) {
	t.Helper()
	backend := s.(interface {
		bellwether.Store
		Peek(ctx context.Context, id, client string) (bellwether.Snapshot, error)
		Lock(ctx context.Context, id, nonce string, ttl, maxHold time.Duration) (bellwether.Lease, error)
		Begin(ctx context.Context, a bellwether.Attempt) (bellwether.BeginAnswer, error)
		Fail(ctx context.Context, f bellwether.Fail) (bellwether.FailAnswer, error)
	})
	snap, err := backend.Peek(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	a := bellwether.Attempt{ID: id, Nonce: rand.Text(), Expected: snap.Cred, Kind: bellwether.AttemptMandatory, Budget: time.Minute}
	lease, err := backend.Lock(t.Context(), id, a.Nonce, 10*time.Second, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release(t.Context())
	if ans, err := backend.Begin(t.Context(), a); err != nil || ans.Word != bellwether.BeginGo {
		t.Fatalf("Begin: %q, %v", ans.Word, err)
	}
	_, err = backend.Fail(t.Context(), bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeRefused, Sent: true,
		Class: bellwether.ClassRefused, Code: "invalid_grant", Cooldown: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
}

// mini returns a store on a miniredis on a port of its own, which refuses what a
// Cluster refuses.
func mini(t testing.TB) (*redisstore.Store, *miniredis.Miniredis) {
	t.Helper()
	m := miniredis.RunT(t)
	redistest.CrossSlot(m, nil)
	client := redis.NewClient(&redis.Options{Addr: m.Addr(), ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	return newStore(t, client, newSealer(t)), m
}

func TestStoreOnMiniredis(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		Rows:    500, // Lua is slow there
		Condemn: condemn,
		New: func(t testing.TB) bellwether.Store {
			s, _ := mini(t)
			return s
		},
	})
}

func TestStoreOnServer(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	server := redistest.Single(t, redistest.Config{})
	storetest.Run(t, storetest.Harness{
		Condemn: condemn,
		New:     func(t testing.TB) bellwether.Store { return openShared(t, server.URL()) },
		Process: func(_ testing.TB, s bellwether.Store) []string { return s.(shared).env },
	})
}

func TestStoreOnCluster(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	cluster := redistest.Cluster(t, redistest.Config{})
	storetest.Run(t, storetest.Harness{
		Rows:    1_000,
		Condemn: condemn,
		New:     func(t testing.TB) bellwether.Store { return openShared(t, cluster.URL()) },
		Process: func(_ testing.TB, s bellwether.Store) []string { return s.(shared).env },
	})
}
