package redistest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// ClusterServers are the nodes of a Redis Cluster on loopback: three masters with a
// replica each, unless the Config says otherwise. A dead master is replaced after
// about two seconds.
type ClusterServers struct {
	// Nodes are the servers; the first were made masters, the others their replicas,
	// one of each master in the same order, then another one of each. Failovers change
	// the roles.
	Nodes    []*Server
	cfg      Config
	masters  int
	replicas int // of each
}

// Cluster starts a cluster for the test, which it skips or fails as Need does.
// It returns when every node sees every other and all replicas are linked.
func Cluster(t testing.TB, cfg Config) *ClusterServers {
	t.Helper()
	return forTest(t, StartCluster, cfg)
}

// StartCluster starts a cluster that a TestMain shares among tests: it takes two
// seconds. Close ends it.
func StartCluster(cfg Config) (*ClusterServers, error) {
	c := &ClusterServers{cfg: cfg, masters: cmp.Or(cfg.Masters, 3), replicas: max(cmp.Or(cfg.Replicas, 1), 0)}
	var err error
	c.Nodes, err = startAll(c.masters*(1+c.replicas), func(int) (*Server, error) {
		return startServer(cfg, cfg.clusterLines)
	})
	if err == nil {
		err = c.form(context.Background())
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c Config) clusterLines(port int) []string {
	lines := []string{
		"cluster-enabled yes",
		"cluster-config-file nodes.conf",
		"cluster-node-timeout 1000",
		"cluster-announce-ip 127.0.0.1",
		fmt.Sprintf("cluster-announce-port %d", port),
		fmt.Sprintf("cluster-announce-bus-port %d", port+busOffset),
		"cluster-replica-validity-factor 0",
	}
	return append(lines, c.lines(port)...)
}

// form joins the nodes to a cluster and waits until it is whole.
func (c *ClusterServers) form(ctx context.Context) error {
	ids := make([]string, len(c.Nodes))
	for i, s := range c.Nodes {
		err := s.do(ctx, func(n *redis.Client) error {
			if i < c.masters {
				lo, hi := slots*i/c.masters, slots*(i+1)/c.masters-1
				if err := n.ClusterAddSlotsRange(ctx, lo, hi).Err(); err != nil {
					return err
				}
			}
			// Distinct epochs, or the nodes must first find out who yields.
			if err := n.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
				return err
			}
			if i > 0 {
				if err := n.ClusterMeet(ctx, "127.0.0.1", strconv.Itoa(c.Nodes[0].port)).Err(); err != nil {
					return err
				}
			}
			var err error
			ids[i], err = n.ClusterMyID(ctx).Result()
			return err
		})
		if err != nil {
			return fmt.Errorf("redistest: cluster node %d: %w", i, err)
		}
	}
	for i, s := range c.Nodes[c.masters:] {
		master := ids[i%c.masters]
		err := poll("cluster: replica", startTimeout, func() error {
			return s.do(ctx, func(n *redis.Client) error { return n.ClusterReplicate(ctx, master).Err() })
		})
		if err != nil {
			return err
		}
	}
	return c.WaitWhole()
}

// WaitWhole waits until all nodes run and agree: every slot is served, every
// master has a linked replica. Call it after killed nodes were started again.
func (c *ClusterServers) WaitWhole() error {
	return poll("cluster is whole", startTimeout, func() error {
		for _, s := range c.Nodes {
			if err := c.whole(s); err != nil {
				return fmt.Errorf("%s: %w", s.Addr(), err)
			}
		}
		return nil
	})
}

// whole reports what is missing in the eyes of one node.
func (c *ClusterServers) whole(s *Server) error {
	if s.proc.exited() {
		return errors.New("not running")
	}
	ctx := context.Background()
	return s.do(ctx, func(n *redis.Client) error {
		info, err := n.ClusterInfo(ctx).Result()
		if err != nil {
			return err
		}
		if state := infoField(info, "cluster_state"); state != "ok" {
			return fmt.Errorf("cluster_state %s", state)
		}
		nodes, err := clusterNodes(ctx, n)
		if err != nil {
			return err
		}
		masters, replicas := 0, map[string]int{}
		for _, node := range nodes {
			if node.link != "connected" || strings.Contains(node.flags, "fail") || strings.Contains(node.flags, "handshake") {
				return fmt.Errorf("node %s: %s, %s", node.addr, node.flags, node.link)
			}
			switch {
			case strings.Contains(node.flags, "slave"):
				replicas[node.master]++
			case len(node.slots) > 0:
				masters++
			}
		}
		if masters != c.masters {
			return fmt.Errorf("%d masters", masters)
		}
		if c.replicas == 0 {
			return nil
		}
		if len(replicas) != c.masters || slices.ContainsFunc(slices.Collect(maps.Values(replicas)), func(n int) bool { return n != c.replicas }) {
			return fmt.Errorf("%d of %d masters have replicas: %v", len(replicas), masters, replicas)
		}
		repl, err := n.Info(ctx, "replication").Result()
		if err != nil {
			return err
		}
		if infoField(repl, "role") == "slave" && infoField(repl, "master_link_status") != "up" {
			return errors.New("not linked with its master")
		}
		if infoField(repl, "role") == "master" {
			for i := range c.replicas {
				if !strings.Contains(infoField(repl, "slave"+strconv.Itoa(i)), "state=online") {
					return errors.New("its replica is not in step")
				}
			}
		}
		return nil
	})
}

// Addrs are the host:ports of all nodes.
func (c *ClusterServers) Addrs() []string { return addrs(c.Nodes) }

// URL is a redis:// URL as redis.ParseClusterURL reads it.
func (c *ClusterServers) URL() string { return seedURL(c.cfg, c.Addrs(), nil) }

// Options returns fresh client options for this cluster.
func (c *ClusterServers) Options() *redis.ClusterOptions {
	o := clientOptions(c.cfg, c.Addrs()...).Cluster()
	// Nothing else makes a client look for the successor of a dead master.
	o.ClusterStateReloadInterval = time.Second
	return o
}

// Client returns a client of this cluster that is closed when the test ends.
func (c *ClusterServers) Client(t testing.TB) *redis.ClusterClient {
	client := redis.NewClusterClient(c.Options())
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Master returns the node that serves a key, in the eyes of the other nodes that
// run: while they disagree, or when it is dead and not yet replaced, an error.
func (c *ClusterServers) Master(key string) (*Server, error) {
	ctx, slot := context.Background(), Slot(key)
	var master *Server
	for _, s := range c.Nodes {
		if s.proc.exited() {
			continue
		}
		err := s.do(ctx, func(n *redis.Client) error {
			nodes, err := clusterNodes(ctx, n)
			if err != nil {
				return err
			}
			for _, node := range nodes {
				if !node.serves(slot) {
					continue
				}
				found := byAddr(c.Nodes, node.addr)
				if found == nil || found.proc.exited() || master != nil && found != master {
					return fmt.Errorf("redistest: no agreed master for slot %d", slot)
				}
				master = found
				return nil
			}
			return fmt.Errorf("redistest: nobody serves slot %d", slot)
		})
		if err != nil {
			return nil, err
		}
	}
	if master == nil {
		return nil, errors.New("redistest: no node runs")
	}
	return master, nil
}

// KillMaster kills the node that serves a key and returns it. A replica takes
// over after the node timeout; WaitMaster waits for that.
func (c *ClusterServers) KillMaster(key string) (*Server, error) {
	s, err := c.Master(key)
	if err != nil {
		return nil, err
	}
	s.Kill()
	return s, nil
}

// WaitMaster waits until the nodes that run agree on a running master of a key,
// and that the cluster serves, and returns the master.
func (c *ClusterServers) WaitMaster(key string) (*Server, error) {
	var master *Server
	err := poll("cluster: new master", startTimeout, func() error {
		var err error
		if master, err = c.Master(key); err != nil {
			return err
		}
		ctx := context.Background()
		return master.do(ctx, func(n *redis.Client) error {
			info, err := n.ClusterInfo(ctx).Result()
			if err == nil && infoField(info, "cluster_state") != "ok" {
				err = errors.New("cluster_state is not ok")
			}
			return err
		})
	})
	return master, err
}

// Close kills all nodes and removes their folders. It may be called twice.
func (c *ClusterServers) Close() { closeAll(c.Nodes) }

// A clusterNode is a line of CLUSTER NODES.
type clusterNode struct {
	addr, flags, master, link string
	slots                     []string // "5" or "0-5460"
}

func clusterNodes(ctx context.Context, n *redis.Client) ([]clusterNode, error) {
	lines, err := n.ClusterNodes(ctx).Result()
	if err != nil {
		return nil, err
	}
	var nodes []clusterNode
	for line := range strings.Lines(lines) {
		f := strings.Fields(line) // id addr@bus flags master ping pong epoch link slots…
		if len(f) < 8 {
			return nil, fmt.Errorf("redistest: CLUSTER NODES says %q", line)
		}
		addr, _, _ := strings.Cut(f[1], "@")
		nodes = append(nodes, clusterNode{addr, f[2], f[3], f[7], f[8:]})
	}
	return nodes, nil
}

func (n clusterNode) serves(slot int) bool {
	for _, r := range n.slots {
		lo, hi, ok := strings.Cut(r, "-")
		if !ok {
			hi = lo
		}
		first, err1 := strconv.Atoi(lo)
		last, err2 := strconv.Atoi(hi)
		if err1 == nil && err2 == nil && first <= slot && slot <= last {
			return true
		}
	}
	return false
}
