package bench

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether"
)

// Options say what Run does. Zero values mean the defaults.
type Options struct {
	Replicas int           // processes; 2 to 64, default 8
	Callers  int           // goroutines in each; 1 to 10,000, default 250
	Latency  time.Duration // how long the provider takes for a call; at most 3 s, default 1 s
	Profile  string        // how the provider treats used refresh tokens; one of Profiles, default strict
	Redis    string        // URL as redisstore.Open takes it; blank: an embedded one
	Timeout  time.Duration // of the whole run; default 60 s
}

// Bounds of Options. A replica killed while it leads must leave another one, and a
// call must end before the demo's call deadline.
const (
	minReplicas = 2
	maxReplicas = 64
	maxCallers  = 10_000
	maxLatency  = 3 * time.Second
)

// Profiles are the values of Options.Profile.
func Profiles() []string {
	return []string{"strict", "grace", "until_successor_used", "reusable", "zoho"}
}

func (o Options) withDefaults() (Options, error) {
	o.Replicas = cmp.Or(o.Replicas, 8)
	o.Callers = cmp.Or(o.Callers, 250)
	o.Latency = cmp.Or(o.Latency, time.Second)
	o.Profile = cmp.Or(o.Profile, "strict")
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	invalid := func(hint, format string, args ...any) error {
		return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "demo", Detail: fmt.Sprintf(format, args...), Hint: hint}
	}
	switch {
	case o.Replicas < minReplicas || o.Replicas > maxReplicas:
		return o, invalid(fmt.Sprintf("use %d to %d", minReplicas, maxReplicas), "%d replicas", o.Replicas)
	case o.Callers < 1 || o.Callers > maxCallers:
		return o, invalid(fmt.Sprintf("use 1 to %d", maxCallers), "%d callers", o.Callers)
	case o.Replicas*o.Callers > maxAllCallers:
		return o, invalid(fmt.Sprintf("use %d or fewer", maxAllCallers), "%d callers in %d replicas are %d", o.Callers, o.Replicas, o.Replicas*o.Callers)
	case o.Latency < 0 || o.Latency > maxLatency:
		return o, invalid(fmt.Sprintf("use at most %v", maxLatency), "a provider latency of %v", o.Latency)
	case o.Timeout < 0:
		return o, invalid("leave it out for one minute", "a timeout of %v", o.Timeout)
	case !slices.Contains(Profiles(), o.Profile):
		return o, invalid("use "+strings.Join(Profiles(), ", "), "profile %q", o.Profile)
	}
	if o.Redis != "" {
		if !validRedisURL(o.Redis) {
			// Neither the URL nor the parser's error is quoted: both hold the password.
			return o, invalid("write it as redis://user:password@host:6379/0", "the Redis URL is not understood")
		}
	}
	return o, nil
}

func validRedisURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme)
}

// grace is how long a used refresh token stays usable in profile grace.
const grace = 30 * time.Second

// Times are the settings of refresh.Config that a run scales down.
type Times struct {
	CallTimeout, CommitBudget, LockTTL, MaxHold time.Duration
	CooldownBase, CooldownCap                   time.Duration
}

// demoTimes let a killed holder be replaced within seconds.
var demoTimes = Times{
	CallTimeout:  4 * time.Second,
	CommitBudget: 2 * time.Second,
	LockTTL:      3 * time.Second,
	MaxHold:      14 * time.Second,
}
