package refresh

import (
	"context"
	"math"
	"time"

	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
)

// maxLife bounds remaining lives, so that deadlines cannot overflow.
const maxLife = 100 * 365 * 24 * time.Hour

// A mark remembers which changes of a row had been heard of before a read began.
type mark struct{ marks, epoch int64 }

func (r *Refresher) mark(e *entry) mark {
	e.mu.Lock()
	defer e.mu.Unlock()
	return mark{e.marks, r.epoch.Load()}
}

// newValue computes the deadlines of a snapshot. It reports false while the
// backend's clock is unknown: then nothing can be trusted to live.
func (r *Refresher) newValue(s bellwether.Snapshot) (*value, bool) {
	backendNow, ok := r.store.Now()
	if !ok {
		return nil, false
	}
	now, wall := r.now(), time.Now().Round(0)
	v := &value{
		snap: s, prov: r.providers[s.Provider],
		advisory: forever, mandatory: forever, ends: forever,
		access: Access{Token: s.AccessToken, Type: s.TokenType, APIDomain: s.APIDomain, Generation: s.Generation, Extra: s.Extra},
	}
	end := s.ExpiresAt
	if end.IsZero() && !s.IssuedAt.IsZero() && v.prov != nil && v.prov.profile.DefaultLife > 0 {
		end = s.IssuedAt.Add(v.prov.profile.DefaultLife)
	}
	switch {
	case s.AccessToken.IsZero():
		v.ends = math.MinInt64
	case !end.IsZero():
		left := min(end.Sub(backendNow), maxLife)
		window := left
		if !s.IssuedAt.IsZero() {
			// A clock that was stepped back must not lengthen a life.
			v.life = end.Sub(s.IssuedAt)
			left, window = min(left, v.life), v.life
		}
		v.ends = now + int64(left)
		v.access.ExpiresAt = wall.Add(left)
		if s.State == bellwether.StateActive && v.prov != nil {
			advisory, mandatory := windows(window)
			token, replica := draw(s.ID, s.Cred), r.cfg.jitter()
			v.advisory = v.ends - int64(narrowed(advisory, token, replica))
			v.mandatory = v.ends - int64(narrowed(mandatory, token, replica))
		}
	}
	v.oauth = &oauth2.Token{AccessToken: s.AccessToken.Reveal(), TokenType: s.TokenType, Expiry: v.access.ExpiresAt}
	if v.prov != nil && v.prov.profile.HeaderScheme != "Bearer" {
		v.oauth.TokenType = v.prov.profile.HeaderScheme
	}
	return v, true
}

// adopt takes a snapshot, read since before, into memory. It returns the row as
// read and what is best served: the value in memory when that is the newer.
func (r *Refresher) adopt(e *entry, s bellwether.Snapshot, before mark) (row, best *value, err error) {
	row, ok := r.newValue(s)
	if !ok {
		return nil, nil, clockUnknown(s.ID)
	}
	best = row
	e.mu.Lock()
	defer e.mu.Unlock()
	e.away = false
	e.client = s.Client
	fresh := before == mark{e.marks, r.epoch.Load()}
	switch cur := e.cur.Load(); {
	case e.kept != nil && s.Cred == e.kept.commit.Attempt.Expected && s.State != bellwether.StateRevoking:
		// Our own answer is newer, but not stored yet.
		if kept, ok := r.newValue(e.kept.snap); ok {
			best = kept
		}
	case cur == nil:
	case s.Generation < cur.snap.Generation && cur.ends >= row.ends:
		// The store has lost a write, or this read is an old one. What we have is good
		// while it lives; begin decides what follows.
		if cur.lives(r.now()) {
			best = cur
		}
	case s.Generation < cur.snap.Generation:
		e.high = s.Generation // others have gone on from the lost write
	}
	e.learnLocked(row)
	if s.Generation > e.high {
		e.high = s.Generation
		e.marks++ // a read under way may be an older one, and the event will be no news
	}
	r.installLocked(e, best, fresh)
	return row, best, nil
}

// learnLocked takes the whole life of a token from a row that a refresh has written.
func (e *entry) learnLocked(v *value) {
	if v != nil && v.snap.Generation == e.committed && v.life > 0 {
		e.fresh = v.life
	}
}

// installLocked makes v the entry's value; fresh says that nothing newer is known.
func (r *Refresher) installLocked(e *entry, v *value, fresh bool) {
	if cur := e.cur.Load(); cur != nil && cur != v {
		v.former = cur.former
		if !cur.snap.AccessToken.Equal(v.snap.AccessToken) {
			v.former = cur.snap.AccessToken
		}
		if cur.snap.Cred != v.snap.Cred || cur.snap.Generation != v.snap.Generation {
			clear(e.denials)
		}
	}
	v.readAt = r.now()
	v.stale.Store(!fresh)
	v.next.Store(0)
	r.scheduleLocked(e, v)
	if !e.evicted {
		e.cur.Store(v)
	}
}

// scheduleLocked sets the deadline until which v is served without a second look.
func (r *Refresher) scheduleLocked(e *entry, v *value) {
	now := r.now()
	if v.stale.Load() || !v.lives(now) || r.cfg.L1Size < 0 {
		return
	}
	next := v.ends
	if r.cfg.MaxStale > 0 {
		next = min(next, v.readAt+int64(r.cfg.MaxStale))
	}
	switch {
	case now < v.advisory:
		next = min(next, v.advisory)
	case now < v.mandatory:
		next = min(next, v.mandatory, e.restLocked(bellwether.AttemptBackground, now, r.cfg.SlowPoll))
	default:
		next = min(next, e.restLocked(bellwether.AttemptMandatory, now, r.cfg.SlowPoll))
	}
	v.next.Store(next)
}

// schedule is scheduleLocked for the current value.
func (r *Refresher) schedule(e *entry, v *value) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cur.Load() == v {
		r.scheduleLocked(e, v)
	}
}

// restLocked is when an attempt of this kind is worth making again.
func (e *entry) restLocked(k bellwether.AttemptKind, now int64, least time.Duration) int64 {
	rest := now + int64(least)
	if d := e.denials[k]; d != nil {
		rest = max(rest, d.until)
	}
	return rest
}

// due reports whether v must be read again before it is served.
func (r *Refresher) due(e *entry, v *value) bool {
	if v == nil || v.stale.Load() || r.cfg.L1Size < 0 {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return r.cfg.MaxStale > 0 && r.now() >= v.readAt+int64(r.cfg.MaxStale)
}

// read reads the row once and adopts it. Whoever goes on to an attempt names the client,
// so that its cooldown is read along; for serving it is not needed.
func (r *Refresher) read(ctx context.Context, e *entry, client string) (row, best *value, err error) {
	if err := r.awaitClock(ctx, e.id); err != nil {
		return nil, nil, err
	}
	before := r.mark(e)
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	s, err := r.store.Peek(ctx, e.id, client)
	if err == nil {
		return r.adopt(e, s, before)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if isNotFound(err) {
		e.dropLocked()
		e.high, e.committed = 0, 0
	}
	return nil, nil, storeError("read", e.id, err)
}

// awaitClock gives the backend a moment to learn its clock again after a suspend.
func (r *Refresher) awaitClock(ctx context.Context, id string) error {
	for range 60 {
		if _, ok := r.store.Now(); ok {
			return nil
		}
		if err := pause(ctx, nil, leastPause); err != nil {
			break
		}
	}
	return clockUnknown(id)
}

// newer is what another caller has read since old was seen, if that can be gone by.
func (r *Refresher) newer(e *entry, old *value) *value {
	if cur := e.cur.Load(); cur != old && !r.due(e, cur) {
		return cur
	}
	return nil
}

// reread reads the row again after old was found wanting, once for all callers that
// ask meanwhile. While old lives it waits only a moment, and gives old back when the
// store does not answer, or what has become known meanwhile.
func (r *Refresher) reread(ctx context.Context, e *entry, old *value) (*value, error) {
	rd := r.startReading(e, old)
	var patience <-chan time.Time
	if old.lives(r.now()) {
		e.mu.Lock()
		d := rereadWait
		if e.away {
			d = 0 // whoever comes first has waited
		}
		e.mu.Unlock()
		t := time.NewTimer(d)
		defer t.Stop()
		patience = t.C
	}
	var err error
	select {
	case <-rd.done:
		if rd.err == nil {
			return rd.v, nil
		}
		err = rd.err
	case <-patience:
		err = errSlowStore
	case <-ctx.Done():
		err = &bellwether.Error{Op: "get", ID: e.id, Err: ctx.Err()}
	}
	cur := e.cur.Load()
	if isNotFound(err) || !cur.lives(r.now()) {
		return nil, err
	}
	if cur != old {
		if old != nil && cur.snap.Generation < old.snap.Generation {
			return nil, err
		}
		return cur, nil // another caller was luckier
	}
	// Serve what lives, and ask again a little later.
	e.mu.Lock()
	defer e.mu.Unlock()
	e.away = true
	old.next.Store(min(old.ends, r.now()+int64(r.cfg.SlowPoll)))
	return old, nil
}
