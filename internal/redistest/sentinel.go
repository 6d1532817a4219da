package redistest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	sentinelCount    = 3
	sentinelReplicas = 2
	sentinelQuorum   = 2
)

// MasterName is what the sentinels call the master they watch.
const MasterName = "bellwether"

// SentinelServers are a master, two replicas and the three sentinels that watch
// them. A dead master is replaced after about two seconds.
type SentinelServers struct {
	// Data are the servers with data; the first was made the master. Failovers
	// change the roles.
	Data      []*Server
	Sentinels []*Server
	cfg       Config
}

// Sentinel starts the servers for the test, which it skips or fails as Need
// does. It returns when the replicas are linked and the sentinels know all.
// Config.Password is that of the data servers; the sentinels have none.
func Sentinel(t testing.TB, cfg Config) *SentinelServers {
	t.Helper()
	return forTest(t, StartSentinel, cfg)
}

// StartSentinel starts servers that a TestMain shares among tests: it takes two
// seconds. Close ends them.
func StartSentinel(cfg Config) (*SentinelServers, error) {
	s := &SentinelServers{cfg: cfg}
	if err := s.start(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *SentinelServers) start() error {
	master, err := startServer(s.cfg, s.cfg.lines)
	if err != nil {
		return err
	}
	s.Data = []*Server{master}
	replicas, err := startAll(sentinelReplicas, func(int) (*Server, error) {
		return startServer(s.cfg, func(port int) []string {
			return append(s.cfg.lines(port), fmt.Sprintf("replicaof 127.0.0.1 %d", master.port))
		})
	})
	s.Data = append(s.Data, replicas...)
	if err != nil {
		return err
	}
	s.Sentinels, err = startAll(sentinelCount, func(int) (*Server, error) {
		return startServer(Config{}, func(int) []string { return s.sentinelLines(master.port) }, "--sentinel")
	})
	if err != nil {
		return err
	}
	return s.WaitWhole()
}

func (s *SentinelServers) sentinelLines(masterPort int) []string {
	lines := []string{
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", MasterName, masterPort, sentinelQuorum),
		// More than the second that a sentinel takes to reconnect: with less a new
		// master is declared dead at once.
		fmt.Sprintf("sentinel down-after-milliseconds %s 1500", MasterName),
		fmt.Sprintf("sentinel failover-timeout %s 5000", MasterName),
	}
	if s.cfg.Password != "" {
		lines = append(lines, fmt.Sprintf("sentinel auth-pass %s %q", MasterName, s.cfg.Password))
	}
	return lines
}

// WaitWhole waits until all servers run, the replicas are in step with their
// master, and every sentinel knows every other server. Call it after killed ones
// were started again.
func (s *SentinelServers) WaitWhole() error {
	return poll("sentinels know all", startTimeout, func() error {
		master, err := s.Master()
		if err != nil {
			return err
		}
		for _, srv := range s.Data {
			if srv.proc.exited() {
				return fmt.Errorf("%s is not running", srv.Addr())
			}
			if err := inStep(srv, srv == master); err != nil {
				return fmt.Errorf("%s: %w", srv.Addr(), err)
			}
		}
		for _, srv := range s.Sentinels {
			if err := knowsAll(srv); err != nil {
				return fmt.Errorf("sentinel %s: %w", srv.Addr(), err)
			}
		}
		return nil
	})
}

// inStep reports what a data server misses for the role it should have.
func inStep(srv *Server, master bool) error {
	ctx := context.Background()
	return srv.do(ctx, func(n *redis.Client) error {
		info, err := n.Info(ctx, "replication").Result()
		if err != nil {
			return err
		}
		role, link, replicas := infoField(info, "role"), infoField(info, "master_link_status"), infoField(info, "connected_slaves")
		switch {
		case master && replicas != strconv.Itoa(sentinelReplicas):
			return fmt.Errorf("%s replicas", replicas)
		case !master && (role != "slave" || link != "up"):
			return fmt.Errorf("role %s, link %s", role, link)
		}
		return nil
	})
}

// knowsAll reports what a sentinel does not know yet.
func knowsAll(sentinel *Server) error {
	if sentinel.proc.exited() {
		return errors.New("not running")
	}
	ctx := context.Background()
	c := redis.NewSentinelClient(sentinel.Options())
	defer c.Close()
	m, err := c.Master(ctx, MasterName).Result()
	if err != nil {
		return err
	}
	if m["flags"] != "master" || m["num-slaves"] != strconv.Itoa(sentinelReplicas) || m["num-other-sentinels"] != strconv.Itoa(sentinelCount-1) {
		return fmt.Errorf("master is %s, %s replicas, %s other sentinels", m["flags"], m["num-slaves"], m["num-other-sentinels"])
	}
	replicas, err := c.Replicas(ctx, MasterName).Result()
	if err != nil {
		return err
	}
	for _, r := range replicas {
		if r["flags"] != "slave" {
			return fmt.Errorf("replica %s is %s", r["name"], r["flags"])
		}
	}
	return nil
}

// Addrs are the host:ports of the sentinels.
func (s *SentinelServers) Addrs() []string { return addrs(s.Sentinels) }

// URL is a redis:// URL as redis.ParseFailoverURL reads it.
func (s *SentinelServers) URL() string {
	query := url.Values{"master_name": {MasterName}}
	if s.cfg.Password != "" {
		query.Set("password", s.cfg.Password) // the user part would be for the sentinels
	}
	return seedURL(Config{}, s.Addrs(), query)
}

// Options returns fresh options of a client that follows the master.
func (s *SentinelServers) Options() *redis.FailoverOptions {
	o := clientOptions(s.cfg, s.Addrs()...)
	o.MasterName = MasterName
	return o.Failover()
}

// Client returns a client that follows the master and is closed when the test
// ends.
func (s *SentinelServers) Client(t testing.TB) *redis.Client {
	c := redis.NewFailoverClient(s.Options())
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Master returns the master that all running sentinels name, if it agrees that
// it is one.
func (s *SentinelServers) Master() (*Server, error) {
	ctx := context.Background()
	var master *Server
	for _, srv := range s.Sentinels {
		if srv.proc.exited() {
			continue
		}
		c := redis.NewSentinelClient(srv.Options())
		addr, err := c.GetMasterAddrByName(ctx, MasterName).Result()
		c.Close()
		if err != nil {
			return nil, err
		}
		found := byAddr(s.Data, addr[0]+":"+addr[1])
		if found == nil || found.proc.exited() || master != nil && found != master {
			return nil, fmt.Errorf("redistest: no agreed master: %v", addr)
		}
		master = found
	}
	if master == nil {
		return nil, errors.New("redistest: no sentinel runs")
	}
	return master, master.do(ctx, func(n *redis.Client) error {
		info, err := n.Info(ctx, "replication").Result()
		if err == nil && infoField(info, "role") != "master" {
			err = errors.New("redistest: the named master is not one")
		}
		return err
	})
}

// KillMaster kills the master and returns it. A replica takes over;
// WaitMaster waits for that.
func (s *SentinelServers) KillMaster() (*Server, error) {
	old, err := s.Master()
	if err != nil {
		return nil, err
	}
	old.Kill()
	return old, nil
}

// WaitMaster waits until the sentinels agree on a running master and returns it.
func (s *SentinelServers) WaitMaster() (*Server, error) {
	var master *Server
	err := poll("sentinel: new master", startTimeout, func() (err error) {
		master, err = s.Master()
		return err
	})
	return master, err
}

// Rejoin starts a killed data server as a replica of the present master. Left to
// themselves the sentinels would take ten seconds to make it one.
func (s *SentinelServers) Rejoin(srv *Server) error {
	master, err := s.WaitMaster()
	if err != nil {
		return err
	}
	if err := srv.Start(); err != nil {
		return err
	}
	ctx := context.Background()
	return srv.do(ctx, func(n *redis.Client) error {
		return n.Do(ctx, "REPLICAOF", "127.0.0.1", master.port).Err()
	})
}

// Close kills all servers and removes their folders. It may be called twice.
func (s *SentinelServers) Close() {
	closeAll(s.Sentinels)
	closeAll(s.Data)
}
