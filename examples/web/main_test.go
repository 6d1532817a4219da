package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/bellwether-go/bellwether/internal/exampletest"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/provider/providerfile"
	"github.com/bellwether-go/bellwether/refresh"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

var ready = regexp.MustCompile(`web is ready.* url=(http://\S+)`)

// TestReplicasShareOneRefresh: three replicas, each a process, with many visitors at
// once make one call of the provider; when the CRM rejects that token, one more.
func TestReplicasShareOneRefresh(t *testing.T) {
	const replicas, visitors = 3, 20
	s := exampletest.New(t)
	var fleet []*exampletest.Replica
	for range replicas {
		fleet = append(fleet, s.Start(t, "-listen", "127.0.0.1:0"))
	}
	for round := range 2 {
		var wg sync.WaitGroup
		for _, r := range fleet {
			url := r.WaitFor(t, ready)
			for range visitors {
				wg.Go(func() {
					status, body, err := visit(url)
					if err != nil || status != http.StatusOK || !strings.Contains(body, exampletest.User) {
						t.Errorf("round %d: %d %q, %v", round, status, body, err)
					}
				})
			}
		}
		wg.Wait()
		s.CRM.ExpireAccess("")
	}
	if got := s.CRM.Calls(); got != 2 {
		t.Errorf("%d token calls, want 2: one for the first visitors and one when the CRM rejected that token", got)
	}
	for i, r := range fleet {
		if err := r.End(); err != nil {
			t.Errorf("replica %d: %v\n%s", i, err, r.Output())
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
			s := exampletest.New(t)
			s.CRM.Inject(test.fault)
			w := httptest.NewRecorder()
			handler(t, s).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/contacts", nil))
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

// handler is the service in this process.
func handler(t *testing.T, s *exampletest.Stage) http.Handler {
	t.Helper()
	providers, err := providerfile.Open(s.Env["BELLWETHER_PROVIDERS"])
	if err != nil {
		t.Fatal(err)
	}
	r, err := refresh.New(s.Store, refresh.Config{Providers: providers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return newHandler(r, s.Row.ID)
}
