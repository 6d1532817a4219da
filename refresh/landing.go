package refresh

import (
	"context"
	"errors"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A kept answer waits in memory until the store takes it.
type kept struct {
	commit bellwether.Commit
	snap   bellwether.Snapshot // the row as it will be, under the generation before
	at     time.Time           // when the answer came
	done   chan struct{}       // closed when the store has answered, or Close gave up
}

// commit offers the answer to the fence. While the store is away the answer is
// served from memory and offered again behind the callers.
func (a *attempt) commit(answer bellwether.Token, rep Report) (landing, bool) {
	r := a.r
	t := merge(a.began.Token, answer, a.began.Now, a.p.profile)
	k := &kept{
		commit: bellwether.Commit{Attempt: a.spec, Token: t, Extra: mergeExtra(a.began.Extra, answer.Extra), Doubt: a.broken},
		at:     time.Now(),
		done:   make(chan struct{}),
	}
	k.snap = bellwether.Snapshot{
		ID: a.spec.ID, Provider: a.p.name, Generation: a.began.Generation, Cred: a.spec.Nonce, State: bellwether.StateActive,
		AccessToken: t.AccessToken, TokenType: t.TokenType, APIDomain: t.APIDomain,
		IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt, Extra: k.commit.Extra, Client: a.v.snap.Client,
	}
	a.e.mu.Lock()
	a.e.kept = k
	a.e.mu.Unlock()

	r.note(EventCommitting, rep)
	ctx, cancel := context.WithTimeout(context.Background(), min(storeTimeout, r.cfg.CommitBudget))
	ans, err := r.store.Commit(ctx, k.commit)
	cancel()
	if err != nil {
		rep.Err = err
		r.note(EventCommitRetried, rep)
		v := r.fromMemory(a.e, k)
		r.wg.Go(func() { r.keepOffering(a.e, k, rep) })
		if v == nil {
			return landing{err: storeError("refresh", a.spec.ID, err)}, false
		}
		if v.stale.Load() {
			switch _, best, err := r.read(context.Background(), a.e, ""); {
			case err == nil:
				v = best
			case isDecided(err):
				return landing{err: err}, false
			}
		}
		return a.usable(v, rep), false
	}
	if !r.settle(a.e, k, ans, rep) {
		return landing{}, true // the row is another by now: go by that
	}
	v := a.e.cur.Load()
	if v == nil || v.stale.Load() || a.corrected(answer) {
		// Others wrote too, or an operator's corrections win over the answer.
		switch _, best, err := r.read(context.Background(), a.e, ""); {
		case err == nil:
			v = best
		case isDecided(err):
			return landing{err: err}, false
		}
	}
	if v == nil {
		return landing{}, true
	}
	return a.usable(v, rep), false
}

// corrected reports whether an operator may have given another value than the
// provider gives: only the store knows which holds.
func (a *attempt) corrected(answer bellwether.Token) bool {
	had := &a.began.Token
	if a.began.Corrected {
		return true
	}
	return (answer.APIDomain != "" && had.APIDomain != "" && answer.APIDomain != had.APIDomain) ||
		(answer.TokenType != "" && had.TokenType != "" && answer.TokenType != had.TokenType)
}

// usable lands v, unless what came cannot be served: an answer without an access
// token, or with one that has ended on the way.
func (a *attempt) usable(v *value, rep Report) landing {
	if v.lives(a.r.now()) || v.snap.Cred != a.spec.Nonce || v.snap.State != bellwether.StateActive {
		return landing{v: v}
	}
	err := &bellwether.Error{Kind: bellwether.ErrProvider, Op: "refresh", ID: a.spec.ID,
		Detail: "the answer brought no access token that lives", Err: rep.Err}
	a.r.deny(a.e, err, allKinds...)
	return landing{err: err}
}

// fromMemory installs an answer that the store does not have yet.
func (r *Refresher) fromMemory(e *entry, k *kept) *value {
	v, ok := r.newValue(k.snap)
	if !ok {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kept == k {
		e.marks++
		r.installLocked(e, v, e.high <= k.snap.Generation)
	}
	return v
}

// settle takes the fence's answer. It reports whether the answer is in the row.
func (r *Refresher) settle(e *entry, k *kept, ans bellwether.CommitAnswer, rep Report) bool {
	snap := k.snap
	snap.Generation = ans.Generation
	v, sure := r.newValue(snap)
	rep.Generation = ans.Generation
	stored := ans.Word == bellwether.CommitOK
	e.mu.Lock()
	e.kept = nil
	close(k.done)
	e.marks++ // a read under way is an old one
	switch {
	case stored && sure:
		// Any other write since begin may have changed what is served.
		fresh := ans.Generation == k.snap.Generation+1 && e.high <= ans.Generation
		e.high = max(e.high, ans.Generation)
		e.fresh = v.life
		r.installLocked(e, v, fresh)
	case !stored && e.cur.Load() != nil && e.cur.Load().snap.Cred == snap.Cred:
		e.dropLocked()
	default:
		e.markLocked()
	}
	e.mu.Unlock()
	switch ans.Word {
	case bellwether.CommitOK:
		r.note(EventRefreshed, rep)
	case bellwether.CommitSibling:
		r.note(EventCommitSibling, rep)
	case bellwether.CommitGone:
		r.note(EventCommitGone, rep)
	default:
		r.note(EventCommitStale, rep)
	}
	return stored
}

// keepOffering offers a kept answer until the store takes it, or until Close has
// waited CommitBudget for it.
func (r *Refresher) keepOffering(e *entry, k *kept, rep Report) {
	ctx, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	late := r.ctx.Err() != nil // Close is waiting already
	defer context.AfterFunc(r.ctx, func() {
		left := r.cfg.CommitBudget
		if late {
			left -= time.Since(k.at)
		}
		time.AfterFunc(max(left, 0), giveUp)
	})()
	for rest := leastPause; pause(ctx, nil, rest) == nil; rest = min(2*rest, mostPause) {
		try, cancel := context.WithTimeout(ctx, storeTimeout)
		ans, err := r.store.Commit(try, k.commit)
		cancel()
		if err == nil {
			rep.Err = nil
			r.settle(e, k, ans, rep)
			return
		}
		r.cfg.Logger.Debug("bellwether: commit failed again", "id", rep.ID, "err", err)
	}
	e.mu.Lock()
	e.kept = nil
	close(k.done)
	e.mu.Unlock()
	r.mu.Lock()
	r.unsaved++
	r.mu.Unlock()
	r.note(EventCommitLost, rep)
}

// awaitKept gives an answer that is not stored yet the time to be: no attempt
// begins from what it supersedes.
func (r *Refresher) awaitKept(ctx context.Context, e *entry) error {
	e.mu.Lock()
	k := e.kept
	e.mu.Unlock()
	if k == nil || pause(ctx, k.done, r.cfg.CommitBudget) == nil && isDone(k.done) {
		return nil
	}
	return r.unlessClosed(&bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "refresh", ID: e.id,
		Detail: "the newest token could not be stored yet", Hint: "check that Redis runs and is reachable"})
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// fail reports an attempt that brought no token and words it for the callers.
func (a *attempt) fail(v verdict, rep Report, why error) (landing, bool) {
	r := a.r
	d := v.cooldown(r.cfg, a.began.Failures)
	f := bellwether.Fail{Attempt: a.spec, Outcome: v.outcome, Sent: v.sent, Lost: v.lost, Class: v.class, Code: v.code}
	if v.client && a.v.snap.Client != "" {
		f.Client, f.ClientCooldown = a.v.snap.Client, d
		// Who has read the row already does not see the client's: begin refuses by this.
		f.Cooldown = min(d, r.cfg.CooldownBase)
	} else {
		f.Cooldown = d
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(storeTimeout, r.cfg.CommitBudget))
	ans, err := r.store.Fail(ctx, f)
	cancel()
	if err != nil {
		a.failBehind(f)
	}
	rep.Err = why
	if d > 0 {
		rep.Until = time.Now().Round(0).Add(d)
	}
	ours := a.word(v, rep, why)
	if err == nil && ans.State == bellwether.StateReauthRequired {
		ours = stateError(a.spec.ID, a.p, ans.State, &bellwether.Failure{Reason: ans.Reason})
		ours.Err = why
		rep.Reason, rep.Until = ans.Reason, time.Time{}
		if v.outcome == bellwether.OutcomeUnknown {
			r.note(EventReauthRequired, rep)
		}
	} else if err == nil && v.outcome == bellwether.OutcomeRefused {
		ours = stateError(a.spec.ID, a.p, bellwether.StateReauthRequired, &bellwether.Failure{Reason: bellwether.ReasonRevoked})
		ours.Err = why
	}
	switch {
	case v.outcome == bellwether.OutcomeRefused:
		r.note(EventRefused, rep)
	case v.outcome == bellwether.OutcomeUnknown:
		r.note(EventUnknown, rep)
	case v.class == bellwether.ClassThrottled:
		r.note(EventThrottled, rep)
	default:
		r.note(EventUnspent, rep)
	}
	if err == nil && !ans.Applied || err != nil && v.outcome == bellwether.OutcomeRefused {
		// The row has gone on without us: it may hold a newer token by now.
		return landing{err: ours}, true
	}
	if errors.Is(ours, bellwether.ErrReauthRequired) {
		a.e.mu.Lock()
		a.e.markLocked() // the state has changed
		a.e.mu.Unlock()
	}
	r.deny(a.e, ours, allKinds...)
	return landing{err: ours}, false
}

// word turns a verdict into the error that callers get.
func (a *attempt) word(v verdict, rep Report, why error) *bellwether.Error {
	if e, ok := errors.AsType[*bellwether.Error](why); ok && e.Kind != bellwether.ErrProvider {
		c := *e
		c.ID, c.Until = a.spec.ID, rep.Until
		return &c
	}
	e := &bellwether.Error{Kind: bellwether.ErrProvider, Op: "refresh", ID: a.spec.ID, Until: rep.Until, Err: why}
	switch {
	case v.class == bellwether.ClassThrottled:
		e.Kind = bellwether.ErrThrottled
	case v.outcome == bellwether.OutcomeUnknown:
		e.Detail = "the request was sent and it is not known what it did"
	case !v.sent:
		e.Detail = "nothing was sent"
	}
	return e
}

// withdraw clears the intent that a begin without an answer may have left.
func (a *attempt) withdraw() { a.failBehind(a.unspent()) }

// withdrawFirst is withdraw before another turn of the same flight, which would have to
// wait for our own intent.
func (a *attempt) withdrawFirst() {
	ctx, cancel := context.WithTimeout(context.Background(), withdrawWait)
	_, err := a.r.store.Fail(ctx, a.unspent())
	cancel()
	if err != nil {
		a.withdraw()
	}
}

func (a *attempt) unspent() bellwether.Fail {
	return bellwether.Fail{Attempt: a.spec, Outcome: bellwether.OutcomeUnspent}
}

// failBehind reports a failure for as long as the intent could hinder others.
func (a *attempt) failBehind(f bellwether.Fail) {
	r := a.r
	r.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), r.cfg.CommitBudget)
		defer cancel()
		for rest := leastPause; ; rest = min(2*rest, mostPause) {
			try, done := context.WithTimeout(ctx, storeTimeout)
			_, err := r.store.Fail(try, f)
			done()
			if err == nil || pause(ctx, nil, rest) != nil {
				return
			}
		}
	})
}
