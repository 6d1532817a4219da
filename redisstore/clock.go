package redisstore

import (
	"sync"
	"time"
)

// jump is how far the wall clock may run from the monotonic clock within one
// tick before the machine is taken to have been suspended.
const jump = 2 * time.Second

// clock maps the local monotonic clock to Redis's clock. No wall clock enters, so
// a stepped one changes nothing. A sample says what the server's clock was at some
// moment after the request left; taking it for the moment of leaving makes now
// early by nothing and late by at most one round trip: a token is never trusted
// past its end.
type clock struct {
	mu     sync.Mutex
	at     time.Time     // local, monotonic, when the kept sample was asked for
	wall   time.Time     // the same moment by the wall clock
	server time.Time     // what the server said
	trip   time.Duration // how long the answer took
	valid  bool
}

// keepFor is how long the better of two samples may be preferred to the newer.
const keepFor = time.Minute

// sample takes one reading; asked is a local time with its monotonic reading.
func (c *clock) sample(asked time.Time, server time.Time) {
	trip := time.Since(asked)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.valid && trip > c.trip && asked.Sub(c.at) < keepFor {
		// The kept sample is tighter. It stays unless the server's clock was stepped:
		// then the two disagree by more than this reading's error.
		if d := server.Sub(c.server.Add(asked.Sub(c.at))); d > -time.Millisecond && d <= trip+time.Millisecond {
			return
		}
	}
	c.at, c.wall, c.server, c.trip, c.valid = asked, asked.Round(0), server, trip, true
}

// now is the server's clock, never behind it; false while it is unknown.
func (c *clock) now() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.valid {
		return time.Time{}, false
	}
	return c.server.Add(time.Since(c.at)), true
}

// earliest is a time that the server's clock has reached by now; zero while it is
// unknown.
func (c *clock) earliest() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.valid {
		return time.Time{}
	}
	return c.server.Add(time.Since(c.at) - c.trip)
}

// sound reports whether there is a mapping, and the two local clocks have run alike
// since it was made.
func (c *clock) sound() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return c.valid && !jumped(now.Round(0).Sub(c.wall), now.Sub(c.at))
}

// forget voids the mapping: the monotonic clock did not run while the machine was
// suspended.
func (c *clock) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.valid = false
}

// elapsed is how far the wall clock and the monotonic clock have run since an
// earlier reading of both.
func elapsed(before, now time.Time) (wall, mono time.Duration) {
	return now.Round(0).Sub(before.Round(0)), now.Sub(before)
}

// jumped reports whether the two have run apart: one was stepped, or the other
// stood still while the machine was suspended.
func jumped(wall, mono time.Duration) bool { return (wall - mono).Abs() > jump }
