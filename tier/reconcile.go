package tier

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"reflect"
	"time"

	"github.com/bellwether-go/bellwether"
)

// Both are the records of one row in the two tiers, in agreement.
type both struct {
	front, back bellwether.Record
	moved       bool // something was written into Redis to get there
}

// An order says which of two records of a row goes before the other.
type order string

const (
	same       order = "same"
	frontAhead order = "Redis ahead"
	backAhead  order = "durable ahead"
	adopted    order = "written by another" // into the durable tier, by a Save or another program
)

// compare tells which tier has the newer credentials. Whoever has the other's refresh or
// access token in its past is newer, whatever the generations say: either tier may come
// from a backup. Where neither does, they are different sign-ins, and the durable tier is
// right: every Save is there first.
func (s *Store) compare(front, back bellwether.Record) order {
	switch {
	case s.front.Supersedes(front, back):
		return frontAhead
	case back.Adopted:
		return adopted
	case front.Cred == back.Cred:
		return same
	case back.Prev != front.Cred && front.Prev == back.Cred && front.Prev != "":
		return frontAhead
	default:
		return backAhead
	}
}

// tries bounds how often a row that keeps changing is looked at again.
const tries = 32

// reconcile brings the two tiers of a row into agreement and returns both. The errors are
// ErrNotFound when neither has the row, or it was deleted; ErrUnavailable when a tier is
// away; ErrConflict when another row of the durable tier owns what Redis has in this one.
func (s *Store) reconcile(ctx context.Context, id string) (both, error) {
	first, err := s.agree(ctx, id, false)
	if !errors.Is(err, errHold) {
		return first, err
	}
	release, err := s.hold(ctx, id)
	if err != nil {
		return first, err
	}
	defer release()
	b, err := s.agree(ctx, id, true)
	b.moved = b.moved || first.moved
	return b, err
}

// agree does what reconcile says. Only who holds the row may insert it into the durable
// tier, since a Delete may be under way; else that is errHold.
func (s *Store) agree(ctx context.Context, id string, held bool) (both, error) {
	var b both
	for range tries {
		done, err := s.settle(ctx, id, held, &b)
		if done || err != nil && !errors.Is(err, errAgain) {
			return b, err
		}
		select {
		case <-time.After(mathrand.N(time.Millisecond)):
		case <-ctx.Done():
			return b, &bellwether.Error{Op: "compare tiers", ID: id, Err: ctx.Err()}
		}
	}
	return b, restless(id)
}

func restless(id string) error {
	return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "compare tiers", ID: id,
		Detail: "the row changes all the time", Hint: "repeat it"}
}

var (
	errHold  = errors.New("the row must be held")
	errAgain = errors.New("changed meanwhile")
)

// settle looks at both tiers and takes one step towards agreement. done means that there
// was none to take; errAgain that another writer was faster.
func (s *Store) settle(ctx context.Context, id string, held bool, b *both) (done bool, err error) {
	front, frontErr := s.front.Record(ctx, id)
	if frontErr != nil && !errors.Is(frontErr, bellwether.ErrNotFound) {
		return false, frontErr
	}
	back, backErr := s.back.Record(ctx, id)
	if backErr != nil && !errors.Is(backErr, bellwether.ErrNotFound) {
		return false, backErr
	}
	b.front, b.back = front, back
	switch {
	case frontErr != nil && backErr != nil:
		return false, frontErr
	case frontErr != nil:
		b.moved = true
		return false, s.toFront(ctx, bellwether.Record{}, back)
	case backErr != nil && !held:
		return false, errHold
	case backErr != nil:
		return false, s.insert(ctx, front)
	}
	switch s.compare(front, back) {
	case same:
		return true, nil
	case frontAhead:
		if !back.Adopted {
			_, err := s.swap(ctx, back.Version, front)
			return false, err
		}
		if back, err = s.onto(ctx, front, back); err != nil {
			return false, err
		}
	}
	b.moved = true
	return false, s.toFront(ctx, front, back)
}

// swap writes next into the durable tier. ErrConflict then means that another row owns
// what next holds; another version is errAgain.
func (s *Store) swap(ctx context.Context, expected string, next bellwether.Record) (bellwether.Record, error) {
	stored, err := s.back.Swap(ctx, expected, next)
	if errors.Is(err, bellwether.ErrConflict) && stored.Version != expected {
		err = errAgain
	}
	return stored, err
}

// insert copies a row that the durable tier does not have. The row is held; a Delete that
// did not wait for that, since the lock was lost, must not be undone by it: Redis refuses
// a deleted row.
func (s *Store) insert(ctx context.Context, front bellwether.Record) error {
	if _, err := s.swap(ctx, "", front); err != nil {
		return err
	}
	err := s.front.Install(ctx, "", front)
	switch {
	case errors.Is(err, bellwether.ErrConflict): // it is there
		return nil
	case errors.Is(err, bellwether.ErrNotFound):
		if err := s.back.Delete(ctx, front.Token.ID); err != nil && !errors.Is(err, bellwether.ErrNotFound) {
			return err
		}
	}
	return err
}

// onto returns the record of a row that others have written in the durable tier, over
// credentials that Redis has gone on from: Redis's tokens, and else what they wrote.
func (s *Store) onto(ctx context.Context, front, back bellwether.Record) (bellwether.Record, error) {
	snap, err := s.front.Peek(ctx, front.Token.ID, "")
	if errors.Is(err, bellwether.ErrNotFound) {
		err = errAgain
	}
	if err != nil {
		return bellwether.Record{}, err
	}
	t, f := back.Token.Clone(), front.Token
	t.AccessToken, t.TokenType, t.IssuedAt, t.ExpiresAt = f.AccessToken, f.TokenType, f.IssuedAt, f.ExpiresAt
	t.RefreshToken, t.RefreshExpiresAt, t.GrantToken = f.RefreshToken, f.RefreshExpiresAt, f.GrantToken
	if t.Extra == nil {
		t.Extra = snap.Extra
	} else {
		maps.Copy(t.Extra, snap.Extra)
	}
	back.Token = t
	return back, nil
}

// toFront writes what the durable tier has over front, the zero Record when Redis does not
// have the row. What others have written is told to the durable tier as its own after that.
func (s *Store) toFront(ctx context.Context, front, back bellwether.Record) error {
	if !back.Adopted || front.Version == "" || front.Token.Generation < back.Token.Generation || !alike(front.Token, back.Token) {
		if err := s.install(ctx, front.Version, back); err != nil {
			return err
		}
	}
	if !back.Adopted {
		return nil
	}
	now, err := s.front.Record(ctx, back.Token.ID)
	if errors.Is(err, bellwether.ErrNotFound) {
		return errAgain
	} else if err != nil {
		return err
	}
	_, err = s.swap(ctx, back.Version, now)
	return err
}

// install writes rec into Redis. Where another row of Redis owns what rec holds, the
// durable tier is right: that row goes if the durable tier does not have it. ErrConflict
// then means that it does; another version is errAgain.
func (s *Store) install(ctx context.Context, expected string, rec bellwether.Record) error {
	err := s.front.Install(ctx, expected, rec)
	if !errors.Is(err, bellwether.ErrConflict) {
		return err
	}
	now, recErr := s.front.Record(ctx, rec.Token.ID)
	if recErr != nil && !errors.Is(recErr, bellwether.ErrNotFound) {
		return recErr
	}
	if now.Version != expected {
		return errAgain
	}
	evicted, evictErr := s.evict(ctx, rec.Token)
	switch {
	case evictErr != nil:
		return evictErr
	case evicted:
		return errAgain
	}
	return err
}

// evict deletes those rows of Redis that own the user name or a credential of t and that
// the durable tier does not have: Redis comes from a dump, and they were deleted since.
func (s *Store) evict(ctx context.Context, t bellwether.Token) (evicted bool, err error) {
	for _, by := range []bellwether.Token{
		{UserName: t.UserName, Provider: t.Provider, AccountsURL: t.AccountsURL, ClientID: t.ClientID},
		{RefreshToken: t.RefreshToken},
		{GrantToken: t.GrantToken},
	} {
		if by.UserName == "" && by.RefreshToken.IsZero() && by.GrantToken.IsZero() {
			continue
		}
		owner, err := s.front.Find(ctx, by)
		if errors.Is(err, bellwether.ErrNotFound) || err == nil && owner.ID == t.ID {
			continue
		} else if err != nil {
			return evicted, err
		}
		if _, err := s.back.Record(ctx, owner.ID); err == nil {
			continue
		} else if !errors.Is(err, bellwether.ErrNotFound) {
			return evicted, err
		}
		if err := s.front.Delete(ctx, owner.ID); err != nil && !errors.Is(err, bellwether.ErrNotFound) {
			return evicted, err
		}
		s.cfg.Logger.Warn("bellwether: a row that the durable store does not have is deleted: another one owns its tokens or user name",
			"id", owner.ID, "owner", t.ID)
		evicted = true
	}
	return evicted, nil
}

// alike reports whether two rows say the same, but for what a store keeps by itself.
func alike(a, b bellwether.Token) bool {
	for _, t := range []*bellwether.Token{&a, &b} {
		t.CreatedAt, t.UpdatedAt, t.Generation, t.State, t.Failure = time.Time{}, time.Time{}, 0, "", nil
	}
	return reflect.DeepEqual(a, b)
}

// holdPoll is how often it is looked whether a row is free.
const holdPoll = 20 * time.Millisecond

// leastLock is the least life of the lock of one who has died. It is a part of FillTimeout
// else, so that those who wait for him still have time after it.
const leastLock = 50 * time.Millisecond

// hold keeps those who save, delete, copy or bring back a row away from each other: the
// goroutines of this process, and other replicas by a lock that is not that of refreshes,
// which no ID can be taken for. It does not keep refreshes away. Who loses it is safe by
// the compare of each write, and insert looks again.
func (s *Store) hold(ctx context.Context, id string) (release func(), err error) {
	done, err := s.turns.Take(ctx, id)
	if err != nil {
		return nil, &bellwether.Error{Op: "wait for the row", ID: id, Err: err}
	}
	for {
		lease, err := s.front.Lock(ctx, "\xfftier "+id, rand.Text(), max(s.cfg.FillTimeout/4, leastLock), 2*s.cfg.FillTimeout)
		if err == nil {
			return func() { _ = lease.Release(context.WithoutCancel(ctx)); done() }, nil
		}
		if _, held := errors.AsType[*bellwether.LockedError](err); !held {
			done()
			return nil, err
		}
		select {
		case <-time.After(holdPoll):
		case <-ctx.Done():
			done()
			return nil, &bellwether.Error{Op: "wait for the row", ID: id, Err: ctx.Err()}
		}
	}
}

// fill brings a row that Redis does not have back from the durable tier. Of all readers in
// all replicas one reads the durable tier; the others wait for the row. A row that neither
// tier has, or that was deleted, is ErrNotFound.
func (s *Store) fill(ctx context.Context, id string) error {
	if err := bellwether.ValidateID(id); err != nil {
		return err
	}
	ch := s.fills.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(s.ctx, s.cfg.FillTimeout)
		defer cancel()
		return nil, s.fillOnce(ctx, id)
	})
	select {
	case res := <-ch:
		err := res.Err
		if err != nil && ctx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
			err = &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "read", ID: id,
				Detail: fmt.Sprintf("the row was not brought back within %v", s.cfg.FillTimeout), Hint: "check that the durable store answers"}
		}
		return err
	case <-ctx.Done():
		return &bellwether.Error{Op: "read", ID: id, Err: ctx.Err()}
	}
}

func (s *Store) fillOnce(ctx context.Context, id string) error {
	release, err := s.hold(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if _, err := s.front.FindByID(ctx, id); !errors.Is(err, bellwether.ErrNotFound) {
		return err
	}
	_, err = s.agree(ctx, id, true)
	return err
}
