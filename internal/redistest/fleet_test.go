package redistest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether/internal/redistest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	s := redistest.Cluster(t, redistest.Config{Password: "sesame"})
	c := s.Client(t)
	ctx := t.Context()

	// Whole from the first moment: a write to each master, at each replica too.
	for i := range 32 {
		pipe := c.Pipeline()
		key := fmt.Sprintf("k%d", i)
		pipe.Set(ctx, key, i, 0)
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatal(err)
		}
		slot, err := c.ClusterKeySlot(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got := redistest.Slot(key); int64(got) != slot {
			t.Errorf("slot of %q: %d, the server says %d", key, got, slot)
		}
	}
	err := c.ForEachMaster(ctx, func(ctx context.Context, n *redis.Client) error {
		return n.Do(ctx, "WAIT", 1, 2000).Err()
	})
	if err != nil {
		t.Errorf("replicas: %v", err)
	}
	for _, key := range []string{"{user1000}.x", "a{}b", "{}", "{{x}y}", "a{b}{c}", "\x00\xff", "{a"} {
		if got, want := int64(redistest.Slot(key)), c.ClusterKeySlot(ctx, key).Val(); got != want {
			t.Errorf("slot of %q: %d, the server says %d", key, got, want)
		}
	}
	if err := c.MGet(ctx, "{a}1", "{b}2").Err(); err == nil {
		t.Error("a cluster answered a cross-slot MGET")
	}

	o, err := redis.ParseClusterURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Addrs) != len(s.Nodes) {
		t.Errorf("URL with %d addresses, want %d", len(o.Addrs), len(s.Nodes))
	}
	byURL := redis.NewClusterClient(o)
	defer byURL.Close()
	if err := byURL.Get(ctx, "k1").Err(); err != nil {
		t.Errorf("by URL: %v", err)
	}

	// A dead master is replaced, and the client finds its successor.
	old, err := s.KillMaster("k1")
	if err != nil {
		t.Fatal(err)
	}
	next, err := s.WaitMaster("k1")
	if err != nil {
		t.Fatal(err)
	}
	if next == old {
		t.Error("the dead master is named as master")
	}
	eventually(t, "write after the failover", func() bool {
		return c.Set(context.Background(), "k1", "new", 0).Err() == nil
	})
	if err := old.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitWhole(); err != nil {
		t.Fatal(err)
	}

	pids := pidsOf(s.Nodes)
	s.Close()
	wantGone(t, pids)
}

// TestClusterSizes: any number of masters, with or without replicas, share all slots.
func TestClusterSizes(t *testing.T) {
	t.Parallel()
	for _, size := range []struct{ masters, replicas, nodes int }{{1, -1, 1}, {2, -1, 2}, {1, 2, 3}} {
		t.Run(fmt.Sprintf("%d of %d", size.masters, size.nodes), func(t *testing.T) {
			t.Parallel()
			s := redistest.Cluster(t, redistest.Config{Masters: size.masters, Replicas: size.replicas})
			if len(s.Nodes) != size.nodes {
				t.Fatalf("%d nodes, want %d", len(s.Nodes), size.nodes)
			}
			o, err := redis.ParseClusterURL(s.URL())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(o.Addrs, s.Nodes[0].Addr()) {
				t.Errorf("URL %s", s.URL())
			}
			c := redis.NewClusterClient(o)
			defer c.Close()
			used := map[*redistest.Server]bool{}
			for i := range 16 {
				key := fmt.Sprintf("k%d", i)
				if err := c.Set(t.Context(), key, i, 0).Err(); err != nil {
					t.Fatal(err)
				}
				master, err := s.Master(key)
				if err != nil {
					t.Fatal(err)
				}
				used[master] = true
			}
			if len(used) != size.masters {
				t.Errorf("%d masters serve, want %d", len(used), size.masters)
			}
		})
	}
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	s := redistest.Sentinel(t, redistest.Config{Password: "sesame"})
	c := s.Client(t)
	ctx := t.Context()
	if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	o, err := redis.ParseFailoverURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	byURL := redis.NewFailoverClient(o)
	defer byURL.Close()
	if got, err := byURL.Get(ctx, "k").Result(); got != "v" {
		t.Errorf("by URL: %q, %v", got, err)
	}

	old, err := s.KillMaster()
	if err != nil {
		t.Fatal(err)
	}
	next, err := s.WaitMaster()
	if err != nil {
		t.Fatal(err)
	}
	if next == old {
		t.Error("the dead master is named as master")
	}
	eventually(t, "write after the failover", func() bool {
		return c.Set(context.Background(), "k", "new", 0).Err() == nil
	})
	if got := next.Client(t).Get(ctx, "k").Val(); got != "new" {
		t.Errorf("the new master holds %q", got)
	}
	if err := s.Rejoin(old); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitWhole(); err != nil {
		t.Fatal(err)
	}

	pids := pidsOf(append(s.Data, s.Sentinels...))
	s.Close()
	wantGone(t, pids)
}

func pidsOf(servers []*redistest.Server) []int {
	var pids []int
	for _, s := range servers {
		pids = append(pids, s.PID())
	}
	return pids
}

func wantGone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
}
