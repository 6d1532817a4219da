package refresh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
)

// wireTo makes a wire whose connections all lead to an http.Handler.
func wireTo(t *testing.T, h http.HandlerFunc, set func(*Config)) (*wire, *provider, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	cfg := Config{Providers: []bellwether.Provider{plain{}}}
	if set != nil {
		set(&cfg)
	}
	cfg, err := cfg.withDefaults()
	unexpected(t, err)
	w := newWire(cfg)
	t.Cleanup(w.close)
	host := strings.TrimPrefix(srv.URL, "http://")
	p := newProvider(plain{profile: bellwether.Profile{Hosts: []string{host}, AllowHTTP: true}})
	return w, p, srv.URL
}

func post(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequest("POST", url, strings.NewReader("refresh_token=hush"))
	unexpected(t, err)
	return req
}

func TestWireAnswer(t *testing.T) {
	w, p, base := wireTo(t, func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		rw.Header().Set("X-Proto", r.Proto)
		rw.WriteHeader(418)
		_, _ = rw.Write(b)
	}, nil)
	for _, once := range []bool{false, true, false} {
		d := w.send(t.Context(), t.Context(), post(t, base), p, once)
		if d.err != nil || !d.sent || d.status != 418 || string(d.body) != "refresh_token=hush" || d.header.Get("X-Proto") != "HTTP/1.1" {
			t.Errorf("delivery %+v", d)
		}
	}
}

func TestWireFollowsNoRedirect(t *testing.T) {
	hits := 0
	w, p, base := wireTo(t, func(rw http.ResponseWriter, r *http.Request) {
		hits++
		http.Redirect(rw, r, "/elsewhere", http.StatusTemporaryRedirect)
	}, nil)
	d := w.send(t.Context(), t.Context(), post(t, base), p, true)
	if _, ok := d.redirect(); !ok || d.status != 307 || hits != 1 {
		t.Errorf("status %d after %d requests", d.status, hits)
	}
}

func TestWireCapsTheBody(t *testing.T) {
	w, p, base := wireTo(t, func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write(bytes.Repeat([]byte("x"), 2*maxBody))
	}, nil)
	if d := w.send(t.Context(), t.Context(), post(t, base), p, true); len(d.body) != maxBody || d.status != 200 {
		t.Errorf("%d bytes were read, want %d", len(d.body), maxBody)
	}
}

func TestWireRefusesOtherTargets(t *testing.T) {
	w, _, _ := wireTo(t, func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") }, nil)
	p := newProvider(plain{profile: bellwether.Profile{Hosts: []string{"Auth.test", "port.test:8443"}}})
	for _, tt := range []struct {
		url string
		ok  bool
	}{
		{"https://auth.test/token", true},
		{"https://AUTH.test:443/token", true},
		{"https://port.test:8443/token", true},
		{"https://port.test/token", false},
		{"https://auth.test:444/token", false},
		{"http://auth.test/token", false},
		{"https://auth.test.evil.test/token", false},
		{"ftp://auth.test/token", false},
		{"https:///token", false},
	} {
		req := post(t, tt.url)
		if err := checkTarget(req, p); (err == nil) != tt.ok {
			t.Errorf("checkTarget(%s) = %v", tt.url, err)
		}
		if !tt.ok {
			d := w.send(t.Context(), t.Context(), req, p, false)
			if d.sent || !errors.Is(d.err, bellwether.ErrInvalid) {
				t.Errorf("%s: delivery %+v", tt.url, d)
			}
		}
	}
}

func TestWireProofOfNotSent(t *testing.T) {
	refused := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
	t.Run("dial", func(t *testing.T) {
		w, p, base := wireTo(t, func(http.ResponseWriter, *http.Request) {}, func(c *Config) { c.DialContext = refused })
		if d := w.send(t.Context(), t.Context(), post(t, base), p, true); d.sent || d.err == nil {
			t.Errorf("delivery %+v", d)
		}
	})
	t.Run("proxy", func(t *testing.T) {
		w, p, base := wireTo(t, func(http.ResponseWriter, *http.Request) {}, func(c *Config) {
			c.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("no proxy today") }
		})
		d := w.send(t.Context(), t.Context(), post(t, base), p, true)
		if d.sent || d.err == nil {
			t.Errorf("delivery %+v", d)
		}
	})
	t.Run("TLS", func(t *testing.T) {
		w, _, base := wireTo(t, func(http.ResponseWriter, *http.Request) {}, nil)
		host := strings.TrimPrefix(base, "http://")
		p := newProvider(plain{profile: bellwether.Profile{Hosts: []string{host}}})
		if d := w.send(t.Context(), t.Context(), post(t, "https://"+host), p, true); d.sent || d.err == nil {
			t.Errorf("delivery %+v", d)
		}
	})
	t.Run("deadline over", func(t *testing.T) {
		w, p, base := wireTo(t, func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") }, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if d := w.send(ctx, t.Context(), post(t, base), p, true); d.sent || d.err == nil {
			t.Errorf("delivery %+v", d)
		}
	})
	t.Run("a connection that ends counts as sent", func(t *testing.T) {
		w, p, base := wireTo(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil)
		if d := w.send(t.Context(), t.Context(), post(t, base), p, true); !d.sent || d.status != 0 {
			t.Errorf("delivery %+v", d)
		}
	})
}

// A server may close an idle connection at the moment of a write. What cannot be
// presented twice never meets one.
func TestWireUsesAFreshConnectionForWhatIsUsedOnce(t *testing.T) {
	dials := 0
	var nd net.Dialer
	count := func(c *Config) {
		c.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials++
			return nd.DialContext(ctx, network, addr)
		}
	}
	for once, want := range map[bool]int{true: 3, false: 1} {
		w, p, base := wireTo(t, func(http.ResponseWriter, *http.Request) {}, count)
		dials = 0
		for range 3 {
			w.send(t.Context(), t.Context(), post(t, base), p, once)
		}
		if dials != want {
			t.Errorf("once %v: %d connections for 3 requests, want %d", once, dials, want)
		}
	}
}

func TestWireErrorsQuoteNothing(t *testing.T) {
	for _, answer := range []string{"secret-token without a status line\r\n\r\n", "HTTP/1.1 200 OK\r\nsecret-token\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: secret-token\r\n\r\n", "HTTP/1.1 secret-token\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: secret-token\r\n\r\n"} {
		w, p, base := wireTo(t, func(rw http.ResponseWriter, _ *http.Request) {
			conn, _, err := rw.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}, nil)
		d := w.send(t.Context(), t.Context(), post(t, base+"?code=secret-token"), p, true)
		if d.err == nil || strings.Contains(d.err.Error(), "secret-token") {
			t.Errorf("%q gives the error %v", answer, d.err)
		}
	}
}

// late is a ctx past its deadline whose timer has not fired yet.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

func TestWireSendsNothingPastTheDeadline(t *testing.T) {
	w, p, base := wireTo(t, func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") }, nil)
	if d := w.send(late{t.Context()}, t.Context(), post(t, base), p, true); d.sent || d.err == nil {
		t.Errorf("delivery %+v", d)
	}
}
