package refresh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A flight makes at most this many attempts that came to nothing before a request
// was sent (lock lost, credentials changed) before it gives up.
const maxTurns = 5

var allKinds = []bellwether.AttemptKind{bellwether.AttemptBackground, bellwether.AttemptMandatory, bellwether.AttemptForced}

// fly is the one refresh of a row in this replica: it waits for another replica's,
// or makes its own attempt. It has its own budget and no caller's ctx.
func (r *Refresher) fly(id string, w wish) (l landing) {
	if !r.enter() {
		return landing{err: errClosed}
	}
	defer r.leave()
	defer func() {
		if p := recover(); p != nil {
			r.cfg.Logger.Error("bellwether: panic in a refresh", "id", id, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			l = landing{err: panicked("refresh", id, p)}
			r.note(EventPanicked, Report{ID: id, Kind: w.kind, Err: l.err})
		}
	}()
	ctx, cancel := context.WithTimeout(r.ctx, 2*r.cfg.MaxHold)
	defer cancel()
	e := r.l1.pin(id)
	defer e.unpin()
	if err := r.awaitKept(ctx, e); err != nil {
		return landing{err: err}
	}
	var failed *landing
	waited := false
	for turns := 0; ; {
		heard := e.watch()
		v, best, err := r.read(ctx, e, e.knownClient())
		if err != nil {
			return landing{err: r.unlessClosed(err)}
		}
		if w.settled(best, r.now()) {
			if waited {
				r.note(EventAdopted, Report{ID: id, Provider: v.snap.Provider, Kind: w.kind, Generation: best.snap.Generation})
			}
			return landing{v: best}
		}
		if err := r.refusal(e, v); err != nil {
			return landing{err: err}
		}
		if failed != nil {
			return *failed
		}
		nonce := rand.Text()
		lease, err := r.lock(ctx, id, nonce)
		if held, ok := errors.AsType[*bellwether.LockedError](err); ok {
			if w.kind == bellwether.AttemptBackground {
				return landing{err: errBusy, only: []bellwether.AttemptKind{w.kind}}
			}
			if !waited {
				r.note(EventWaiting, Report{ID: id, Provider: v.snap.Provider, Kind: w.kind})
			}
			waited = true
			if r.awaitHolder(ctx, e, v, heard, held.Remaining) != nil {
				return landing{err: r.unlessClosed(gaveUp(id, "another replica holds the lock"))}
			}
			continue
		}
		if err != nil {
			return landing{err: r.unlessClosed(storeError("refresh", id, err))}
		}
		l, again := r.attempt(ctx, e, v, w, lease, nonce)
		switch {
		case !again:
			return l
		case l.v != nil || l.err != nil:
			failed = &l // unless the row shows something newer
		}
		if turns++; turns >= maxTurns {
			return landing{err: r.unlessClosed(gaveUp(id, "the lock or the credentials changed again and again"))}
		}
	}
}

func gaveUp(id, why string) error {
	return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "refresh", ID: id, Detail: why}
}

// unlessClosed is err, or ErrClosed when that is why it happened.
func (r *Refresher) unlessClosed(err error) error {
	if r.ctx.Err() != nil {
		return errClosed
	}
	return err
}

var errBusy = &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "refresh", Detail: "another replica is refreshing"}

// refusal is why no attempt can be made on v, or nil.
func (r *Refresher) refusal(e *entry, v *value) error {
	s := &v.snap
	if s.State != bellwether.StateActive {
		err := stateError(s.ID, v.prov, s.State, s.Failure)
		r.deny(e, err, allKinds...)
		return err
	}
	if now, ok := r.store.Now(); ok && s.Cooldown.Until.After(now) {
		err := r.cooled(v, s.Cooldown)
		r.deny(e, err, allKinds...)
		r.note(EventDenied, Report{ID: s.ID, Provider: s.Provider, Class: s.Cooldown.Class,
			Code: s.Cooldown.Code, Until: err.Until, Generation: s.Generation})
		return err
	}
	if v.prov == nil {
		return &bellwether.Error{Kind: bellwether.ErrUnknownProvider, Op: "refresh", ID: s.ID, Detail: fmt.Sprintf("%q", s.Provider),
			Hint: "add it to Config.Providers"}
	}
	return nil
}

// cooled words a cooldown, believed for no longer than one can be written for.
func (r *Refresher) cooled(v *value, c bellwether.Cooldown) *bellwether.Error {
	until := r.local(c.Until)
	if most := time.Now().Round(0).Add(r.cfg.longestCooldown()); until.After(most) {
		until = most
	}
	return cooldownError(v.snap.ID, v.prov, until, c.Class, c.Code, c.Client)
}

func (r *Refresher) lock(ctx context.Context, id, nonce string) (bellwether.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return r.store.Lock(ctx, id, nonce, r.cfg.LockTTL, r.cfg.MaxHold)
}

// release ends a lease behind the callers' backs: the scripts have deleted the
// lock already, so nobody waits for this.
func (r *Refresher) release(l bellwether.Lease) {
	r.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		if err := l.Release(ctx); err != nil {
			r.cfg.Logger.Debug("bellwether: lock not released", "err", err)
		}
	})
}

// An attempt is one run of a holder, from begin to commit or fail.
type attempt struct {
	r     *Refresher
	e     *entry
	v     *value // what the attempt goes by
	p     *provider
	w     wish
	lease bellwether.Lease

	spec     bellwether.Attempt
	deadline time.Time // nothing is sent past it
	began    bellwether.BeginAnswer
	once     bool // what is presented cannot be presented again
	code     bool // it is an authorization code
	broken   bool // the answer was not whole: a rotated refresh token may be lost
}

// attempt makes one attempt under lease, going by the row v.
func (r *Refresher) attempt(ctx context.Context, e *entry, v *value, w wish, lease bellwether.Lease, nonce string) (landing, bool) {
	defer r.release(lease)
	e.mu.Lock()
	high := e.high
	e.mu.Unlock()
	a := &attempt{r: r, e: e, v: v, p: v.prov, w: w, lease: lease, deadline: time.Now().Add(r.cfg.CallTimeout)}
	a.spec = bellwether.Attempt{
		ID: e.id, Nonce: nonce, Expected: v.snap.Cred, MinGeneration: high, Kind: w.kind,
		ForcedInterval: r.cfg.ForcedInterval, Budget: r.cfg.CallTimeout + r.cfg.CommitBudget,
		Rotation: a.p.profile.Rotation, Quotas: a.p.profile.Quotas,
	}
	return a.run(ctx)
}

func (a *attempt) report() Report {
	return Report{ID: a.spec.ID, Provider: a.p.name, Kind: a.w.kind, Generation: a.began.Generation}
}

// run takes the attempt to its end. again means that the row is to be read again:
// the landing then counts only if that brings nothing newer.
func (a *attempt) run(ctx context.Context) (l landing, again bool) {
	r := a.r
	// Past this point only the attempt's own deadline counts, not Close.
	bctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), a.deadline)
	defer cancel()
	var err error
	if a.began, err = r.store.Begin(bctx, a.spec); err != nil {
		// It may have left our intent all the same.
		a.withdraw()
		err := storeError("refresh", a.spec.ID, err)
		if errors.Is(err, bellwether.ErrUnreadable) {
			ours, _ := errors.AsType[*bellwether.Error](err)
			r.deny(a.e, ours, allKinds...)
		}
		return landing{err: err}, false
	}
	until := r.local(a.began.Until)
	rep := a.report()
	rep.Until = until
	switch a.began.Word {
	case bellwether.BeginGo:
		return a.call(bctx)
	case bellwether.BeginLost:
		a.withdrawFirst()
		r.note(EventLockLost, rep)
		return landing{}, pause(ctx, nil, leastPause) == nil
	case bellwether.BeginChanged:
		return landing{}, true
	case bellwether.BeginRegressed:
		a.e.mu.Lock()
		a.e.high = a.began.Generation
		a.e.mu.Unlock()
		r.note(EventRegressed, rep)
		return landing{}, true
	case bellwether.BeginGone:
		a.e.mu.Lock()
		a.e.dropLocked()
		a.e.mu.Unlock()
		return landing{err: &bellwether.Error{Kind: bellwether.ErrNotFound, Op: "refresh", ID: a.spec.ID}}, false
	case bellwether.BeginState:
		// The next turn reads the state and says so.
		a.e.mu.Lock()
		a.e.markLocked()
		a.e.mu.Unlock()
		if a.began.State == bellwether.StateReauthRequired {
			rep.Reason, rep.Class, rep.Code = a.began.Reason, a.began.Class, a.began.Code
			r.note(EventReauthRequired, rep)
		}
		return a.reauth(a.began.Reason, a.began.Class, a.began.Code), true
	case bellwether.BeginRecover:
		err := &bellwether.Error{Kind: bellwether.ErrRecovering, Op: "refresh", ID: a.spec.ID, Until: until,
			Hint: "an earlier attempt may still bring its answer; what it presented must not be presented again before"}
		r.deny(a.e, err, bellwether.AttemptBackground)
		rep.Err = err
		r.note(EventRecovering, rep)
		return landing{err: err}, false
	case bellwether.BeginDenied:
		return a.denied(rep), false
	default:
		return landing{err: gaveUp(a.spec.ID, fmt.Sprintf("begin answered %q", a.began.Word))}, false
	}
}

// denied words begin's denial and remembers it for those whom it concerns.
func (a *attempt) denied(rep Report) landing {
	r := a.r
	err := &bellwether.Error{Kind: bellwether.ErrThrottled, Op: "refresh", ID: a.spec.ID, Until: rep.Until}
	only := allKinds
	switch a.began.Why {
	case bellwether.DenialForced:
		err.Kind, err.Detail = bellwether.ErrRejected, "it was replaced by force a moment ago, and the new one was rejected too"
		err.Hint = "if the API goes on rejecting fresh tokens, check scopes, data centre and clock"
		only = []bellwether.AttemptKind{bellwether.AttemptForced}
	case bellwether.DenialQuota:
		err.Detail = "the provider's quota of token requests is used up"
		if a.w.kind == bellwether.AttemptBackground {
			only = []bellwether.AttemptKind{a.w.kind}
		}
	default:
		err = r.cooled(a.v, bellwether.Cooldown{Until: a.began.Until, Class: a.began.Class, Code: a.began.Code})
	}
	r.deny(a.e, err, only...)
	rep.Class, rep.Code, rep.Err = a.began.Class, a.began.Code, err
	r.note(EventDenied, rep)
	return landing{err: err, only: only}
}

// reauth words a row's need for a sign-in.
func (a *attempt) reauth(reason bellwether.Reason, class bellwether.Class, code string) landing {
	return landing{err: stateError(a.spec.ID, a.p, bellwether.StateReauthRequired,
		&bellwether.Failure{Reason: reason, Class: class, Code: code})}
}

// call presents the credential and lands what comes back.
func (a *attempt) call(ctx context.Context) (landing, bool) {
	r := a.r
	t := a.began.Token
	if t.Provider != a.p.name {
		a.withdrawFirst() // a save has moved the row since it was read
		return landing{}, true
	}
	a.code = t.RefreshToken.IsZero() && !t.GrantToken.IsZero()
	switch {
	case a.code:
		a.spec.Rotation = bellwether.RotationStrict
	case t.RefreshToken.IsZero():
		a.spec.Rotation = bellwether.RotationReusable // client credentials
	}
	a.once = a.spec.Rotation != bellwether.RotationReusable

	req, err := a.request(t)
	if err != nil {
		v := verdict{outcome: bellwether.OutcomeUnspent, class: bellwether.ClassConfig}
		return a.fail(v, Report{}, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "refresh", ID: a.spec.ID,
			Detail: "the provider cannot make a request of this row", Err: err})
	}
	rep := a.report()
	r.note(EventCalling, rep)
	start := time.Now()
	before, stop := a.whileSure()
	d := r.wire.send(ctx, before, req, a.p, a.once)
	abort := context.Cause(before)
	stop()
	rep.Duration, rep.Status, rep.Sent = time.Since(start), d.status, d.sent
	if !d.sent && abort != nil {
		return a.aborted(abort, rep)
	}
	ev := evidence{sent: d.sent, status: d.status, err: d.err, strict: a.spec.Rotation == bellwether.RotationStrict, code: a.code}
	if d.status != 0 {
		ev.token, ev.err = a.parse(t, d)
	} else if _, ours := errors.AsType[*bellwether.Error](d.err); !ours {
		ev.err = &bellwether.ProviderError{Provider: a.p.name, Class: bellwether.ClassTransport, Hint: d.err.Error()}
	}
	v := judge(ev)
	if !d.sent && v.class == "" {
		v.class = bellwether.ClassConfig // a request to where it must not go
	}
	if host, ok := d.redirect(); ok && v.outcome == bellwether.OutcomeUnknown {
		v.hint = fmt.Sprintf("the token endpoint redirects to %q, which is not followed: check AccountsURL", host)
		ev.err = &bellwether.ProviderError{Provider: a.p.name, Class: v.class, Code: v.code, Status: d.status, Hint: v.hint}
	}
	rep.Class, rep.Code = v.class, v.code
	if v.outcome == bellwether.OutcomeSpent {
		rep.Err = ev.err
		a.broken = a.once && !a.code && ev.token.RefreshToken.IsZero() && (d.err != nil || ev.err != nil)
		return a.commit(ev.token, rep)
	}
	return a.fail(v, rep, ev.err)
}

// whileSure is a ctx that ends when nothing may be sent any more: the lock was
// lost, the clock jumped, or Close was called.
func (a *attempt) whileSure() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(a.lease.Context())
	jump := a.r.untilJump()
	s1 := context.AfterFunc(a.r.ctx, func() { cancel(errClosed) })
	s2 := context.AfterFunc(jump, func() { cancel(errClockJumped) })
	return ctx, func() { s1(); s2(); cancel(nil) }
}

// aborted ends an attempt of which nothing was sent, for no fault of the provider.
func (a *attempt) aborted(why error, rep Report) (landing, bool) {
	if errors.Is(why, bellwether.ErrClosed) {
		a.withdraw()
		return landing{err: errClosed}, false
	}
	a.withdrawFirst()
	rep.Err = why
	a.r.note(EventLockLost, rep)
	return landing{}, true
}

// request and parse keep a provider's panic within its attempt: what is known of
// the call must still reach the row.
func (a *attempt) request(t bellwether.Token) (req *http.Request, err error) {
	defer a.r.rescue("refresh", a.spec.ID, a.p, &err)
	return a.p.Request(t)
}

func (a *attempt) parse(t bellwether.Token, d delivery) (got bellwether.Token, err error) {
	defer a.r.rescue("refresh", a.spec.ID, a.p, &err)
	got, err = a.p.Parse(t, bellwether.Answer{Status: d.status, Header: d.header, Body: d.body, Time: a.began.Now})
	if _, ok := errors.AsType[*bellwether.ProviderError](err); !ok && (err != nil || (got.AccessToken.IsZero() && got.RefreshToken.IsZero())) {
		err = &bellwether.ProviderError{Provider: a.p.name, Class: bellwether.ClassUnknown, Status: d.status}
	}
	return got, err
}

// rescue is deferred around a call of a provider. It turns a panic into an error.
func (r *Refresher) rescue(op, id string, prov *provider, err *error) {
	if p := recover(); p != nil {
		r.cfg.Logger.Error("bellwether: panic in a provider", "provider", prov.name, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		*err = panicked(op, id, p)
		r.note(EventPanicked, Report{ID: id, Provider: prov.name, Err: *err})
	}
}
