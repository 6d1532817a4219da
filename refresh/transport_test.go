package refresh

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// wiretap is a base transport that remembers what it was given, and counts bodies.
type wiretap struct {
	base http.RoundTripper
	mu   sync.Mutex
	seen []*http.Request
	open int // response bodies not closed
}

func (w *wiretap) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.seen = append(w.seen, req)
	w.mu.Unlock()
	resp, err := w.base.RoundTrip(req)
	if err == nil {
		w.mu.Lock()
		w.open++
		w.mu.Unlock()
		resp.Body = &countedBody{ReadCloser: resp.Body, w: w}
	}
	return resp, err
}

type countedBody struct {
	io.ReadCloser
	w    *wiretap
	once sync.Once
}

func (b *countedBody) Close() error {
	b.once.Do(func() { b.w.mu.Lock(); defer b.w.mu.Unlock(); b.w.open-- })
	return b.ReadCloser.Close()
}

func (w *wiretap) authorizations() (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.seen {
		out = append(out, r.Header.Get("Authorization"))
	}
	return out
}

// apiClient is a fleet of one with a row for the server's API.
func withClient(t *testing.T, srv oauthtest.Config, set func(*Config), f func(t *testing.T, fl *fleet, tok bellwether.Token, g oauthtest.Grant, c *http.Client, w *wiretap)) {
	t.Helper()
	inBubble(t, 1, srv, set, func(t *testing.T, fl *fleet) {
		g := fl.srv.Issue("bob")
		g.Token.APIDomain = fl.srv.URL()
		tok := fl.save(g.Token)
		tr := &http.Transport{DialContext: fl.srv.DialContext}
		t.Cleanup(tr.CloseIdleConnections)
		w := &wiretap{base: tr}
		f(t, fl, tok, g, fl.replicas[0].Client(tok.ID, w), w)
		if w.open != 0 {
			t.Errorf("%d response bodies were left open", w.open)
		}
	})
}

// body reads and closes an answer.
func body(t *testing.T, resp *http.Response, err error) (int, string) {
	t.Helper()
	unexpected(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	unexpected(t, err)
	return resp.StatusCode, string(b)
}

func TestClientSendsTheToken(t *testing.T) {
	for dialect, scheme := range map[oauthtest.Dialect]string{oauthtest.RFC6749: "Bearer", oauthtest.Zoho: "Zoho-oauthtoken"} {
		t.Run(string(dialect), func(t *testing.T) {
			withClient(t, oauthtest.Config{Dialect: dialect}, nil, func(t *testing.T, fl *fleet, tok bellwether.Token, _ oauthtest.Grant, c *http.Client, w *wiretap) {
				req, err := http.NewRequestWithContext(t.Context(), "GET", fl.srv.APIURL(), nil)
				unexpected(t, err)
				resp, err := c.Do(req)
				if status, _ := body(t, resp, err); status != 200 {
					t.Errorf("status %d", status)
				}
				if got := w.authorizations()[0]; got != scheme+" "+tok.AccessToken.Reveal() {
					t.Errorf("header has scheme %q", strings.Fields(got)[0])
				}
				if len(req.Header) != 0 {
					t.Error("the caller's request was changed")
				}
			})
		})
	}
}

func TestClientReplacesARejectedToken(t *testing.T) {
	withClient(t, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet, tok bellwether.Token, g oauthtest.Grant, c *http.Client, w *wiretap) {
		fl.mustGet(tok.ID)
		fl.srv.ExpireAccess(g.ID)
		resp, err := c.Post(fl.srv.APIURL(), "text/plain", strings.NewReader("hello")) // has GetBody
		status, text := body(t, resp, err)
		if status != 200 || !strings.Contains(text, "hello") {
			t.Errorf("status %d, body %s", status, text)
		}
		fl.wantCalls(1)
		fl.wantSeen(EventRejected, 1)
		fl.wantSeen(EventReplayed, 1)
		if n := len(w.seen); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

func TestClientWithoutGetBodyHandsBackThe401(t *testing.T) {
	withClient(t, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet, tok bellwether.Token, g oauthtest.Grant, c *http.Client, w *wiretap) {
		fl.mustGet(tok.ID)
		fl.srv.ExpireAccess(g.ID)
		resp, err := c.Post(fl.srv.APIURL(), "text/plain", io.MultiReader(strings.NewReader("hello")))
		status, text := body(t, resp, err)
		if status != 401 || !strings.Contains(text, "invalid_token") {
			t.Errorf("status %d, body %q; want the API's own 401", status, text)
		}
		if n := len(w.seen); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		synctest.Wait() // what it started behind its back
		// The next request finds another token.
		resp, err = c.Get(fl.srv.APIURL())
		if status, _ := body(t, resp, err); status != 200 {
			t.Errorf("then status %d", status)
		}
		fl.wantCalls(1)
	})
}

func TestClientReplaysOnce(t *testing.T) {
	withClient(t, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet, tok bellwether.Token, g oauthtest.Grant, c *http.Client, w *wiretap) {
		fl.mustGet(tok.ID)
		fl.srv.Kill(g.ID) // no token will do, and none can be had
		for range 3 {
			resp, err := c.Get(fl.srv.APIURL())
			status, text := body(t, resp, err)
			if status != 401 || !strings.Contains(text, "invalid_token") {
				t.Errorf("status %d, body %q; want the API's own 401", status, text)
			}
		}
		fl.wantCalls(1)
		if n := len(w.seen); n != 3 {
			t.Errorf("%d requests, want 3", n)
		}
	})
}

func TestClientNeverRefreshesForAScope(t *testing.T) {
	for _, dialect := range []oauthtest.Dialect{oauthtest.RFC6749, oauthtest.Zoho} {
		withClient(t, oauthtest.Config{Dialect: dialect}, nil, func(t *testing.T, fl *fleet, _ bellwether.Token, _ oauthtest.Grant, c *http.Client, _ *wiretap) {
			resp, err := c.Get(fl.srv.URL() + "/api/scope")
			status, text := body(t, resp, err)
			if status/100 != 4 || !strings.Contains(strings.ToLower(text), "scope") {
				t.Errorf("status %d, body %q", status, text)
			}
			fl.wantCalls(0)
		})
	}
}

func TestClientSendsTheTokenNowhereElse(t *testing.T) {
	set := func(c *Config) { c.APIHosts = []string{"Extra.test:8080"} }
	withClient(t, oauthtest.Config{}, set, func(t *testing.T, fl *fleet, tok bellwether.Token, _ oauthtest.Grant, c *http.Client, w *wiretap) {
		for _, url := range []string{"http://evil.test/api/me", "http://oauth.test.evil.test/", "http://oauth.test:81/api/me", "ftp://oauth.test/"} {
			_, err := c.Get(url)
			if e := wantKind(t, err, bellwether.ErrInvalid); e.Hint == "" {
				t.Error("no hint")
			}
		}
		if len(w.seen) != 0 {
			t.Error("a request went out")
		}
		for _, url := range []string{"http://OAUTH.test:80/api/me", "http://extra.TEST:8080/api/me"} {
			resp, err := c.Get(url)
			if status, _ := body(t, resp, err); status != 200 {
				t.Errorf("%s: status %d", url, status)
			}
		}
	})
	t.Run("a closed body for a refused request", func(t *testing.T) {
		withClient(t, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet, _ bellwether.Token, _ oauthtest.Grant, c *http.Client, _ *wiretap) {
			b := &closable{Reader: strings.NewReader("x")}
			if _, err := c.Post("http://evil.test/", "text/plain", b); err == nil || !b.closed {
				t.Errorf("error %v, body closed %v", err, b.closed)
			}
		})
	})
	t.Run("https unless the provider allows http", func(t *testing.T) {
		s := living(time.Now())
		s.APIDomain = "https://api.test"
		p := plain{profile: bellwether.Profile{Hosts: []string{"auth.test"}}}
		r := newRefresher(t, &script{peek: func(string) (bellwether.Snapshot, error) { return s, nil }}, Config{Providers: []bellwether.Provider{p}})
		_, err := r.Client("row", roundTrip(func(*http.Request) (*http.Response, error) {
			t.Error("sent in clear")
			return nil, errors.New("no")
		})).Get("http://api.test/")
		wantKind(t, err, bellwether.ErrInvalid)
	})
}

type closable struct {
	io.Reader
	closed bool
}

func (c *closable) Close() error { c.closed = true; return nil }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer is a canned answer of an API.
func answer(req *http.Request, status int, body io.Reader, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(body), Request: req, ProtoMajor: 1, ProtoMinor: 1}
}

func TestClientRedirectedElsewhereGoesWithoutTheToken(t *testing.T) {
	s := living(time.Now())
	s.APIDomain = "https://api.test"
	r := newRefresher(t, &script{peek: func(string) (bellwether.Snapshot, error) { return s, nil }}, Config{})
	got := map[string]string{}
	c := r.Client("row", roundTrip(func(req *http.Request) (*http.Response, error) {
		got[req.URL.Host] = req.Header.Get("Authorization")
		if req.URL.Host == "api.test" {
			return answer(req, 302, strings.NewReader(""), http.Header{"Location": {"https://cdn.test/file"}}), nil
		}
		return answer(req, 200, strings.NewReader("file"), nil), nil
	}))
	resp, err := c.Get("https://api.test/file")
	if status, text := body(t, resp, err); status != 200 || text != "file" {
		t.Errorf("status %d, body %q", status, text)
	}
	if got["api.test"] != "Bearer token-1" || got["cdn.test"] != "" {
		t.Error("the token went elsewhere, or not where it belongs")
	}
}

// A long 4xx is handed on whole, though only its beginning is looked at.
func TestClientRestoresThePeekedBody(t *testing.T) {
	s := living(time.Now())
	s.APIDomain = "https://api.test"
	r := newRefresher(t, &script{peek: func(string) (bellwether.Snapshot, error) { return s, nil }}, Config{})
	long := bytes.Repeat([]byte("0123456789abcdef"), maxPeek/8)
	c := r.Client("row", roundTrip(func(req *http.Request) (*http.Response, error) {
		return answer(req, 404, bytes.NewReader(long), nil), nil
	}))
	resp, err := c.Get("https://api.test/")
	if _, text := body(t, resp, err); text != string(long) {
		t.Errorf("%d bytes arrived, want %d", len(text), len(long))
	}
	broken := errors.New("cut")
	c = r.Client("row", roundTrip(func(req *http.Request) (*http.Response, error) {
		return answer(req, 404, io.MultiReader(strings.NewReader("part"), errReader{broken}), nil), nil
	}))
	resp, err = c.Get("https://api.test/")
	unexpected(t, err)
	text, err := io.ReadAll(resp.Body)
	if string(text) != "part" || !errors.Is(err, broken) {
		t.Errorf("%q and %v arrived", text, err)
	}
}

// While a forced refresh is denied, a request that cannot be sent again asks the store
// for none.
func TestClientDoesNotRenewWhileDenied(t *testing.T) {
	withClient(t, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet, tok bellwether.Token, g oauthtest.Grant, c *http.Client, _ *wiretap) {
		fl.mustGet(tok.ID)
		reject := func() {
			t.Helper()
			fl.srv.ExpireAccess(g.ID)
			resp, err := c.Post(fl.srv.APIURL(), "text/plain", io.MultiReader(strings.NewReader("hello")))
			if status, _ := body(t, resp, err); status != 401 {
				t.Errorf("status %d, want 401", status)
			}
			synctest.Wait() // what it started behind its back
		}
		reject() // makes another token
		reject() // is told that it is too soon
		before := fl.replicas[0].store.total()
		for range 5 {
			reject()
		}
		if n := fl.replicas[0].store.total() - before; n != 0 {
			t.Errorf("%d store operations", n)
		}
		fl.wantCalls(1)
	})
}
