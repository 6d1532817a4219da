package refresh

import (
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// The herd again, on real servers and the real clock: three replicas with a client
// of their own, a strict provider over loopback; a token dies three times, three calls.

func serverHerd(t *testing.T, client func(t *testing.T) redis.UniversalClient) {
	srv := oauthtest.New(oauthtest.Config{Latency: 100 * time.Millisecond})
	t.Cleanup(srv.Close)
	if _, err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	keys, err := seal.New()
	unexpected(t, err)
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	var replicas []*Refresher
	var stores []*redisstore.Store
	for range 3 {
		store, err := redisstore.New(t.Context(), client(t), redisstore.Config{Namespace: "herd", Sealer: keys, Logger: quiet})
		unexpected(t, err)
		t.Cleanup(func() { _ = store.Close() })
		stores = append(stores, store)
		replicas = append(replicas, newRefresher(t, store, Config{Providers: []bellwether.Provider{srv.Provider()}, Logger: quiet,
			ForcedInterval: -1}))
	}
	grant := srv.Issue("bob")
	tok, err := stores[0].Save(t.Context(), grant.Token)
	unexpected(t, err)
	for i := range 3 {
		dead, err := replicas[0].Get(t.Context(), tok.ID, Want{})
		unexpected(t, err)
		srv.ExpireAccess(grant.ID)
		var mu sync.Mutex
		got := map[string]int{}
		var wg sync.WaitGroup
		for _, r := range replicas {
			for range 50 {
				wg.Go(func() {
					a, err := r.Get(t.Context(), tok.ID, Want{Rejected: dead.Token})
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						got[err.Error()]++
						return
					}
					got[a.Token.Reveal()]++
				})
			}
		}
		wg.Wait()
		if len(got) != 1 || srv.Calls() != i+1 {
			t.Fatalf("death %d: %d different outcomes, %d calls", i+1, len(got), srv.Calls())
		}
		for text, n := range got {
			if !srv.Accepts(bellwether.NewSecret(text)) || n != 150 {
				t.Fatalf("death %d: %d callers got %q", i+1, n, text)
			}
		}
	}
	if srv.Replays() != 0 || !srv.GrantAlive(grant.ID) {
		t.Errorf("%d replays, grant alive %v", srv.Replays(), srv.GrantAlive(grant.ID))
	}
}

func TestHerdOnServers(t *testing.T) {
	t.Run("redis", func(t *testing.T) {
		redistest.Need(t)
		s := redistest.Single(t, redistest.Config{})
		serverHerd(t, func(t *testing.T) redis.UniversalClient { return s.Client(t) })
	})
	t.Run("redis, replies of scripts lost", func(t *testing.T) {
		redistest.Need(t)
		s := redistest.Single(t, redistest.Config{})
		serverHerd(t, func(t *testing.T) redis.UniversalClient {
			p := s.Proxy(t)
			// Two in a row: the client runs every script up to three times.
			p.DropReplies(2, redistest.Scripts)
			c := redis.NewClient(redistest.DialOptions(func() (net.Conn, error) { return p.Dial() }))
			t.Cleanup(func() { _ = c.Close() })
			return c
		})
	})
	t.Run("cluster", func(t *testing.T) {
		redistest.Need(t)
		c := redistest.Cluster(t, redistest.Config{})
		serverHerd(t, func(t *testing.T) redis.UniversalClient { return c.Client(t) })
	})
}
