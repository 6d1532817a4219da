// Package exampletest is the stage on which the examples are tested: a Redis, a CRM
// that speaks as Zoho does, and a row that has no access token yet. A replica is the
// test binary, started again as the example.
package exampletest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/child"
	"github.com/bellwether-go/bellwether/internal/embedded"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

const envReplica = "BELLWETHER_TEST_REPLICA"

// Main is the TestMain of an example whose main function it is given.
func Main(m *testing.M, main func()) {
	if os.Getenv(envReplica) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// User is the user name of the row.
const User = "bot@example.com"

// A Stage is what the replicas of one test share.
type Stage struct {
	CRM   *oauthtest.Server // takes 200 ms for a token call
	Store *redisstore.Store
	Row   bellwether.Token
	Env   map[string]string // what an example reads
}

// New sets a stage, which is struck when the test ends.
func New(t *testing.T) *Stage {
	t.Helper()
	redis, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	s := &Stage{CRM: oauthtest.New(oauthtest.Config{Dialect: oauthtest.Zoho, Latency: 200 * time.Millisecond})}
	t.Cleanup(s.CRM.Close)
	if _, err := s.CRM.Start(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s.Env = map[string]string{
		"BELLWETHER_REDIS":     redis.URL(),
		"BELLWETHER_KEYSET":    filepath.Join(dir, "keyset.json"),
		"BELLWETHER_PROVIDERS": filepath.Join(dir, "providers.json"),
		"BELLWETHER_TOKEN":     User,
	}
	file := fmt.Sprintf(`{"providers": [{"kind": "zoho", "allow_http": true, "home": "test",
		"endpoints": [{"data_center": "test", "accounts": %q, "api": [%q]}]}]}`, s.CRM.URL(), s.CRM.URL())
	if err := os.WriteFile(s.Env["BELLWETHER_PROVIDERS"], []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Create(s.Env["BELLWETHER_KEYSET"])
	if err != nil {
		t.Fatal(err)
	}
	s.Store, err = redisstore.Open(t.Context(), redis.URL(), redisstore.Config{Sealer: keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Store.Close() })
	s.Row, err = s.Store.Save(t.Context(), s.CRM.Issue(User).Token.WithoutAccessToken())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A Replica is one process of the example.
type Replica struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended, once done is closed

	mu     sync.Mutex
	output bytes.Buffer
}

// Start starts a replica, which is killed when the test ends.
func (s *Stage) Start(t *testing.T, args ...string) *Replica {
	t.Helper()
	r := &Replica{cmd: exec.Command(os.Args[0], args...), done: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), envReplica+"=1")
	for k, v := range s.Env {
		r.cmd.Env = append(r.cmd.Env, k+"="+v)
	}
	r.cmd.Stdout, r.cmd.Stderr = r, r
	if err := child.Start(r.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		r.err = r.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.done
	})
	return r
}

// Write takes what the replica prints.
func (r *Replica) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.output.Write(p)
}

// Output is what the replica has printed so far.
func (r *Replica) Output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.output.String()
}

// WaitFor waits until the replica has printed a line and returns its first submatch.
func (r *Replica) WaitFor(t *testing.T, line *regexp.Regexp) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if m := line.FindStringSubmatch(r.Output()); m != nil {
			return m[1]
		}
		select {
		case <-r.done:
			t.Fatalf("the replica ended: %v\n%s", r.err, r.Output())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the replica does not print %s\n%s", line, r.Output())
		}
	}
}

// End asks the replica to end as an operator does, and returns what it makes of that.
func (r *Replica) End() error {
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-r.done
	return r.err
}
