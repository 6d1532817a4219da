package refresh

import (
	"errors"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
)

func TestConfig(t *testing.T) {
	host := func(p bellwether.Profile) bellwether.Provider {
		p.Hosts = []string{"auth.test"}
		return plain{profile: p}
	}
	one := []bellwether.Provider{plain{}}
	for _, tt := range []struct {
		name string
		cfg  Config
		ok   bool
	}{
		{"defaults", Config{Providers: one}, true},
		{"the demo's", Config{Providers: one, CallTimeout: 4 * time.Second, MaxHold: 14 * time.Second, CommitBudget: 2 * time.Second, LockTTL: 3 * time.Second}, true},
		{"off where it may be", Config{Providers: one, ForcedInterval: -1, MaxWait: -1, MaxStale: -1, L1Size: -1}, true},
		{"no providers", Config{}, false},
		{"a nil provider", Config{Providers: []bellwether.Provider{nil}}, false},
		{"twins", Config{Providers: []bellwether.Provider{plain{}, plain{}}}, false},
		{"a bad name", Config{Providers: []bellwether.Provider{named{plain{}, "No"}}}, false},
		{"no hosts", Config{Providers: []bellwether.Provider{plain{profile: bellwether.Profile{Hosts: []string{}}}}}, false},
		{"grace without a time", Config{Providers: []bellwether.Provider{host(bellwether.Profile{Rotation: bellwether.RotationGrace})}}, false},
		{"a made-up rotation", Config{Providers: []bellwether.Provider{host(bellwether.Profile{Rotation: "sometimes"})}}, false},
		{"five quotas", Config{Providers: []bellwether.Provider{host(bellwether.Profile{Quotas: make([]bellwether.Quota, 5)})}}, false},
		{"an endless quota", Config{Providers: []bellwether.Provider{host(bellwether.Profile{Quotas: []bellwether.Quota{{N: 101, Per: 1}}})}}, false},
		{"a call that outlasts the lock", Config{Providers: one, CallTimeout: 55 * time.Second}, false},
		{"a lock that outlasts its hold", Config{Providers: one, LockTTL: 2 * time.Minute}, false},
		{"no lock", Config{Providers: one, LockTTL: -1}, false},
		{"cooldowns the wrong way round", Config{Providers: one, CooldownBase: time.Hour}, false},
	} {
		_, err := tt.cfg.withDefaults()
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, bellwether.ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if e, ok := errors.AsType[*bellwether.Error](err); ok && e.Hint == "" {
			t.Errorf("%s: no hint in %v", tt.name, err)
		}
	}
	if _, err := New(nil, Config{Providers: one}); !errors.Is(err, bellwether.ErrInvalid) {
		t.Errorf("New(nil) gives %v", err)
	}
	c, err := Config{Providers: one, ForcedInterval: -1}.withDefaults()
	if err != nil || c.ForcedInterval != 0 || c.CallTimeout != 20*time.Second {
		t.Errorf("%v, %v, %v", c.ForcedInterval, c.CallTimeout, err)
	}
}

type named struct {
	bellwether.Provider
	name string
}

func (n named) Name() string { return n.name }
