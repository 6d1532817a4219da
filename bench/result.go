package bench

import (
	"fmt"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/report"
)

// Mode names a scenario.
type Mode string

// The scenarios of Run, in their order.
const (
	// ModeWithout: each replica has an x/oauth2 source that reads the shared store
	// before it refreshes and writes it afterwards, as a careful team builds it.
	ModeWithout Mode = "without"
	// ModeBellwether: each replica has a refresh.Refresher.
	ModeBellwether Mode = "bellwether"
	// ModeHolderKilled: as ModeBellwether, with Zoho's profile; the replica that leads
	// is killed while the provider holds its call.
	ModeHolderKilled Mode = "holder_killed"
)

// A Result is what one herd met. Its JSON has these fields and no others.
type Result struct {
	Mode     Mode `json:"mode"`
	Replicas int  `json:"replicas"`
	Callers  int  `json:"callers"` // in each replica

	ProviderCalls int `json:"provider_calls"`
	// Replays are uses of a refresh token that was spent.
	Replays int `json:"replays"`
	// FailedCallers got no token, or one that the provider's API refuses. Callers of a
	// killed replica are not among them, nor in any other figure.
	FailedCallers int  `json:"failed_callers"`
	GrantAlive    bool `json:"grant_alive"`

	// Handover is the time from when the first new token was about to be written to
	// Redis to the return of each caller that got a token. Nil when none was written.
	Handover *report.Percentiles `json:"handover_ms"`
	// ExtraWait is the time from the release of the herd to each caller's return, less
	// the service time that the provider logged for the call that brought the token
	// (the shortest, when several did). A failed caller counts with all of its wait.
	ExtraWait *report.Percentiles `json:"extra_wait_ms"`

	// RedisCommands were sent by all replicas between release and last return;
	// connection set-up, ping and time apart.
	RedisCommands int64 `json:"redis_commands"`

	// Story is what else a reader may want to know.
	Story Story `json:"-"`
}

// A Story holds the parts of a run that are told and not measured.
type Story struct {
	Took     time.Duration // from release to the last caller's return
	Profile  string
	Failures map[string]int   // what failed callers were told, and how many of them
	Commands map[string]int64 // Redis commands by name
	Waits    report.Histogram // what Result.ExtraWait is made of
	Timeline []report.Mark
	// GrantsLost are those that were dead at the end.
	GrantsLost int
	// Late are the replicas that read the order to begin when the callers were due
	// already, and Early the callers that still got the token that had ended, before the
	// provider can have answered: their replicas were not told in time. A round with
	// either says nothing of times.
	Late, Early int
	// SignInsLost are rows that no longer hold what a sign-in during the round stored.
	SignInsLost int

	// The rest is of ModeHolderKilled.

	Killed    int           // number of the replica
	KilledPID int           // its process id
	LockLeft  time.Duration // what was left of its lock
	NextCall  time.Duration // from the kill to the next call of the provider
	killed    time.Time
}

// Survivors is how many callers a Result counts.
func (r Result) Survivors() int {
	n := r.Replicas * r.Callers
	if r.Mode == ModeHolderKilled {
		n -= r.Callers
	}
	return n
}

// Check returns an error when Bellwether did not do what it promises. There is
// nothing to promise of ModeWithout.
func (r Result) Check() error {
	calls := 1
	switch r.Mode {
	case ModeBellwether:
	case ModeHolderKilled:
		calls = 2
	default:
		return nil
	}
	broken := func(format string, args ...any) error {
		return &bellwether.Error{Op: "demo " + string(r.Mode), Detail: fmt.Sprintf(format, args...)}
	}
	switch {
	case r.ProviderCalls != calls:
		return broken("%d provider calls, want %d", r.ProviderCalls, calls)
	case r.Replays != 0:
		return broken("%d replays of a spent refresh token", r.Replays)
	case r.FailedCallers != 0:
		return broken("%d of %d callers failed", r.FailedCallers, r.Survivors())
	case !r.GrantAlive:
		return broken("the grant is dead")
	}
	return nil
}
