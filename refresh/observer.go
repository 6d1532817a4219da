package refresh

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/bellwether-go/bellwether"
)

// An Observer is told what a Refresher does. Every hook may be nil. Hooks are
// called from the goroutine that does the work, several at a time: they must be
// safe for concurrent use and quick, and must not call the Refresher. A hit in
// memory calls none.
type Observer struct {
	// Waiting: another replica holds the lock of the row.
	Waiting func(Report)
	// Calling: a token request is about to be sent.
	Calling func(Report)
	// Committing: a new token is about to be stored; Report.At is the moment before.
	Committing func(Report)
	// Refreshed: a new token of ours is stored.
	Refreshed func(Report)
	// Adopted: another replica's token was taken over after waiting for it.
	Adopted func(Report)

	// Refused: the provider says that the refresh token or code is dead.
	Refused func(Report)
	// Throttled: the provider asks for fewer calls, in an answer that consumed
	// nothing.
	Throttled func(Report)
	// Unspent: another failure that consumed nothing, as a connection refused.
	Unspent func(Report)
	// Unknown: a request was sent and it is not known what it did.
	Unknown func(Report)
	// Denied: a cooldown, a quota or the forced interval forbids an attempt.
	Denied func(Report)
	// Recovering: an attempt of unknown outcome has to be waited for.
	Recovering func(Report)
	// Regressed: the store has lost a write that this replica had seen.
	Regressed func(Report)
	// ReauthRequired: the row needs a new sign-in; Report.Reason says why.
	ReauthRequired func(Report)

	// CommitRetried: the store could not be reached with a new token; it is served
	// from memory and offered again.
	CommitRetried func(Report)
	// CommitSibling, CommitStale, CommitGone: the fence did not take a new token,
	// since another attempt came first, the credentials were replaced, or the row
	// was deleted.
	CommitSibling func(Report)
	CommitStale   func(Report)
	CommitGone    func(Report)
	// CommitLost: Close gave up on a token that could not be stored.
	CommitLost func(Report)

	// LockLost: the lock ended before the request was sent; nothing was sent.
	LockLost func(Report)
	// ServedCurrent: a refresh failed and the current token was served.
	ServedCurrent func(Report)
	// Rejected: an API refused a token (only a Client sees that).
	Rejected func(Report)
	// Replayed: a request to an API was sent again with another token.
	Replayed func(Report)
	// Revoked: a grant was revoked and its row deleted.
	Revoked func(Report)
	// Resynced: events may have been missed; rows are read again before use.
	Resynced func(Report)
	// ClockJumped: the machine was suspended; everything in memory was dropped.
	ClockJumped func(Report)
	// Panicked: a Provider or a Backend panicked; callers got an error.
	Panicked func(Report)
}

// A Report is what a hook is told. Fields that do not apply are zero. It holds no
// secret.
type Report struct {
	ID         string
	Provider   string
	Kind       bellwether.AttemptKind
	Generation int64
	Class      bellwether.Class
	Code       string // the provider's error code
	Status     int    // HTTP status of the provider's answer
	Reason     bellwether.Reason
	Sent       bool          // false: proven not sent
	Duration   time.Duration // of the provider call
	At         time.Time     // when, on the local clock
	Until      time.Time     // when trying again makes sense, on the local wall clock
	Err        error
}

// note tells a hook, which may be nil, and the debug log.
func (r *Refresher) note(what string, hook func(Report), rep Report) {
	rep.At = time.Now()
	if r.cfg.Logger.Enabled(context.Background(), slog.LevelDebug) {
		r.cfg.Logger.LogAttrs(context.Background(), slog.LevelDebug, "bellwether: "+what, rep.attrs()...)
	}
	if hook == nil {
		return
	}
	defer func() {
		// A hook that panics must not cost the answer that was to be stored next.
		if p := recover(); p != nil {
			r.cfg.Logger.Error("bellwether: panic in an Observer hook", "hook", what, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		}
	}()
	hook(rep)
}

func (p Report) attrs() []slog.Attr {
	var a []slog.Attr
	text := func(k, v string) {
		if v != "" {
			a = append(a, slog.String(k, v))
		}
	}
	text("id", p.ID)
	text("provider", p.Provider)
	text("class", string(p.Class))
	text("code", p.Code)
	text("reason", string(p.Reason))
	if p.Generation != 0 {
		a = append(a, slog.Int64("generation", p.Generation))
	}
	if p.Status != 0 {
		a = append(a, slog.Int("status", p.Status))
	}
	if p.Duration != 0 {
		a = append(a, slog.Duration("duration", p.Duration))
	}
	if !p.Until.IsZero() {
		a = append(a, slog.Time("until", p.Until))
	}
	if p.Err != nil {
		a = append(a, slog.String("err", p.Err.Error()))
	}
	return a
}
