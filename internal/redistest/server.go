package redistest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// A Config says how a server is started. The zero Config is a server without
// password and persistence.
type Config struct {
	// Password is required from every client. It stands in a file that only the
	// owner can read, never in the process list.
	Password string
	// AOF keeps an append-only file, synced at each write: an answered write
	// survives Kill and Start.
	AOF bool
	// Directives are further lines of redis.conf, e.g. "maxmemory 3mb".
	Directives []string

	// Masters are those of a Cluster; default 3. A dead one is replaced only where most
	// of the others are left to vote: with 3 or more.
	Masters int
	// Replicas are those of each of these masters; default 1, negative: none.
	Replicas int
}

// A Server is one redis-server process with a port and a folder of its own. Its
// methods are not safe for concurrent use; its clients are.
type Server struct {
	cfg  Config
	dir  string
	port int
	args []string // of the command line, after the configuration file
	proc *process
}

// Single starts a server for the test, which it skips or fails as Need does.
func Single(t testing.TB, cfg Config) *Server {
	t.Helper()
	return forTest(t, StartSingle, cfg)
}

// StartSingle starts a server that a TestMain shares among tests. Close ends it.
func StartSingle(cfg Config) (*Server, error) {
	return startServer(cfg, cfg.lines)
}

// startServer starts a server on a free port; conf gives the lines of its
// configuration. A port that was taken meanwhile is given up for another.
func startServer(cfg Config, conf func(port int) []string, args ...string) (*Server, error) {
	var errs []error
	for range 3 {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		dir, err := os.MkdirTemp("", "redistest-")
		if err != nil {
			return nil, err
		}
		s := &Server{cfg: cfg, dir: dir, port: port, args: args}
		lines := append([]string{
			"bind 127.0.0.1",
			fmt.Sprintf("port %d", port),
			fmt.Sprintf("dir %q", dir),
			"daemonize no",
		}, conf(port)...)
		err = os.WriteFile(filepath.Join(dir, confFile), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
		if err == nil {
			err = s.launch()
		}
		if err == nil {
			return s, nil
		}
		errs = append(errs, err)
		s.Close()
	}
	return nil, errors.Join(errs...)
}

// lines are the directives of a data server. Replication loses no time.
func (c Config) lines(int) []string {
	lines := []string{`save ""`, "repl-diskless-sync-delay 0", "repl-ping-replica-period 1"}
	if c.AOF {
		lines = append(lines, "appendonly yes", "appendfsync always")
	}
	if c.Password != "" {
		lines = append(lines, fmt.Sprintf("requirepass %q", c.Password), fmt.Sprintf("masterauth %q", c.Password))
	}
	return append(lines, c.Directives...)
}

// launch starts the process on the server's port and folder.
func (s *Server) launch() error {
	proc, err := launch(s.dir, s.args...)
	if err != nil {
		return err
	}
	s.proc = proc
	if err := s.ready(); err != nil {
		proc.kill()
		return fmt.Errorf("%w\n%s", err, logTail(s.dir))
	}
	return nil
}

// ready waits until this very process answers: on a port that was lost to
// another server, that one would answer.
func (s *Server) ready() error {
	c := redis.NewClient(s.Options())
	defer c.Close()
	pid := strconv.Itoa(s.proc.pid())
	return poll("start of redis-server", startTimeout, func() error {
		if s.proc.exited() {
			return errExited
		}
		info, err := c.Info(context.Background(), "server").Result()
		if err != nil {
			return err
		}
		if got := infoField(info, "process_id"); got != pid {
			return fmt.Errorf("port %d belongs to process %s", s.port, got)
		}
		return nil
	})
}

// Addr is the server's host:port; the host is an IP literal.
func (s *Server) Addr() string { return loopback(s.port) }

// URL is the server's redis:// URL, password included.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", Host: s.Addr(), Path: "/0"}
	if s.cfg.Password != "" {
		u.User = url.UserPassword("", s.cfg.Password)
	}
	return u.String()
}

// PID is the process id of the newest process.
func (s *Server) PID() int { return s.proc.pid() }

// Options returns fresh client options for this server: short timeouts that
// obey the ctx, go-redis' own retries.
func (s *Server) Options() *redis.Options { return clientOptions(s.cfg, s.Addr()).Simple() }

// Client returns a client of this server that is closed when the test ends.
func (s *Server) Client(t testing.TB) *redis.Client {
	c := redis.NewClient(s.Options())
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Stop ends the process in good order. Data are kept only with AOF.
func (s *Server) Stop() { s.proc.terminate() }

// Kill ends the process at once, as a crash does.
func (s *Server) Kill() { s.proc.kill() }

// Start launches a server that was stopped or killed again, on the same port
// and folder.
func (s *Server) Start() error {
	if !s.proc.exited() {
		return errors.New("redistest: the server is running")
	}
	// The port is ours by habit only; somebody may hold it for a moment.
	return poll("restart of redis-server", startTimeout, func() error {
		if !portFree(s.port) {
			return fmt.Errorf("port %d is taken", s.port)
		}
		return s.launch()
	})
}

// Restart stops the server in good order and starts it again with its data.
func (s *Server) Restart() error {
	if !s.cfg.AOF {
		c := redis.NewClient(s.Options())
		err := c.Save(context.Background()).Err()
		c.Close()
		if err != nil {
			return err
		}
		// Loaded once: a later crash must not bring this state back.
		defer os.Remove(filepath.Join(s.dir, "dump.rdb"))
	}
	s.Stop()
	return s.Start()
}

// Pause stops the process in its tracks (SIGSTOP): connections stay open and
// nothing answers, as on a frozen machine.
func (s *Server) Pause() error { return pauseChild(s.proc.cmd.Process) }

// Resume lets a paused process go on.
func (s *Server) Resume() error { return resumeChild(s.proc.cmd.Process) }

// Close kills the process and removes its folder. It may be called twice.
func (s *Server) Close() {
	if s.proc != nil {
		s.proc.kill()
	}
	_ = os.RemoveAll(s.dir)
}

// clientOptions are the settings that all clients of this package share.
func clientOptions(cfg Config, addrs ...string) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs:                 addrs,
		Password:              cfg.Password,
		Protocol:              3,
		ContextTimeoutEnabled: true,
		DialTimeout:           time.Second,
		DialerRetries:         1,
		ReadTimeout:           time.Second,
		WriteTimeout:          time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
}
