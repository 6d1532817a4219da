package refresh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/bellwether-go/bellwether"
)

// Revoke ends the grant of row id at the provider (RFC 7009, or the provider's own
// way) and then deletes the row; every replica forgets its token by push. From its
// first step on the row is bellwether.StateRevoking: no token is served and no
// refresh begins. An attempt under way is waited for, since it may bring another
// refresh token.
//
// When the provider cannot be reached the row stays in that state, the error
// matches bellwether.ErrProvider, and Revoke can be repeated. A provider that
// cannot revoke (no bellwether.Revoker) is bellwether.ErrInvalid and nothing is
// changed. A sign-in that is saved meanwhile stays, and Revoke is
// bellwether.ErrConflict. A row that is gone by the end is no error; one that never was is
// bellwether.ErrNotFound.
func (r *Refresher) Revoke(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	if !r.enter() {
		return errClosed
	}
	defer r.leave()
	t, err := r.store.FindByID(ctx, id)
	if err != nil {
		return err
	}
	p := r.providers[t.Provider]
	if p == nil {
		return &bellwether.Error{Kind: bellwether.ErrUnknownProvider, Op: "revoke", ID: id, Detail: fmt.Sprintf("%q", t.Provider),
			Hint: "add it to Config.Providers, or delete the token"}
	}
	revoker, ok := p.Provider.(bellwether.Revoker)
	if !ok {
		return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "revoke", ID: id, Detail: fmt.Sprintf("provider %q cannot revoke", p.name),
			Hint: "end the grant at the provider, then delete the token"}
	}
	if !t.RefreshToken.IsZero() || !t.AccessToken.IsZero() {
		req, err := r.revokeRequest(p, revoker, t)
		if err == nil {
			err = checkTarget(req, p)
		}
		if err != nil {
			return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "revoke", ID: id, Detail: "the provider cannot make a request of this row", Err: err}
		}
	}
	if err := r.store.MarkRevoking(ctx, id); err != nil {
		return err
	}
	r.forget(id)
	lease, err := r.lockIn(ctx, id)
	if err != nil {
		return err
	}
	defer r.release(lease)
	if t, err = r.store.FindByID(ctx, id); err != nil {
		if isNotFound(err) {
			return nil
		}
		return err
	}
	if t.State != bellwether.StateRevoking {
		return signedIn(id, nil)
	}
	if !t.RefreshToken.IsZero() || !t.AccessToken.IsZero() {
		if err := r.revokeAt(ctx, p, revoker, t); err != nil {
			return err
		}
	}
	switch err := r.store.DeleteRevoking(ctx, id); {
	case errors.Is(err, bellwether.ErrConflict):
		return signedIn(id, err)
	case err != nil && !isNotFound(err):
		return err
	}
	r.forget(id)
	r.note(EventRevoked, Report{ID: id, Provider: p.name})
	return nil
}

func signedIn(id string, cause error) error {
	return &bellwether.Error{Kind: bellwether.ErrConflict, Op: "revoke", ID: id, Detail: "a new sign-in was saved meanwhile",
		Hint: "revoke again to end that one too", Err: cause}
}

// forget drops what this replica has in memory, ahead of the push.
func (r *Refresher) forget(id string) {
	if e := r.l1.lookup(id); e != nil {
		e.mu.Lock()
		e.dropLocked()
		e.mu.Unlock()
	}
}

// lockIn waits for the row's lock as long as ctx lasts.
func (r *Refresher) lockIn(ctx context.Context, id string) (bellwether.Lease, error) {
	e := r.l1.pin(id)
	defer e.unpin()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.ctx, func() { cancel(errClosed) })()
	for {
		heard := e.watch()
		lease, err := r.lock(ctx, id, rand.Text())
		held, locked := errors.AsType[*bellwether.LockedError](err)
		if !locked {
			if err != nil {
				err = storeError("revoke", id, err)
			}
			return lease, err
		}
		rest := max(held.Remaining, 0) + time.Duration(r.cfg.jitter()*float64(leastPause))
		if err := pause(ctx, heard, min(rest, r.cfg.SlowPoll)); err != nil {
			return nil, &bellwether.Error{Op: "revoke", ID: id, Detail: "waiting for a refresh under way", Err: err}
		}
	}
}

// revokeAt sends the revocation and reads its answer.
func (r *Refresher) revokeAt(ctx context.Context, p *provider, revoker bellwether.Revoker, t bellwether.Token) error {
	failed := func(detail string, err error) error {
		return &bellwether.Error{Kind: bellwether.ErrProvider, Op: "revoke", ID: t.ID, Detail: detail, Err: err,
			Hint: "the token is not served any more; repeat the revocation"}
	}
	req, err := r.revokeRequest(p, revoker, t)
	if err != nil {
		return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "revoke", ID: t.ID, Detail: "the provider cannot make a request of this row", Err: err}
	}
	now, _ := r.store.Now()
	ctx, cancel := context.WithTimeout(ctx, r.cfg.CallTimeout)
	defer cancel()
	d := r.wire.send(ctx, r.ctx, req, p, false)
	if d.status == 0 {
		if _, ours := errors.AsType[*bellwether.Error](d.err); ours {
			return d.err
		}
		return failed("no answer", d.err)
	}
	if err := r.parseRevoke(p, revoker, t, bellwether.Answer{Status: d.status, Header: d.header, Body: d.body, Time: now}); err != nil {
		return failed("", err)
	}
	return nil
}

// revokeRequest and parseRevoke keep a provider's panic from the caller of Revoke.
func (r *Refresher) revokeRequest(p *provider, revoker bellwether.Revoker, t bellwether.Token) (req *http.Request, err error) {
	defer r.rescue("revoke", t.ID, p, &err)
	return revoker.RevokeRequest(t)
}

func (r *Refresher) parseRevoke(p *provider, revoker bellwether.Revoker, t bellwether.Token, a bellwether.Answer) (err error) {
	defer r.rescue("revoke", t.ID, p, &err)
	return revoker.ParseRevoke(t, a)
}
