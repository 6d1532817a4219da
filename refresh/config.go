package refresh

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether"
)

// Config is the configuration of a Refresher. A zero value means the documented
// default. A negative value means off, for the fields that say so.
type Config struct {
	// Providers are those that rows may name; at least one.
	Providers []bellwether.Provider

	// DialContext makes the connections of token requests. Default a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLSConfig is used for token requests. Default the system's trust store.
	TLSConfig *tls.Config
	// Proxy returns the proxy of a token request, as in http.Transport. Default
	// none; http.ProxyFromEnvironment must be asked for.
	Proxy func(*http.Request) (*url.URL, error)

	// APIHosts lists the host[:port]s of APIs that a Client may send tokens to,
	// besides the host of a row's own API domain.
	APIHosts []string

	// Observer is told what happens, from the goroutine that does the work and several
	// at a time: it must be safe for concurrent use and quick, and must not call the
	// Refresher. Default none. To count what happens:
	//
	//	Observer: func(rep refresh.Report) { counter.WithLabelValues(string(rep.Event)).Inc() },
	Observer func(Report)
	// Logger receives debug lines, none with a secret. Default slog.Default.
	Logger *slog.Logger

	// CallTimeout is the deadline of a token request, counted from before the
	// intent is written. Default 20 s.
	CallTimeout time.Duration
	// CommitBudget is how long after that the answer may take to be stored: another
	// replica waits CallTimeout + CommitBudget before it presents a rotating refresh
	// token again. Close waits that long for answers not yet stored. Default 10 s.
	CommitBudget time.Duration
	// LockTTL is the life of the row's lock without renewal. Default 10 s.
	LockTTL time.Duration
	// MaxHold is how long a lock is renewed at most. Default 60 s. CallTimeout +
	// CommitBudget must not exceed it.
	MaxHold time.Duration
	// SlowPoll is how often a waiter looks again though no event came. Default 1 s.
	SlowPoll time.Duration
	// ForcedInterval is the least time, fleet-wide, between two forced refreshes of
	// a row. Default 30 s; negative: no limit.
	ForcedInterval time.Duration
	// MaxWait bounds a Source's Token, which has no ctx. Default 30 s; negative: no
	// bound.
	MaxWait time.Duration
	// MaxStale is how long a cached token is served before the row is read again,
	// events or not. Default 5 min; negative: off.
	MaxStale time.Duration
	// L1Size is how many rows are cached in memory. Default 65,536; negative: no
	// token is served without a read of the store while that can be reached.
	L1Size int

	// CooldownBase is the pause after a first failure; it doubles with each further
	// one up to CooldownCap. Defaults 1 s and 5 min. A Retry-After wins, up to an
	// hour.
	CooldownBase time.Duration
	CooldownCap  time.Duration
	// ThrottleCooldown is the least pause after a throttle that says no time.
	// Default 30 s.
	ThrottleCooldown time.Duration

	// jitter returns numbers in [0, 1) that spread windows, cooldowns and waits. It
	// must be safe for concurrent use. Default math/rand/v2.Float64; tests set it.
	jitter func() float64
}

// Bounds that are not worth a setting.
const (
	maxRetryAfter = time.Hour              // a provider's Retry-After is believed up to this
	maxBody       = 1 << 20                // bytes of an answer of a provider
	maxPeek       = 64 << 10               // bytes of an API's answer that Rejects sees
	storeTimeout  = 5 * time.Second        // one try of one store operation
	rereadWait    = 250 * time.Millisecond // a living token is served when a re-read takes longer
	withdrawWait  = time.Second            // for an intent to be taken back before the next turn
	maxJoins      = 4                      // the first and three more
	leastPause    = 50 * time.Millisecond  // between tries at a store that is away
	mostPause     = time.Second
)

var nameRE = regexp.MustCompile(`^[a-z0-9_.-]{1,64}$`)

func (c Config) withDefaults() (Config, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.jitter == nil {
		c.jitter = rand.Float64
	}
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	c.CallTimeout = cmp.Or(c.CallTimeout, 20*time.Second)
	c.CommitBudget = cmp.Or(c.CommitBudget, 10*time.Second)
	c.LockTTL = cmp.Or(c.LockTTL, 10*time.Second)
	c.MaxHold = cmp.Or(c.MaxHold, time.Minute)
	c.SlowPoll = cmp.Or(c.SlowPoll, time.Second)
	c.ForcedInterval = max(0, cmp.Or(c.ForcedInterval, 30*time.Second))
	c.MaxWait = cmp.Or(c.MaxWait, 30*time.Second)
	c.MaxStale = cmp.Or(c.MaxStale, 5*time.Minute)
	c.L1Size = cmp.Or(c.L1Size, 1<<16)
	c.CooldownBase = cmp.Or(c.CooldownBase, time.Second)
	c.CooldownCap = cmp.Or(c.CooldownCap, 5*time.Minute)
	c.ThrottleCooldown = cmp.Or(c.ThrottleCooldown, 30*time.Second)
	return c, c.validate()
}

func (c Config) validate() error {
	invalid := func(hint, format string, args ...any) error {
		return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "configure", Detail: fmt.Sprintf(format, args...), Hint: hint}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"CallTimeout", c.CallTimeout}, {"CommitBudget", c.CommitBudget}, {"LockTTL", c.LockTTL}, {"MaxHold", c.MaxHold},
		{"SlowPoll", c.SlowPoll}, {"CooldownBase", c.CooldownBase}, {"CooldownCap", c.CooldownCap},
		{"ThrottleCooldown", c.ThrottleCooldown},
	} {
		if f.value < 0 {
			return invalid("this cannot be switched off; leave it zero for the default", "%s is %v", f.name, f.value)
		}
	}
	switch {
	case c.CallTimeout+c.CommitBudget > c.MaxHold:
		return invalid("raise MaxHold or lower CallTimeout: the lock must outlast the call and its commit",
			"CallTimeout %v + CommitBudget %v exceed MaxHold %v", c.CallTimeout, c.CommitBudget, c.MaxHold)
	case c.LockTTL > c.MaxHold:
		return invalid("lower LockTTL", "LockTTL %v exceeds MaxHold %v", c.LockTTL, c.MaxHold)
	case c.CooldownBase > c.CooldownCap:
		return invalid("lower CooldownBase", "CooldownBase %v exceeds CooldownCap %v", c.CooldownBase, c.CooldownCap)
	case len(c.Providers) == 0:
		return invalid("list the providers that rows may name", "no Providers")
	}
	var names []string
	for _, p := range c.Providers {
		if p == nil {
			return invalid("remove it", "a nil Provider")
		}
		name, prof := p.Name(), p.Profile()
		switch {
		case !nameRE.MatchString(name):
			return invalid("use lower-case letters, digits, '-', '_' and '.'", "provider name %q", name)
		case slices.Contains(names, name):
			return invalid("one provider serves all its data centres", "two providers named %q", name)
		case len(prof.Hosts) == 0:
			return invalid("list the hosts that its token requests go to", "provider %q has no Hosts", name)
		case prof.Rotation == bellwether.RotationGrace && prof.Grace <= 0:
			return invalid("say how long a used refresh token stays usable", "provider %q has no Grace", name)
		case len(prof.Quotas) > 4:
			return invalid("at most 4 are kept", "provider %q has %d quotas", name, len(prof.Quotas))
		}
		for _, q := range prof.Quotas {
			if q.N < 1 || q.N > 100 || q.Per <= 0 {
				return invalid("N is 1 to 100 and Per is positive", "provider %q has a quota of %d per %v", name, q.N, q.Per)
			}
		}
		switch prof.Rotation {
		case "", bellwether.RotationReusable, bellwether.RotationGrace, bellwether.RotationUntilSuccessorUsed, bellwether.RotationStrict:
		default:
			return invalid("use one of the Rotation constants", "provider %q has rotation %q", name, prof.Rotation)
		}
		names = append(names, name)
	}
	return nil
}

// A provider is what a Refresher keeps of a bellwether.Provider.
type provider struct {
	bellwether.Provider
	name    string
	profile bellwether.Profile
	hosts   []string // normalized
}

func newProvider(p bellwether.Provider) *provider {
	k := &provider{Provider: p, name: p.Name(), profile: p.Profile()}
	k.profile.Rotation = cmp.Or(k.profile.Rotation, bellwether.RotationStrict)
	k.profile.HeaderScheme = cmp.Or(k.profile.HeaderScheme, "Bearer")
	scheme := "https"
	if k.profile.AllowHTTP {
		scheme = "http"
	}
	for _, h := range k.profile.Hosts {
		k.hosts = append(k.hosts, normalHost(scheme, h), normalHost("https", h))
	}
	return k
}
