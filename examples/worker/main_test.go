package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/child"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// A worker of the tests is this binary, started again.
const envReplica = "BELLWETHER_TEST_REPLICA"

func TestMain(m *testing.M) {
	if os.Getenv(envReplica) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestWorkersShareOneRefresh runs three worker processes on one row whose access
// token has yet to come: all jobs are done with one call of the provider. When the
// API rejects that token it is one more.
func TestWorkersShareOneRefresh(t *testing.T) {
	const replicas, jobs = 3, 60
	s := newStage(t)
	var workers []*worker
	for range replicas {
		workers = append(workers, s.start(t))
	}
	for range 2 {
		for i := range jobs {
			s.jobs.LPush(t.Context(), waiting, fmt.Sprintf("/crm/v8/Contacts/%d", i))
		}
		s.waitDone(t, workers)
		s.crm.ExpireAccess("")
	}
	if got := s.crm.Calls(); got != 2 {
		t.Errorf("%d token calls, want 2: one for the first jobs and one when the API rejected that token", got)
	}
	if st := s.crm.Stats(); st.APICalls-st.APIRejected < 2*jobs {
		t.Errorf("%d of %d API calls rejected, want at least %d that are not", st.APIRejected, st.APICalls, 2*jobs)
	}
	// Asked to end as an operator does, they do so in good order.
	for _, w := range workers {
		if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	for i, w := range workers {
		if err := w.cmd.Wait(); err != nil {
			t.Errorf("worker %d: %v\n%s", i, err, w.log)
		}
	}
}

// TestFailedJobComesBack: a job whose API call fails waits again and is done later.
func TestFailedJobComesBack(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	var seen []string
	finished := make(chan error, 1)
	go func() {
		finished <- work(ctx, s.jobs, func(_ context.Context, job string) error {
			mu.Lock()
			defer mu.Unlock()
			if seen = append(seen, job); len(seen) == 1 {
				return &bellwether.Error{Kind: bellwether.ErrThrottled, Until: time.Now().Add(1100 * time.Millisecond)}
			}
			cancel()
			return nil
		})
	}()
	s.jobs.LPush(t.Context(), waiting, "/a")
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	if len(seen) != 2 || seen[0] != "/a" || seen[1] != "/a" {
		t.Errorf("jobs done: %q, want /a twice", seen)
	}
	if left := s.left(t); left != 0 {
		t.Errorf("%d jobs left, want none", left)
	}
}

// TestHopelessJobIsDropped: what the API refuses for its own sake is not asked again;
// what may get better is.
func TestHopelessJobIsDropped(t *testing.T) {
	for status, dropped := range map[int]bool{
		http.StatusBadRequest: true, http.StatusForbidden: true, http.StatusNotFound: true,
		http.StatusUnauthorized: false, http.StatusTooManyRequests: false, http.StatusBadGateway: false,
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			s := newStage(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
			defer api.Close()
			s.jobs.LPush(t.Context(), waiting, "/a")
			err := work(ctx, s.jobs, func(_ context.Context, job string) error {
				cancel() // this job is the last
				return call(api.Client(), api.URL+job)
			})
			if err != nil {
				t.Fatal(err)
			}
			if left := s.left(t); (left == 0) != dropped {
				t.Errorf("%d jobs left, dropped: %v, want %v", left, left == 0, dropped)
			}
		})
	}
}

func TestRunSaysWhatIsMissing(t *testing.T) {
	s := newStage(t)
	for name, env := range map[string]string{
		"keyset": "BELLWETHER_KEYSET", "Redis": "BELLWETHER_REDIS", "token": "BELLWETHER_TOKEN",
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range s.env {
				t.Setenv(k, v)
			}
			t.Setenv(env, "")
			if _, ok := errors.AsType[*bellwether.Error](run(t.Context())); !ok {
				t.Errorf("no *bellwether.Error without %s", env)
			}
		})
	}
}

// A stage is a Redis, a CRM that speaks as Zoho does, and a row that has no access
// token yet.
type stage struct {
	crm  *oauthtest.Server
	jobs *redis.Client
	env  map[string]string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	mini := miniredis.NewMiniRedis()
	mini.RequireAuth("secret")
	if err := mini.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mini.Close)
	s := &stage{crm: oauthtest.New(oauthtest.Config{Dialect: oauthtest.Zoho, Latency: 200 * time.Millisecond})}
	t.Cleanup(s.crm.Close)
	if _, err := s.crm.Start(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s.env = map[string]string{
		"BELLWETHER_REDIS":     "redis://:secret@" + mini.Addr() + "/0",
		"BELLWETHER_KEYSET":    filepath.Join(dir, "keyset.json"),
		"BELLWETHER_PROVIDERS": filepath.Join(dir, "providers.json"),
		"BELLWETHER_TOKEN":     "bot@example.com",
	}
	file := fmt.Sprintf(`{"providers": [{"kind": "zoho", "allow_http": true, "home": "test",
		"centres": [{"code": "test", "accounts": %q, "api": [%q]}]}]}`, s.crm.URL(), s.crm.URL())
	if err := os.WriteFile(s.env["BELLWETHER_PROVIDERS"], []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Create(s.env["BELLWETHER_KEYSET"])
	if err != nil {
		t.Fatal(err)
	}
	store, err := redisstore.Open(t.Context(), s.env["BELLWETHER_REDIS"], redisstore.Config{Sealer: keys})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Save(t.Context(), s.crm.Issue("bot@example.com").Token.WithoutAccessToken()); err != nil {
		t.Fatal(err)
	}
	options, err := redis.ParseURL(s.env["BELLWETHER_REDIS"])
	if err != nil {
		t.Fatal(err)
	}
	s.jobs = redis.NewClient(options)
	t.Cleanup(func() { _ = s.jobs.Close() })
	return s
}

// left is how many jobs are not done.
func (s *stage) left(t *testing.T) int64 {
	t.Helper()
	a, err := s.jobs.LLen(t.Context(), waiting).Result()
	b, err2 := s.jobs.LLen(t.Context(), taken).Result()
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return a + b
}

func (s *stage) waitDone(t *testing.T, workers []*worker) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for s.left(t) > 0 {
		if time.Now().After(deadline) {
			for _, w := range workers {
				t.Logf("%s", w.log)
			}
			t.Fatalf("%d jobs are not done", s.left(t))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

type worker struct {
	cmd *exec.Cmd
	log *buffer
}

// buffer is a bytes.Buffer for a process that writes while a test reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (s *stage) start(t *testing.T) *worker {
	t.Helper()
	w := &worker{cmd: exec.Command(os.Args[0]), log: new(buffer)}
	w.cmd.Env = append(os.Environ(), envReplica+"=1")
	for k, v := range s.env {
		w.cmd.Env = append(w.cmd.Env, k+"="+v)
	}
	w.cmd.Stdout, w.cmd.Stderr = w.log, w.log
	if err := child.Start(w.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	return w
}
