package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

// TestWorkersShareOneRefresh runs three worker processes on one row whose access
// token has yet to come: all jobs are done with one call of the provider. When the
// API rejects that token it is one more.
func TestWorkersShareOneRefresh(t *testing.T) {
	const replicas, jobs = 3, 60
	s := newStage(t)
	var workers []*exampletest.Replica
	for range replicas {
		workers = append(workers, s.Start(t))
	}
	for range 2 {
		for i := range jobs {
			s.jobs.LPush(t.Context(), waiting, fmt.Sprintf("/crm/v8/Contacts/%d", i))
		}
		s.waitDone(t, workers)
		s.CRM.ExpireAccess("")
	}
	if got := s.CRM.Calls(); got != 2 {
		t.Errorf("%d token calls, want 2: one for the first jobs and one when the API rejected that token", got)
	}
	if st := s.CRM.Stats(); st.APICalls-st.APIRejected < 2*jobs {
		t.Errorf("%d of %d API calls rejected, want at least %d that are not", st.APIRejected, st.APICalls, 2*jobs)
	}
	var ends sync.WaitGroup
	for i, w := range workers {
		ends.Go(func() {
			if err := w.End(); err != nil {
				t.Errorf("worker %d: %v\n%s", i, err, w.Output())
			}
		})
	}
	ends.Wait()
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
			for k, v := range s.Env {
				t.Setenv(k, v)
			}
			t.Setenv(env, "")
			if _, ok := errors.AsType[*bellwether.Error](run(t.Context())); !ok {
				t.Errorf("no *bellwether.Error without %s", env)
			}
		})
	}
}

type stage struct {
	*exampletest.Stage
	jobs *redis.Client
}

func newStage(t *testing.T) stage {
	t.Helper()
	s := exampletest.New(t)
	options, err := redis.ParseURL(s.Env["BELLWETHER_REDIS"])
	if err != nil {
		t.Fatal(err)
	}
	jobs := redis.NewClient(options)
	t.Cleanup(func() { _ = jobs.Close() })
	return stage{s, jobs}
}

// left is how many jobs are not done.
func (s stage) left(t *testing.T) int64 {
	t.Helper()
	a, err := s.jobs.LLen(t.Context(), waiting).Result()
	b, err2 := s.jobs.LLen(t.Context(), taken).Result()
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return a + b
}

func (s stage) waitDone(t *testing.T, workers []*exampletest.Replica) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for s.left(t) > 0 {
		if time.Now().After(deadline) {
			for _, w := range workers {
				t.Log(w.Output())
			}
			t.Fatalf("%d jobs are not done", s.left(t))
		}
		time.Sleep(10 * time.Millisecond)
	}
}
