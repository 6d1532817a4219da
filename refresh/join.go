package refresh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A wish is what a caller asks of a token beyond being alive, and how hard it may
// press for it.
type wish struct {
	kind     bellwether.AttemptKind
	minTTL   time.Duration
	rejected bellwether.Secret
	anew     bool   // only other credentials than since
	dated    bool   // since is known
	since    string // the cred when the call began; what came later meets minTTL
}

// met reports whether v can be handed out.
func (w wish) met(v *value, now int64) bool {
	switch {
	case !v.lives(now):
		return false
	case !w.rejected.IsZero() && v.snap.AccessToken.Equal(w.rejected):
		return false
	case w.dated && v.snap.Cred != w.since:
		return true
	case w.anew:
		return false
	default:
		return w.minTTL <= 0 || v.ends == forever || now+int64(w.minTTL) <= v.ends
	}
}

// settled reports whether an attempt for this wish has become needless.
func (w wish) settled(v *value, now int64) bool {
	if !w.met(v, now) {
		return false
	}
	switch w.kind {
	case bellwether.AttemptBackground:
		return now < v.advisory
	case bellwether.AttemptMandatory:
		return now < v.mandatory
	default:
		return true
	}
}

// A landing is how a flight ended: with a value, or with an error that is meant
// for the kinds of callers in only (all, when it is empty).
type landing struct {
	v    *value
	err  error
	only []bellwether.AttemptKind
}

func (l landing) concerns(k bellwether.AttemptKind) bool {
	return len(l.only) == 0 || slices.Contains(l.only, k)
}

// A denial remembers why no attempt is made, so that callers do not ask the store
// over and over. It is forgotten at the next event for the row.
type denial struct {
	err   *bellwether.Error
	until int64
}

// deny records err for attempts of the given kinds until its time. Where callers
// are told the error they are told for one slow poll only: an event may be lost.
func (r *Refresher) deny(e *entry, err *bellwether.Error, kinds ...bellwether.AttemptKind) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.denials == nil {
		e.denials = make(map[bellwether.AttemptKind]*denial)
	}
	until, soon := r.mono(err.Until), r.now()+int64(r.cfg.SlowPoll)
	for _, k := range kinds {
		d := &denial{err, until}
		if k != bellwether.AttemptBackground && (until == 0 || until > soon) {
			d.until = soon
		}
		e.denials[k] = d
	}
}

func (r *Refresher) denied(e *entry, k bellwether.AttemptKind) *bellwether.Error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.denials[k]; d != nil && r.now() < d.until {
		return d.err
	}
	return nil
}

// get is Get and Refresh past the fast path. With ErrMinTTL it returns a value
// and an error.
func (r *Refresher) get(ctx context.Context, id string, w wish) (*value, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if r.isClosed() {
		return nil, errClosed
	}
	e := r.l1.pin(id)
	defer e.unpin()
	if !w.rejected.IsZero() {
		w.kind = bellwether.AttemptForced
	}
	v, err := r.current(ctx, e, w)
	if err != nil {
		return nil, err
	}
	minTTL := w.minTTL
	if r.beyondReach(e, minTTL) {
		w.minTTL = 0 // calling for it would be in vain
	}
	w.dated, w.since = true, v.snap.Cred
	if v, err = r.obtain(ctx, e, v, w); err != nil {
		return nil, err
	}
	return r.checkLife(v, minTTL)
}

// current is the value to start from, read again when it may have changed.
func (r *Refresher) current(ctx context.Context, e *entry, w wish) (*value, error) {
	v := e.cur.Load()
	again := r.due(e, v) || w.anew
	if !w.rejected.IsZero() && v != nil && !v.snap.AccessToken.Equal(w.rejected) && !v.former.Equal(w.rejected) {
		again = true // which of the two is the newer?
	}
	for tries := 0; again && tries < 3; tries++ {
		var err error
		if v, err = r.reread(ctx, e, v); err != nil {
			return nil, err
		}
		again = v.stale.Load() // an event came while it was read
	}
	return v, nil
}

// beyondReach reports whether no token of this row is known to live that long.
func (r *Refresher) beyondReach(e *entry, ttl time.Duration) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fresh > 0 && ttl > e.fresh
}

// checkLife turns a token whose whole life is too short into ErrMinTTL.
func (r *Refresher) checkLife(v *value, ttl time.Duration) (*value, error) {
	if ttl <= 0 || v.ends == forever || r.now()+int64(ttl) <= v.ends || (v.life > 0 && ttl <= v.life) {
		return v, nil
	}
	return v, &bellwether.Error{Kind: bellwether.ErrMinTTL, Op: "get", ID: v.snap.ID,
		Detail: fmt.Sprintf("asked for %v, a fresh token lives %v", ttl, v.life.Round(time.Second)),
		Hint:   "ask for less; the token is returned with this error"}
}

// obtain serves v, or what a flight brings.
func (r *Refresher) obtain(ctx context.Context, e *entry, v *value, w wish) (*value, error) {
	joins, waits := 0, 0
	for {
		if v == nil { // deleted, or the clock jumped
			var err error
			if v, err = r.current(ctx, e, w); err != nil {
				return nil, err
			}
		}
		now := r.now()
		if v.snap.State == bellwether.StateRevoking {
			return nil, stateError(v.snap.ID, v.prov, v.snap.State, nil)
		}
		if w.met(v, now) {
			switch {
			case now < v.advisory:
				r.schedule(e, v)
				return v, nil
			case now < v.mandatory:
				r.ahead(e, v)
				return v, nil
			case w.kind == bellwether.AttemptMandatory && r.denied(e, w.kind) != nil, joins > 0:
				r.schedule(e, v)
				return v, nil
			}
		}
		var l landing
		heard := e.watch()
		if d := r.denied(e, w.kind); d != nil {
			l.err = r.address(d, w)
		} else {
			l = r.join(ctx, e, v, w)
			joins++
		}
		if v = e.cur.Load(); l.err == nil {
			v = l.v
			if w.met(v, r.now()) {
				return v, nil
			}
			if joins < maxJoins {
				continue
			}
			l.err = &bellwether.Error{Kind: bellwether.ErrProvider, Op: "refresh", ID: e.id,
				Detail: "the refreshed token is none that this caller can use"}
		}
		if w.met(v, r.now()) && !isDecided(l.err) {
			// A failed refresh is no reason to refuse a token that lives.
			r.schedule(e, v)
			r.note(EventServedCurrent, Report{ID: e.id, Generation: v.snap.Generation, Err: l.err})
			return v, nil
		}
		if joins < maxJoins && !l.concerns(w.kind) {
			continue
		}
		if until, ok := recovering(l.err); ok && waits < maxJoins && inside(ctx, until) {
			waits++
			if err := r.outwait(ctx, e, v, heard, until); err != nil {
				return nil, &bellwether.Error{Op: "get", ID: e.id, Err: err}
			}
			continue
		}
		return nil, r.address(l.err, w)
	}
}

// outwait waits for an unresolved attempt: until its time, an event, or other
// credentials than v's, which a slow poll finds when the event was lost.
func (r *Refresher) outwait(ctx context.Context, e *entry, v *value, heard <-chan struct{}, until time.Time) error {
	for {
		left := r.untilLocal(until)
		if err := pause(ctx, heard, min(left, r.cfg.SlowPoll)); err != nil {
			return err
		}
		if left <= r.cfg.SlowPoll || isDone(heard) {
			return nil
		}
		cur, err := r.reread(ctx, e, v)
		switch {
		case err == nil && (v == nil || cur.snap.Cred != v.snap.Cred), isDecided(err):
			return nil
		case err == nil:
			v = cur
		}
	}
}

// awaitHolder waits until the row v, locked by another replica for left, is worth another
// turn: an event came, the lock may have ended, or a slow poll is due.
func (r *Refresher) awaitHolder(ctx context.Context, e *entry, v *value, heard <-chan struct{}, left time.Duration) error {
	asked := time.Now()
	left = max(left, 0) + time.Duration(r.cfg.jitter()*float64(leastPause))
	if !v.snap.Intent {
		// The holder has not begun. If begin denies, it leaves without an event.
		if err := pause(ctx, heard, min(left, leastPause)); err != nil || isDone(heard) {
			return err
		}
		row, _, err := r.read(ctx, e, "")
		if err != nil || !row.snap.Intent || row.snap.Cred != v.snap.Cred || failedSince(row, v) {
			return nil
		}
	}
	return pause(ctx, heard, min(left-time.Since(asked), r.cfg.SlowPoll))
}

// failedSince reports whether an attempt has failed between two looks at a row. One of
// unknown outcome leaves its intent behind, and its event may be lost.
func failedSince(row, before *value) bool {
	was, is := before.snap.Failure, row.snap.Failure
	return is != nil && (was == nil || is.Count != was.Count || !is.At.Equal(was.At))
}

// inside reports whether ctx lasts until then.
func inside(ctx context.Context, until time.Time) bool {
	d, ok := ctx.Deadline()
	return !ok || until.Before(d)
}

// untilLocal is how long it is until a local time, with a little jitter so that
// replicas do not all come at once.
func (r *Refresher) untilLocal(t time.Time) time.Duration {
	return max(0, time.Until(t)) + time.Duration(r.cfg.jitter()*float64(leastPause))
}

// address words an error for the caller: a forced interval means another thing
// to one whose token was rejected than to an operator.
func (r *Refresher) address(err error, w wish) error {
	e, ok := errors.AsType[*bellwether.Error](err)
	if !ok || e.Kind != bellwether.ErrRejected || !w.anew {
		return err
	}
	c := *e
	c.Kind, c.Detail = bellwether.ErrThrottled, "it was refreshed by force a moment ago"
	return &c
}

// join waits for the one flight of this row in this replica, started when there
// is none. The flight does not end with its callers.
func (r *Refresher) join(ctx context.Context, e *entry, v *value, w wish) landing {
	ch := r.flights.DoChan(e.id, func() (any, error) {
		if cur := r.newer(e, v); cur != nil && w.settled(cur, r.now()) {
			return landing{v: cur}, nil // a flight has landed meanwhile
		}
		return r.fly(e.id, w), nil
	})
	select {
	case res := <-ch:
		return res.Val.(landing)
	case <-ctx.Done():
		return landing{err: &bellwether.Error{Op: "get", ID: e.id, Err: ctx.Err()}}
	}
}

// ahead starts one background attempt and waits for nothing.
func (r *Refresher) ahead(e *entry, v *value) {
	r.schedule(e, v) // callers pass until the next slow poll
	if r.denied(e, bellwether.AttemptBackground) != nil {
		return
	}
	w := wish{kind: bellwether.AttemptBackground}
	_ = r.flights.DoChan(e.id, func() (any, error) { return r.fly(e.id, w), nil })
}
