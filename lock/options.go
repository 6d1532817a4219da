package lock

import (
	"fmt"
	"time"

	"github.com/bellwether-go/bellwether"
)

// The defaults of Options.
const (
	DefaultTTL     = 10 * time.Second
	DefaultMaxHold = 60 * time.Second
	maxTimeout     = time.Second
)

// minTTL leaves three renewals of at least one millisecond, Redis's unit: a TTL
// that rounds to zero would delete the key.
const minTTL = 10 * time.Millisecond

// Options say how long a lease lasts. Zero values mean the defaults.
type Options struct {
	// TTL is how long the key outlives its holder: 10 s by default, at least
	// 10 ms, counted in whole milliseconds. It is renewed every TTL/3.
	TTL time.Duration
	// MaxHold is how long the key can be held in all, 60 s by default. Renewals
	// do not reach beyond it.
	MaxHold time.Duration
	// Margin is how long before the key's end the lease is no longer trusted:
	// TTL/10 by default, negative for none. It covers clocks that run at
	// different rates, and the time a holder takes to notice.
	Margin time.Duration
	// Timeout bounds each renewal and each release: TTL/3, but at most 1 s, by
	// default.
	Timeout time.Duration
}

// withDefaults fills in the defaults and checks the result.
func (o Options) withDefaults() (Options, error) {
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.MaxHold == 0 {
		o.MaxHold = DefaultMaxHold
	}
	o.TTL = min(o.TTL, o.MaxHold).Truncate(time.Millisecond)
	if o.TTL < minTTL {
		return o, fmt.Errorf("lock: %w: TTL %v and MaxHold %v must be at least %v", bellwether.ErrInvalid, o.TTL, o.MaxHold, minTTL)
	}
	switch {
	case o.Margin == 0:
		o.Margin = o.TTL / 10
	case o.Margin < 0:
		o.Margin = 0
	case o.Margin >= o.TTL:
		return o, fmt.Errorf("lock: %w: Margin %v leaves nothing of TTL %v", bellwether.ErrInvalid, o.Margin, o.TTL)
	}
	if o.Timeout == 0 {
		o.Timeout = min(o.TTL/3, maxTimeout)
	}
	if o.Timeout < 0 {
		return o, fmt.Errorf("lock: %w: Timeout %v", bellwether.ErrInvalid, o.Timeout)
	}
	return o, nil
}
