package refresh

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/bellwether-go/bellwether"
)

// An Event names what a Refresher did or saw. The names do not change: they may be
// the values of a metric's label. Later versions may have more.
type Event string

// What a Config.Observer is told. A hit in memory is no event.
const (
	// EventWaiting: another replica holds the lock of the row.
	EventWaiting Event = "waiting"
	// EventCalling: a token request is about to be sent.
	EventCalling Event = "calling"
	// EventCommitting: a new token is about to be stored; Report.At is the moment before.
	EventCommitting Event = "committing"
	// EventRefreshed: a new token of ours is stored.
	EventRefreshed Event = "refreshed"
	// EventAdopted: another replica's token was taken over after waiting for it.
	EventAdopted Event = "adopted"

	// EventRefused: the provider says that the refresh token or code is dead. Where
	// Report.Reason is set, the row needs a new sign-in.
	EventRefused Event = "refused"
	// EventThrottled: the provider asks for fewer calls, in an answer that consumed
	// nothing.
	EventThrottled Event = "throttled"
	// EventUnspent: another failure that consumed nothing, as a connection refused.
	EventUnspent Event = "unspent"
	// EventUnknown: a request was sent and it is not known what it did.
	EventUnknown Event = "unknown"
	// EventDenied: a cooldown, a quota or the forced interval forbids an attempt.
	EventDenied Event = "denied"
	// EventRecovering: an attempt of unknown outcome has to be waited for.
	EventRecovering Event = "recovering"
	// EventRegressed: the store has lost a write that this replica had seen.
	EventRegressed Event = "regressed"
	// EventReauthRequired: the row needs a new sign-in though no provider has refused
	// it to this replica; Report.Reason says why. Replicas that find it so while they
	// begin a refresh report it each.
	EventReauthRequired Event = "reauth_required"

	// EventCommitRetried: the store could not be reached with a new token; it is served
	// from memory and offered again.
	EventCommitRetried Event = "commit_retried"
	// EventCommitSibling: the fence did not take a new token, since another attempt
	// came first.
	EventCommitSibling Event = "commit_sibling"
	// EventCommitStale: the fence did not take a new token, since the credentials were
	// replaced.
	EventCommitStale Event = "commit_stale"
	// EventCommitGone: the fence did not take a new token, since the row was deleted.
	EventCommitGone Event = "commit_gone"
	// EventCommitLost: Close gave up on a token that could not be stored.
	EventCommitLost Event = "commit_lost"

	// EventLockLost: the lock ended before the request was sent; nothing was sent.
	EventLockLost Event = "lock_lost"
	// EventServedCurrent: a refresh failed and the current token was served.
	EventServedCurrent Event = "served_current"
	// EventRejected: an API refused a token (only a Client sees that).
	EventRejected Event = "rejected"
	// EventReplayed: a request to an API was sent again with another token.
	EventReplayed Event = "replayed"
	// EventRevoked: a grant was revoked and its row deleted.
	EventRevoked Event = "revoked"
	// EventResynced: events of the store may have been missed; rows are read again
	// before use.
	EventResynced Event = "resynced"
	// EventClockJumped: the machine was suspended; everything in memory was dropped.
	EventClockJumped Event = "clock_jumped"
	// EventPanicked: a Provider or a Backend panicked; callers got an error.
	EventPanicked Event = "panicked"
)

// A Report is what a Config.Observer is told. Fields that do not apply are zero. It
// holds no secret.
type Report struct {
	Event      Event
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

// note tells the Observer and the debug log.
func (r *Refresher) note(event Event, rep Report) {
	rep.Event, rep.At = event, time.Now()
	if r.cfg.Logger.Enabled(context.Background(), slog.LevelDebug) {
		r.cfg.Logger.LogAttrs(context.Background(), slog.LevelDebug, "bellwether: "+string(event), rep.attrs()...)
	}
	if r.cfg.Observer == nil {
		return
	}
	defer func() {
		// An Observer that panics must not cost the answer that was to be stored next.
		if p := recover(); p != nil {
			r.cfg.Logger.Error("bellwether: panic in the Observer", "event", string(event), "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		}
	}()
	r.cfg.Observer(rep)
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
