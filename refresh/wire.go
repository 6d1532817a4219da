package refresh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A wire is the one HTTP client for token and revocation requests. It follows no
// redirect, sends only to the hosts that a provider lists, speaks HTTP/1.1 (one
// request, one connection, one fate) and reads at most maxBody.
type wire struct {
	// pooled keeps connections for a moment. A server may close an idle one just as
	// a request is written, which then counts as sent; so what cannot be presented
	// twice goes by single, on a connection of its own.
	pooled, single *http.Transport
}

func newWire(cfg Config) *wire {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := func(keep bool) *http.Transport {
		t := &http.Transport{
			DialContext:            cfg.DialContext,
			Proxy:                  proxy(cfg.Proxy),
			Protocols:              protocols,
			DisableKeepAlives:      !keep,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        3 * time.Second,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		}
		if cfg.TLSConfig != nil {
			t.TLSClientConfig = cfg.TLSConfig.Clone()
		}
		return t
	}
	return &wire{pooled: transport(true), single: transport(false)}
}

// A proxyError is that of a Config.Proxy: no proxy was chosen, nothing was sent.
type proxyError struct{ error }

// proxy marks the errors of f, which the transport returns without a trace.
func proxy(f func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	if f == nil {
		return nil
	}
	return func(req *http.Request) (*url.URL, error) {
		u, err := f(req)
		if err != nil {
			return nil, proxyError{err}
		}
		return u, nil
	}
}

func (w *wire) close() {
	w.pooled.CloseIdleConnections()
	w.single.CloseIdleConnections()
}

// A delivery is what became of a request.
type delivery struct {
	sent   bool // false: proven not sent
	status int  // 0: no answer
	header http.Header
	body   []byte // what was read, cut or not
	err    error  // why there is no answer, or not all of it; no URL and no secret
}

// Whether a request is on its way: the end of before, or a connection, moves it on
// from waiting, and the first of the two wins.
const (
	waiting int32 = iota
	connected
	stopped
)

// send sends req once and reads the answer until ctx ends. While no connection has
// been got, the end of before stops it. What is past its deadline is not begun, though
// the timer of ctx may be late.
func (w *wire) send(ctx, before context.Context, req *http.Request, p *provider, once bool) delivery {
	if err := checkTarget(req, p); err != nil {
		return delivery{err: err}
	}
	if err := context.Cause(before); err != nil {
		return delivery{err: err}
	}
	if end, ok := ctx.Deadline(); ctx.Err() != nil || ok && !time.Now().Before(end) {
		return delivery{err: errors.New("the deadline passed before anything was sent")}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// A request is proven not sent when the transport looked for a connection and
	// never got one.
	var looked, got atomic.Bool
	var stage atomic.Int32
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { looked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) {
			got.Store(true) // though it was stopped just now, it may be written
			stage.CompareAndSwap(waiting, connected)
		},
	})
	defer context.AfterFunc(before, func() {
		if stage.CompareAndSwap(waiting, stopped) {
			cancel(context.Cause(before))
		}
	})()
	transport := w.pooled
	if once {
		transport = w.single
	}
	// An http.Client would only add redirects and cookies.
	resp, err := transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		_, unproxied := errors.AsType[proxyError](err)
		d := delivery{sent: got.Load() || !looked.Load() && !unproxied, err: plainError(err)}
		if cause := context.Cause(before); !d.sent && cause != nil {
			d.err = cause
		}
		return d
	}
	defer resp.Body.Close()
	d := delivery{sent: true, status: resp.StatusCode, header: resp.Header}
	d.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		d.err = plainError(err)
		d.body = whole(d.body)
	}
	return d
}

// redirect says where an answer points to, when it is a redirect.
func (d delivery) redirect() (host string, ok bool) {
	if d.status/100 != 3 {
		return "", false
	}
	if u, err := url.Parse(d.header.Get("Location")); err == nil {
		host = u.Host
	}
	return host, true
}

// plainError keeps the text of a transport's error, less what it quotes: that may
// be a piece of an answer. It keeps no chain, so that the end of our deadline does
// not look like the end of a caller's.
func plainError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer before the deadline")
	}
	text, _, _ := strings.Cut(err.Error(), `"`)
	if before, _, found := strings.Cut(text, "malformed"); found {
		text = before + "malformed answer"
	}
	return errors.New(strings.TrimRight(text, " :"))
}

// checkTarget refuses a request to where a provider's secrets must not go.
func checkTarget(req *http.Request, p *provider) error {
	switch {
	case req == nil || req.URL == nil || req.URL.Host == "":
		return targetError(p, "a request without a host")
	case req.URL.Scheme != "https" && (req.URL.Scheme != "http" || !p.profile.AllowHTTP):
		return targetError(p, fmt.Sprintf("a %s request to %s", req.URL.Scheme, req.URL.Host))
	case !slices.Contains(p.hosts, normalHost(req.URL.Scheme, req.URL.Host)):
		return targetError(p, fmt.Sprintf("a request to %s, which is not among its hosts", req.URL.Host))
	}
	return nil
}

func targetError(p *provider, what string) error {
	return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "refresh", Detail: fmt.Sprintf("provider %q made %s", p.name, what),
		Hint: "check AccountsURL and the provider's Profile.Hosts"}
}

// normalHost is host:port in lower case, with the port that the scheme implies.
func normalHost(scheme, host string) string {
	host = strings.ToLower(host)
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := "443"
	if scheme == "http" {
		port = "80"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// whole drops the last pair of a form that was cut: it may be a piece of a token. A
// JSON object shows by itself where it was cut.
func whole(body []byte) []byte {
	if b := bytes.TrimSpace(body); len(b) == 0 || b[0] == '{' {
		return body
	}
	return body[:max(0, bytes.LastIndexByte(body, '&'))]
}
