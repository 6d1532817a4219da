package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strconv"
	"time"

	"github.com/bellwether-go/bellwether"
)

// Save implements bellwether.Store.
//
// It reads the row, composes the new one, and writes it if the row is the same by
// then; otherwise it starts over, until ctx ends. A save that brings a refresh or
// grant token, or a user name, claims them first (see claims.go), so that of racing
// saves one inserts and the others find its row. It may wait Config.ClaimGrace for an
// insert of a process that has died.
//
// A row that is being revoked takes only a new lineage; anything else is
// bellwether.ErrRevoking.
func (s *Store) Save(ctx context.Context, t bellwether.Token) (bellwether.Token, error) {
	if err := ended(ctx, "save", t.ID); err != nil {
		return bellwether.Token{}, err
	}
	if err := t.Validate(); err != nil {
		return bellwether.Token{}, err
	}
	done, err := s.turns.Take(ctx, s.turnOf(t))
	if err != nil {
		return bellwether.Token{}, &bellwether.Error{Op: "save", ID: t.ID, Err: err}
	}
	defer done()
	// What is begun is finished, or taken back, though the caller leaves.
	linger, cancel := lingering(ctx)
	defer cancel()
	sv := &saving{Store: s, given: t, nonce: rand.Text(), insertID: t.ID}
	if sv.insertID == "" {
		sv.insertID = rand.Text()
	}
	for try := 0; ; try++ {
		saved, err := sv.try(ctx, linger)
		if !errors.Is(err, errAgain) {
			return saved, fault(ctx, "save", t.ID, err)
		}
		if err := pause(ctx, try); err != nil {
			return bellwether.Token{}, &bellwether.Error{Op: "save", ID: t.ID, Err: err}
		}
	}
}

// turnOf names what the saves of one row most likely have in common.
func (s *Store) turnOf(t bellwether.Token) string {
	if t.ID != "" {
		return s.keys.row(t.ID)
	}
	if rules := s.rules(t); len(rules) > 0 {
		return s.key(rules[0][0].entry)
	}
	return rand.Text()
}

// errAgain says that the row, or a claim, is not what it was: look again.
var errAgain = errors.New("changed meanwhile")

// settle is how long what was begun may take after its caller has left.
const settle = time.Second

// lingering returns a ctx that ends a moment after ctx does.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(settle, cancel) })
	end := func() { stop(); cancel() }
	deadline, ok := ctx.Deadline()
	if !ok {
		return longer, end
	}
	// The client obeys deadlines while it reads, and nothing else.
	longer, cancelDeadline := context.WithDeadline(longer, deadline.Add(settle))
	return longer, func() { cancelDeadline(); end() }
}

// pause waits a random time that grows with the number of tries.
func pause(ctx context.Context, try int) error {
	most := min(time.Millisecond<<min(try, 6), 50*time.Millisecond)
	timer := time.NewTimer(mathrand.N(most) + 100*time.Microsecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func ended(ctx context.Context, op, id string) error {
	if err := ctx.Err(); err != nil {
		return &bellwether.Error{Op: op, ID: id, Err: err}
	}
	return nil
}

// saving is one Save, over all its tries.
type saving struct {
	*Store
	given    bellwether.Token
	nonce    string
	insertID string
	rival    string // the row that owned what we claimed, the last time
}

// try looks for the row and writes it once.
func (sv *saving) try(ctx, linger context.Context) (bellwether.Token, error) {
	if err := sv.soundClock(ctx); err != nil {
		return bellwether.Token{}, err
	}
	r, err := sv.target(ctx)
	if err != nil {
		return bellwether.Token{}, err
	}
	d, err := sv.compose(r, sv.given)
	if err != nil {
		return bellwether.Token{}, err
	}
	return sv.write(ctx, linger, r, d)
}

// write claims what the draft needs and writes it over r, once.
func (sv *saving) write(ctx, linger context.Context, r *row, d *draft) (bellwether.Token, error) {
	if kept, err := sv.confirm(linger, r.id, r.gen, d.kept); err != nil {
		return bellwether.Token{}, err
	} else if !kept {
		d.claims = append(d.kept, d.claims...)
	}
	held, err := sv.claim(ctx, linger, r.id, d.claims)
	if err != nil {
		held.release(linger)
		return bellwether.Token{}, sv.owned(r, err)
	}
	if err := ctx.Err(); err != nil {
		held.release(linger)
		return bellwether.Token{}, err
	}
	how := "u"
	if !r.live() {
		how = "i"
		if len(d.claims) > 0 {
			how = "p"
			d.set["ps"], d.set["st"] = d.set["st"], stPending
		}
	}
	asked := time.Now()
	v, err := sv.run(linger, sv.scripts.save, []string{sv.keys.row(r.id), sv.keys.due(r.id)}, sv.args(r, d, held, how)...)
	if err != nil {
		// Written or not: the claims tell it to whoever comes next, and are taken for dead
		// after ClaimGrace if it was not.
		return bellwether.Token{}, err
	}
	sv.clock.sample(asked, parseMillis(v[1]))
	if v[0] != "ok" { // changed, or late
		held.release(linger)
		return bellwether.Token{}, errAgain
	}
	d.next.Generation, _ = strconv.ParseInt(v[2], 10, 64)
	d.next.UpdatedAt = parseMillis(v[3])
	if err := sv.finish(linger, r, d, how == "p"); err != nil {
		return bellwether.Token{}, err
	}
	return d.next, nil
}

// target returns the row that the save is about, not live when it is to be inserted.
func (sv *saving) target(ctx context.Context) (*row, error) {
	if sv.given.ID == "" {
		r, err := sv.identify(ctx, "save", sv.given)
		if err != nil || r != nil {
			return r, err
		}
	}
	r, err := sv.read(ctx, sv.insertID)
	if err != nil {
		return nil, err
	}
	if r.st == stPending {
		// Somebody inserts under this ID, or has died over it.
		if now, ok := sv.clock.now(); ok && now.Sub(parseMillis(r.ut)) < sv.cfg.ClaimGrace {
			return nil, errAgain
		}
		if err := sv.complete(ctx, r); err != nil {
			return nil, err
		}
		return nil, errAgain
	}
	return r, nil
}

// owned turns the answer that another row owns what was claimed into a conflict. A
// save without an ID looks once more first: the owner may be the row that it is about,
// inserted a moment ago.
func (sv *saving) owned(r *row, err error) error {
	var o *ownedError
	if !errors.As(err, &o) {
		return err
	}
	if sv.given.ID == "" && sv.rival != o.owner {
		sv.rival = o.owner
		return errAgain
	}
	return o.conflict(r.id)
}

// args are the arguments of save.lua.
func (sv *saving) args(r *row, d *draft, held held, how string) []any {
	args := []any{sv.nonce, r.gen, held.deadline(sv.cfg.ClaimGrace / 2), how,
		sv.cfg.Tombstone.Milliseconds(), formatMillis(d.next.ExpiresAt), sv.keys.channel(), r.id, d.least}
	var drop, set []any
	for field, v := range d.set {
		switch {
		case v != "":
			set = append(set, field, v)
		case how == "u":
			drop = append(drop, field)
		}
	}
	args = append(args, len(drop))
	return append(append(args, drop...), set...)
}

// finish confirms the claims of what was written, makes an insert visible, and brings
// the rest of the index in line.
func (sv *saving) finish(ctx context.Context, r *row, d *draft, unseen bool) error {
	gen := d.next.Generation
	kept, err := sv.confirm(ctx, r.id, gen, d.claims)
	switch {
	case err != nil:
		return err
	case !kept && unseen:
		if err := sv.withdraw(ctx, r.id, d.set["cred"]); err != nil {
			return err
		}
		sv.nonce = rand.Text()
		return errAgain
	case !kept:
		// Only when the masters' clocks disagree by more than half of ClaimGrace.
		return &bellwether.Error{Kind: bellwether.ErrConflict, ID: r.id,
			Detail: "another row took the refresh token or user name while it was written here",
			Hint:   "check that the clocks of all Redis masters agree, then delete one of the two rows"}
	case unseen:
		v, err := sv.run(ctx, sv.scripts.activate, []string{sv.keys.row(r.id), sv.keys.due(r.id)},
			d.set["cred"], sv.keys.channel(), r.id)
		if err != nil {
			return err
		}
		if v[0] != "ok" {
			sv.nonce = rand.Text()
			return errAgain
		}
	}
	return sv.tidy(ctx, r.id, gen, d.access, d.next.ExpiresAt, d.left)
}

func conflictf(id, hint, format string, args ...any) error {
	return &bellwether.Error{Kind: bellwether.ErrConflict, Op: "save", ID: id, Detail: fmt.Sprintf(format, args...), Hint: hint}
}
