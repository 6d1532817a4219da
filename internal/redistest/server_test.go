package redistest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether/internal/redistest"
)

// alive reports whether a process with this id runs. One that has ended and that
// nobody waited for does not: not every container's init reaps orphans.
func alive(pid int) bool {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		_, state, _ := strings.Cut(string(stat), ") ")
		return !strings.HasPrefix(state, "Z")
	}
	p, err := os.FindProcess(pid)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}

func TestServerLeavesNothing(t *testing.T) {
	redistest.Need(t)
	t.Setenv("TMPDIR", t.TempDir())
	s, err := redistest.StartSingle(redistest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	pid := s.PID()
	if !alive(pid) {
		t.Fatalf("process %d is not running", pid)
	}
	if err := s.Client(t).Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if alive(pid) {
		t.Errorf("process %d is still there", pid)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "redistest-*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	s.Close() // twice is fine
}

func TestServerPassword(t *testing.T) {
	s := redistest.Single(t, redistest.Config{Password: `a "b" \c`})
	if err := s.Client(t).Ping(t.Context()).Err(); err != nil {
		t.Errorf("with the password: %v", err)
	}
	o, err := redis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	defer c.Close()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Errorf("by URL: %v", err)
	}
	o = s.Options()
	o.Password = ""
	bare := redis.NewClient(o)
	defer bare.Close()
	if err := bare.Ping(t.Context()).Err(); err == nil {
		t.Error("served without the password")
	}
}

func TestServerDirectives(t *testing.T) {
	s := redistest.Single(t, redistest.Config{Directives: []string{"maxmemory 5mb", "maxmemory-policy noeviction"}})
	got, err := s.Client(t).ConfigGet(t.Context(), "maxmemory").Result()
	if err != nil {
		t.Fatal(err)
	}
	if want := "5242880"; got["maxmemory"] != want {
		t.Errorf("maxmemory %q, want %q", got["maxmemory"], want)
	}
}

// What outlives which end of a server.
func TestServerData(t *testing.T) {
	tests := []struct {
		name string
		cfg  redistest.Config
		end  func(*redistest.Server) error
		kept bool
	}{
		{"restart", redistest.Config{}, (*redistest.Server).Restart, true},
		{"restart with AOF", redistest.Config{AOF: true}, (*redistest.Server).Restart, true},
		{"kill", redistest.Config{}, killAndStart, false},
		{"kill with AOF", redistest.Config{AOF: true}, killAndStart, true},
		{"kill after restart", redistest.Config{}, func(s *redistest.Server) error {
			return errors.Join(s.Restart(), killAndStart(s))
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := redistest.Single(t, tt.cfg)
			c := s.Client(t)
			if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			before, addr := s.PID(), s.Addr()
			if err := tt.end(s); err != nil {
				t.Fatal(err)
			}
			if s.PID() == before || s.Addr() != addr {
				t.Errorf("process %d at %s, before %d at %s", s.PID(), s.Addr(), before, addr)
			}
			err := c.Get(t.Context(), "k").Err()
			if kept := err == nil; kept != tt.kept {
				t.Errorf("key kept: %v (%v), want %v", kept, err, tt.kept)
			}
		})
	}
}

func killAndStart(s *redistest.Server) error {
	s.Kill()
	return s.Start()
}

func TestServerPause(t *testing.T) {
	s := redistest.Single(t, redistest.Config{})
	o := s.Options()
	o.ReadTimeout, o.MaxRetries = 50*time.Millisecond, -1
	c := redis.NewClient(o)
	defer c.Close()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()).Err(); err == nil {
		t.Error("a paused server answered")
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	o.ReadTimeout = 5 * time.Second
	again := redis.NewClient(o)
	defer again.Close()
	if err := again.Ping(t.Context()).Err(); err != nil {
		t.Errorf("after resume: %v", err)
	}
}
