package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/bellwether-go/bellwether/internal/child"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/provider/providerfile"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

// A replica of the tests is this binary, started again.
const envReplica = "BELLWETHER_TEST_REPLICA"

func TestMain(m *testing.M) {
	if os.Getenv(envReplica) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestReplicasShareOneRefresh: three replicas, each a process, with many visitors at
// once make one call of the provider; when the CRM rejects that token, one more.
func TestReplicasShareOneRefresh(t *testing.T) {
	const replicas, visitors = 3, 20
	s := newStage(t)
	var fleet []*replica
	for range replicas {
		fleet = append(fleet, s.start(t))
	}
	for round := range 2 {
		var wg sync.WaitGroup
		for _, r := range fleet {
			for range visitors {
				wg.Go(func() {
					status, body, err := visit(r.url)
					if err != nil || status != http.StatusOK || !strings.Contains(body, "bot@example.com") {
						t.Errorf("round %d: %d %q, %v", round, status, body, err)
					}
				})
			}
		}
		wg.Wait()
		s.crm.ExpireAccess("")
	}
	if got := s.crm.Calls(); got != 2 {
		t.Errorf("%d token calls, want 2: one for the first visitors and one when the CRM rejected that token", got)
	}
	for i, r := range fleet {
		if err := r.end(); err != nil {
			t.Errorf("replica %d: %v\n%s", i, err, r.log.String())
		}
	}
}

// TestVisitorsAreToldWhen: a throttle and a dead grant are 503, the first with the
// time to come back.
func TestVisitorsAreToldWhen(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault oauthtest.Fault
		want  string
		after bool
	}{
		{"throttle", oauthtest.ErrorBody(200, "Access Denied"), "asks to wait", true},
		{"dead grant", oauthtest.ErrorBody(200, "invalid_code"), "sign in to the CRM again", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t)
			s.crm.Inject(test.fault)
			w := httptest.NewRecorder()
			s.handler(t).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/contacts", nil))
			if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("%d %q, want 503 with %q", w.Code, w.Body, test.want)
			}
			if got := w.Header().Get("Retry-After") != ""; got != test.after {
				t.Errorf("Retry-After is there: %v, want %v", got, test.after)
			}
		})
	}
}

func visit(url string) (status int, body string, err error) {
	resp, err := http.Get(url + "/contacts")
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// A stage is a Redis, a CRM that speaks as Zoho does, and a row that has no access
// token yet.
type stage struct {
	crm   *oauthtest.Server
	store *redisstore.Store
	id    string
	env   map[string]string
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
	s.store, err = redisstore.Open(t.Context(), s.env["BELLWETHER_REDIS"], redisstore.Config{Sealer: keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	row, err := s.store.Save(t.Context(), s.crm.Issue("bot@example.com").Token.WithoutAccessToken())
	if err != nil {
		t.Fatal(err)
	}
	s.id = row.ID
	return s
}

// handler is the service in this process.
func (s *stage) handler(t *testing.T) http.Handler {
	t.Helper()
	providers, err := providerfile.Open(s.env["BELLWETHER_PROVIDERS"])
	if err != nil {
		t.Fatal(err)
	}
	r, err := refresh.New(s.store, refresh.Config{Providers: providers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return newHandler(r, s.id)
}

type replica struct {
	cmd *exec.Cmd
	url string
	log bytes.Buffer // to be read when the process has ended
	eof chan struct{}
}

var readyLine = regexp.MustCompile(`web is ready.* url=(http://\S+)`)

// start starts a replica and waits until it serves.
func (s *stage) start(t *testing.T) *replica {
	t.Helper()
	r := &replica{cmd: exec.Command(os.Args[0], "-listen", "127.0.0.1:0"), eof: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), envReplica+"=1")
	for k, v := range s.env {
		r.cmd.Env = append(r.cmd.Env, k+"="+v)
	}
	out, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(r.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	ready := make(chan string, 1)
	go func() {
		defer close(r.eof)
		defer close(ready)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(&r.log, lines.Text())
			if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
				ready <- m[1]
			}
		}
	}()
	select {
	case url, ok := <-ready:
		if !ok {
			t.Fatalf("a replica ended: %v\n%s", r.cmd.Wait(), r.log.String())
		}
		r.url = url
	case <-time.After(30 * time.Second):
		t.Fatal("a replica does not serve")
	}
	return r
}

// end asks the replica to end as an operator does; it must do so in good order.
func (r *replica) end() error {
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-r.eof
	return r.cmd.Wait()
}
