package oauthtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/bellwether-go/bellwether"
)

// Dialect says how the server spells its answers.
type Dialect string

// The dialects.
const (
	// RFC6749 answers errors with status 400 or 401, a throttle with 429.
	RFC6749 Dialect = "rfc6749"
	// Zoho answers errors and its throttle with status 200, says invalid_code for
	// a dead refresh token and gives an api_domain.
	Zoho Dialect = "zoho"
)

// A Config describes a server. The zero Config is a strict RFC 6749 server whose
// access tokens live one hour.
type Config struct {
	Dialect Dialect // blank is RFC6749

	// Name is the provider's name in tokens; blank is "oauthtest", or "zoho" in
	// the Zoho dialect.
	Name string

	// Rotation says what happens to a used refresh token; blank is strict, or
	// reusable in the Zoho dialect, which has no other. A use that the rotation
	// forbids is a replay.
	Rotation bellwether.Rotation
	// Grace is the time in which a used refresh token stays usable, counted from
	// its first use; only with RotationGrace.
	Grace time.Duration

	// AccessLife is the life of an access token: 0 is one hour, negative never
	// ends and is not told. Answers tell whole seconds.
	AccessLife time.Duration
	// RefreshLife is the life of a refresh token, told as
	// refresh_token_expires_in; 0 never ends.
	RefreshLife time.Duration
	// MaxAccess is how many access tokens of a grant live at once: one more ends
	// the oldest. 0 is no limit.
	MaxAccess int

	// Latency is how long a token call takes before it commits. A caller that
	// leaves meanwhile has changed nothing.
	Latency time.Duration
	// Quotas limits the tokens issued per refresh token, over its rotations.
	Quotas []bellwether.Quota

	// ClientID and ClientSecret are the OAuth client; blank is "test-client" and
	// a random secret. AddClient adds others.
	ClientID     string
	ClientSecret bellwether.Secret

	// ErrorStatus is the HTTP status of errors in the Zoho dialect; 0 is 200.
	ErrorStatus int
	// OldExpires makes the Zoho dialect answer its older form: expires_in in
	// milliseconds, and expires_in_sec.
	OldExpires bool
}

// A Server is the provider. Its methods are safe for concurrent use.
type Server struct {
	cfg      Config
	http     *http.Server
	pipe     *pipeListener
	done     chan struct{}  // closed by Close
	handlers sync.WaitGroup // requests being served
	serving  sync.WaitGroup // accept loops
	book     book

	mu      sync.Mutex // guards what follows
	base    string     // scheme and host
	piped   bool       // the pipe is being served
	closed  bool
	refuse  int // dials to refuse
	latency time.Duration
	faults  []Fault
	log     logbook

	standing *Fault // of every call that takes none of faults; may be nil
}

// New returns a server that is reached through DialContext, after Start over
// loopback too, or as an http.Handler. It panics when cfg contradicts itself.
func New(cfg Config) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg:     cfg,
		pipe:    newPipeListener(),
		done:    make(chan struct{}),
		base:    pipeURL,
		latency: cfg.Latency,
	}
	s.book.init(cfg)
	s.http = &http.Server{Handler: s}
	return s
}

func (c Config) withDefaults() Config {
	if c.Dialect == "" {
		c.Dialect = RFC6749
	}
	if c.Rotation == "" {
		c.Rotation = bellwether.RotationStrict
		if c.Dialect == Zoho {
			c.Rotation = bellwether.RotationReusable
		}
	}
	if c.Name == "" {
		c.Name = "oauthtest"
		if c.Dialect == Zoho {
			c.Name = "zoho"
		}
	}
	if c.AccessLife == 0 {
		c.AccessLife = time.Hour
	}
	if c.ClientID == "" {
		c.ClientID = "test-client"
	}
	if c.ClientSecret.IsZero() {
		c.ClientSecret = newSecret("cs")
	}
	if c.ErrorStatus == 0 {
		c.ErrorStatus = http.StatusOK
	}
	switch {
	case c.Dialect != RFC6749 && c.Dialect != Zoho:
		panic("oauthtest: unknown dialect " + string(c.Dialect))
	case c.Dialect == Zoho && c.Rotation != bellwether.RotationReusable:
		panic("oauthtest: the Zoho dialect does not rotate refresh tokens")
	case (c.Rotation == bellwether.RotationGrace) != (c.Grace > 0):
		panic("oauthtest: Grace goes with RotationGrace")
	}
	return c
}

// pipeURL is the base URL while the server is reached by DialContext alone; the
// name resolves nowhere (RFC 6761).
const pipeURL = "http://oauth.test"

// URL returns the base URL: that of Start, or one that only DialContext reaches.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base
}

// TokenURL returns the URL of the token endpoint.
func (s *Server) TokenURL() string { return s.URL() + s.path("/token", "/oauth/v2/token") }

// RevokeURL returns the URL of the revocation endpoint.
func (s *Server) RevokeURL() string { return s.URL() + s.path("/revoke", "/oauth/v2/token/revoke") }

// APIURL returns the URL of the protected API.
func (s *Server) APIURL() string { return s.URL() + s.path("/api/me", "/crm/v8/org") }

func (s *Server) path(rfc, zoho string) string {
	if s.cfg.Dialect == Zoho {
		return zoho
	}
	return rfc
}

func (s *Server) String() string { return "oauthtest " + s.URL() }

// Format implements fmt.Formatter, so that no verb reaches the tokens issued.
func (s *Server) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s *Server) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Start serves on a free port of the loopback address too and returns the base
// URL, which is also URL's from now on.
func (s *Server) Start() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = l.Close()
		return "", http.ErrServerClosed
	}
	s.base = "http://" + l.Addr().String()
	s.serving.Go(func() { _ = s.http.Serve(l) }) // ends by Close, as ErrServerClosed
	return s.base, nil
}

// DialContext connects to the server over net.Pipe, whatever the address: the
// DialContext of an http.Transport. In a synctest bubble call New inside it too.
func (s *Server) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	s.mu.Lock()
	refused := s.refuse > 0
	if refused {
		s.refuse--
	}
	if !refused && !s.piped && !s.closed {
		s.piped = true
		s.serving.Go(func() { _ = s.http.Serve(s.pipe) })
	}
	s.mu.Unlock()
	if refused {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused by oauthtest")}
	}
	return s.pipe.dial(ctx)
}

// RefuseDials makes the next n calls of DialContext fail: nothing is sent then.
func (s *Server) RefuseDials(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = n
}

// SetLatency changes Config.Latency for the calls that begin from now on.
func (s *Server) SetLatency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
}

// Close ends every connection and waits for the handlers.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.mu.Unlock()
	close(s.done)
	_ = s.pipe.Close()
	_ = s.http.Close()
	s.serving.Wait()
	s.handlers.Wait()
}

// ServeHTTP implements http.Handler. Faults that drop a connection panic with
// http.ErrAbortHandler, which an http.Server understands.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	s.handlers.Add(1)
	s.mu.Unlock()
	defer s.handlers.Done()
	s.route(w, r)
}
