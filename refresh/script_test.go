package refresh

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A script is a Backend for cases of the state machine that no real store can be
// brought to. What is not scripted must not be called.
type script struct {
	bellwether.Store
	peek   func(client string) (bellwether.Snapshot, error)
	lock   func() (bellwether.Lease, error)
	begin  func(bellwether.Attempt) (bellwether.BeginAnswer, error)
	commit func(bellwether.Commit) (bellwether.CommitAnswer, error)
	fail   func(bellwether.Fail) (bellwether.FailAnswer, error)
	now    func() (time.Time, bool)

	mu    sync.Mutex
	hear  func(bellwether.Event)
	calls []string
}

var _ Backend = (*script)(nil)

func (s *script) called(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, what)
}

func (s *script) count(what string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c == what {
			n++
		}
	}
	return n
}

func (s *script) Peek(_ context.Context, _, client string) (bellwether.Snapshot, error) {
	s.called("peek")
	return s.peek(client)
}

func (s *script) Lock(context.Context, string, string, time.Duration, time.Duration) (bellwether.Lease, error) {
	s.called("lock")
	if s.lock == nil {
		return newFreeLease(), nil
	}
	return s.lock()
}

func (s *script) Begin(_ context.Context, a bellwether.Attempt) (bellwether.BeginAnswer, error) {
	s.called("begin")
	return s.begin(a)
}

func (s *script) Commit(_ context.Context, c bellwether.Commit) (bellwether.CommitAnswer, error) {
	s.called("commit")
	return s.commit(c)
}

func (s *script) Fail(_ context.Context, f bellwether.Fail) (bellwether.FailAnswer, error) {
	s.called("fail")
	if s.fail == nil {
		return bellwether.FailAnswer{Applied: true, State: bellwether.StateActive}, nil
	}
	return s.fail(f)
}

func (s *script) MarkRevoking(context.Context, string) error { return nil }

func (s *script) DeleteRevoking(context.Context, string) error { return nil }

func (s *script) Subscribe(fn func(bellwether.Event)) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hear = fn
	return func() {}
}

func (s *script) Now() (time.Time, bool) {
	if s.now != nil {
		return s.now()
	}
	return time.Now().Round(0), true
}

// A freeLease is a lease that nothing renews; lose ends it.
type freeLease struct {
	ctx  context.Context
	lose context.CancelCauseFunc
}

func newFreeLease() *freeLease {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &freeLease{ctx, cancel}
}

func (l *freeLease) Context() context.Context { return l.ctx }

func (l *freeLease) Release(context.Context) error {
	l.lose(context.Canceled)
	return nil
}

// plain is a provider that makes requests to a host of the test's choice.
type plain struct {
	profile bellwether.Profile
	request func(bellwether.Token) (*http.Request, error)
	parse   func(bellwether.Token, bellwether.Answer) (bellwether.Token, error)
}

func (p plain) Name() string { return "plain" }

func (p plain) Profile() bellwether.Profile {
	if p.profile.Hosts == nil {
		p.profile.Hosts = []string{"auth.test"}
		p.profile.AllowHTTP = true
	}
	return p.profile
}

func (p plain) Request(t bellwether.Token) (*http.Request, error) {
	if p.request != nil {
		return p.request(t)
	}
	return http.NewRequest("POST", "http://auth.test/token", strings.NewReader("grant_type=refresh_token"))
}

func (p plain) Parse(t bellwether.Token, a bellwether.Answer) (bellwether.Token, error) {
	if p.parse != nil {
		return p.parse(t, a)
	}
	if a.Status != http.StatusOK {
		return bellwether.Token{}, &bellwether.ProviderError{Provider: "plain", Class: bellwether.ClassUnknown, Status: a.Status}
	}
	return bellwether.Token{AccessToken: bellwether.NewSecret("fresh"), ExpiresAt: a.Time.Add(time.Hour)}, nil
}

func (p plain) Rejects(status int, _ []byte) bool { return status == http.StatusUnauthorized }

// living is a snapshot of a token issued at t with a life of an hour.
func living(t time.Time) bellwether.Snapshot {
	return bellwether.Snapshot{
		ID: "row", Provider: "plain", Generation: 1, Cred: "cred-1", State: bellwether.StateActive, Client: "client",
		AccessToken: bellwether.NewSecret("token-1"), TokenType: "Bearer",
		IssuedAt: t.Round(0), ExpiresAt: t.Round(0).Add(time.Hour),
	}
}

func newRefresher(t testing.TB, b Backend, cfg Config) *Refresher {
	t.Helper()
	if cfg.Providers == nil {
		cfg.Providers = []bellwether.Provider{plain{}}
	}
	if cfg.jitter == nil {
		cfg.jitter = func() float64 { return 0 }
	}
	r, err := New(b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}
