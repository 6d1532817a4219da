package tier

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether"
)

// What an attempt has seen of its row when it began.
type seen struct {
	front   bellwether.Record
	version string // of the durable row; blank when the durable tier was away
	marked  bool   // the durable tier has the intent
	at      time.Time
}

// mostSeen bounds what is kept of attempts whose end nobody tells.
const mostSeen = 4096

func (s *Store) remember(nonce string, n seen) {
	n.at = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) >= mostSeen {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(s.seen)), func(a, b string) int { return s.seen[a].at.Compare(s.seen[b].at) })
		delete(s.seen, oldest)
	}
	s.seen[nonce] = n
}

func (s *Store) recall(nonce string) (seen, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.seen[nonce]
	return n, ok
}

func (s *Store) forget(nonce string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, nonce)
}

// Begin implements refresh.Backend. A go of Redis counts only when the durable tier has no
// newer credentials, and knows of no attempt or end of them that Redis has lost. Before a
// credential that must not be presented twice is given out, the intent is in the durable
// tier as well.
func (s *Store) Begin(ctx context.Context, a bellwether.Attempt) (bellwether.BeginAnswer, error) {
	ctx = brief(ctx)
	ans, err := s.front.Begin(ctx, a)
	if err != nil {
		return ans, err
	}
	switch ans.Word {
	case bellwether.BeginGo:
		return s.admit(ctx, a, ans)
	case bellwether.BeginGone:
		return s.lookFor(ctx, a.ID, ans)
	case bellwether.BeginRecover, bellwether.BeginRegressed, bellwether.BeginState:
		// What Redis waits for, or has lost, may be in the durable tier.
		if b, err := s.reconcile(ctx, a.ID); err == nil && b.moved {
			ans.Word = bellwether.BeginChanged
		}
	}
	return ans, nil
}

// instead is another answer to a begin.
func instead(ans bellwether.BeginAnswer, word bellwether.BeginWord) bellwether.BeginAnswer {
	return bellwether.BeginAnswer{Word: word, Now: ans.Now, Generation: ans.Generation}
}

// lookFor brings back a row that Redis does not have, and answers for it.
func (s *Store) lookFor(ctx context.Context, id string, ans bellwether.BeginAnswer) (bellwether.BeginAnswer, error) {
	switch err := s.fill(ctx, id); {
	case err == nil:
		return instead(ans, bellwether.BeginChanged), nil
	case errors.Is(err, bellwether.ErrNotFound):
		return instead(ans, bellwether.BeginGone), nil
	default:
		return bellwether.BeginAnswer{}, err
	}
}

// once reports whether the credential that an attempt presents must not be presented
// twice.
func once(a bellwether.Attempt, t bellwether.Token) bool {
	if t.RefreshToken.IsZero() {
		return !t.GrantToken.IsZero()
	}
	return a.Rotation != bellwether.RotationReusable
}

func (s *Store) admit(ctx context.Context, a bellwether.Attempt, ans bellwether.BeginAnswer) (bellwether.BeginAnswer, error) {
	front, err := s.front.Record(ctx, a.ID)
	if err != nil {
		return s.refuse(ctx, a, ans, err)
	}
	strict := once(a, ans.Token)
	back, err := s.back.Record(ctx, a.ID)
	for try := range tries {
		if errors.Is(err, bellwether.ErrNotFound) {
			var b both
			if b, err = s.reconcile(ctx, a.ID); err == nil { // copied, unless it was deleted
				front, back = b.front, b.back
			}
		}
		switch {
		case err == nil:
		case !strict && errors.Is(err, bellwether.ErrUnavailable) && ctx.Err() == nil:
			s.cfg.Logger.Warn("bellwether: the durable store is away; its row is brought up to date later", "id", a.ID, "err", err)
			s.remember(a.Nonce, seen{front: front})
			return ans, nil
		default:
			return s.refuse(ctx, a, ans, err)
		}
		if front.Cred != a.Expected { // installed since Redis said go
			return s.yield(ctx, a, ans)
		}
		write := strict // the intent
		switch order := s.compare(front, back); {
		case order == same && s.forgotten(a, ans, strict, back):
			if try == tries-1 {
				return s.restore(ctx, a, ans, front, back)
			}
			// Who has just ended an attempt may be about to tell how.
			select {
			case <-time.After(holdPoll):
			case <-ctx.Done():
			}
			back, err = s.back.Record(ctx, a.ID)
			continue
		case order == same:
		case order == frontAhead && !back.Adopted:
			write = true
		default:
			return s.yield(ctx, a, ans)
		}
		if !write {
			s.remember(a.Nonce, seen{front: front, version: back.Version})
			return ans, nil
		}
		var stored bellwether.Record
		stored, err = s.back.Swap(ctx, back.Version, front)
		switch {
		case err == nil:
			s.remember(a.Nonce, seen{front: front, version: stored.Version, marked: true})
			return ans, nil
		case errors.Is(err, bellwether.ErrUnavailable):
			if strict {
				s.copyLater(a.ID, bellwether.Record{}, "") // the intent may be there
			}
		case errors.Is(err, bellwether.ErrConflict) && stored.Version == "":
			err = &bellwether.Error{Kind: bellwether.ErrNotFound, Op: "begin", ID: a.ID}
		case errors.Is(err, bellwether.ErrConflict) && stored.Version != back.Version:
			back, err = stored, nil
		}
	}
	return s.refuse(ctx, a, ans, cmp.Or(err, restless(a.ID)))
}

// forgotten reports whether the durable tier knows what Redis has lost, of credentials on
// which the two agree: that the row is no longer active, or that another attempt, of which
// this begin did not speak, has presented what must not be presented twice.
func (s *Store) forgotten(a bellwether.Attempt, ans bellwether.BeginAnswer, strict bool, back bellwether.Record) bool {
	if back.Token.State != bellwether.StateActive {
		return true
	}
	by := s.front.Presenter(back)
	return strict && !ans.Doubt && by != "" && by != a.Nonce
}

// giveUp ends an attempt that must not go on.
func (s *Store) giveUp(ctx context.Context, a bellwether.Attempt) error {
	_, err := s.front.Fail(context.WithoutCancel(ctx), bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent})
	return err
}

// refuse ends an attempt, and returns why; a row that is not there is looked for.
func (s *Store) refuse(ctx context.Context, a bellwether.Attempt, ans bellwether.BeginAnswer, why error) (bellwether.BeginAnswer, error) {
	switch err := s.giveUp(ctx, a); {
	case err != nil:
		return bellwether.BeginAnswer{}, err
	case errors.Is(why, bellwether.ErrNotFound):
		return s.lookFor(ctx, a.ID, ans)
	}
	return bellwether.BeginAnswer{}, why
}

// yield ends an attempt on credentials that are not the newest, and lets Redis have those.
func (s *Store) yield(ctx context.Context, a bellwether.Attempt, ans bellwether.BeginAnswer) (bellwether.BeginAnswer, error) {
	if err := s.giveUp(ctx, a); err != nil {
		return bellwether.BeginAnswer{}, err
	}
	switch _, err := s.reconcile(ctx, a.ID); {
	case errors.Is(err, bellwether.ErrNotFound):
		return instead(ans, bellwether.BeginGone), nil
	case err != nil:
		return bellwether.BeginAnswer{}, err
	}
	return instead(ans, bellwether.BeginChanged), nil
}

// restore ends an attempt, and lets Redis have what it has lost of the row: its rules apply
// to the next one.
func (s *Store) restore(ctx context.Context, a bellwether.Attempt, ans bellwether.BeginAnswer, front, back bellwether.Record) (bellwether.BeginAnswer, error) {
	if err := s.giveUp(ctx, a); err != nil {
		return bellwether.BeginAnswer{}, err
	}
	switch err := s.install(ctx, front.Version, back); {
	case err == nil, errors.Is(err, errAgain):
		return instead(ans, bellwether.BeginChanged), nil
	case errors.Is(err, bellwether.ErrNotFound):
		return instead(ans, bellwether.BeginGone), nil
	default:
		return bellwether.BeginAnswer{}, err
	}
}

// Commit implements refresh.Backend. The durable tier is written first. While it is away
// the answer goes to Redis alone, and is copied later. Where Redis does not take it, and
// nobody knows whether the durable tier would, the error is ErrUnavailable: offer it again.
func (s *Store) Commit(ctx context.Context, c bellwether.Commit) (bellwether.CommitAnswer, error) {
	ctx = brief(ctx)
	kept, w, err := s.keep(ctx, c)
	if err != nil {
		s.cfg.Logger.Warn("bellwether: a new token is not in the durable store yet", "id", c.Attempt.ID, "err", err)
	}
	ans, frontErr := s.front.Commit(ctx, c)
	if frontErr != nil {
		return ans, frontErr
	}
	switch {
	case ans.Word == bellwether.CommitOK:
		if !kept {
			s.copyLater(c.Attempt.ID, w.answer, w.version)
		}
	case ans.Word != bellwether.CommitSibling && errors.Is(err, bellwether.ErrUnavailable):
		return bellwether.CommitAnswer{}, err
	case ans.Word == bellwether.CommitGone && kept:
		// Redis has lost the row; the durable tier has it, with this answer.
		b, err := s.reconcile(ctx, c.Attempt.ID)
		switch {
		case err == nil && b.front.Cred == c.Attempt.Nonce:
			ans = bellwether.CommitAnswer{Word: bellwether.CommitOK, Generation: b.front.Token.Generation}
		case err != nil && !errors.Is(err, bellwether.ErrNotFound):
			return bellwether.CommitAnswer{}, err // the answer is offered again
		}
	}
	s.forget(c.Attempt.Nonce)
	return ans, nil
}

// keep writes a commit into the durable tier. It reports whether it is there. When it is
// not and there is no error, the durable row is another by now, and so is Redis's; with an
// error, w is what is left to be written.
func (s *Store) keep(ctx context.Context, c bellwether.Commit) (kept bool, w waiting, err error) {
	n, ok := s.recall(c.Attempt.Nonce)
	if !ok || n.version == "" {
		// Nobody knows what the durable tier had: who begins next compares.
		return false, w, errors.New("the attempt began without it")
	}
	for range tries {
		w.version = n.version
		if w.answer, err = s.front.Committed(n.front, c); err != nil {
			return false, waiting{}, err
		}
		stored, err := s.back.Swap(ctx, w.version, w.answer)
		switch {
		case err == nil:
			return true, w, nil
		case !errors.Is(err, bellwether.ErrConflict):
			return false, w, err
		case stored.Cred == c.Attempt.Nonce:
			return true, w, nil // by an earlier run
		case stored.Version == n.version || stored.Version == "":
			return false, w, err
		}
		// A Save came in between. What it changed must be in Redis before.
		b, err := s.reconcile(ctx, c.Attempt.ID)
		if err != nil {
			return false, w, err
		}
		if b.front.Cred != c.Attempt.Expected || b.back.Cred != c.Attempt.Expected {
			return false, w, nil
		}
		n.front, n.version = b.front, b.back.Version
		s.remember(c.Attempt.Nonce, n)
	}
	return false, w, restless(c.Attempt.ID)
}

// Fail implements refresh.Backend. Where the durable tier has the intent, or the row has
// another state, it learns how it ended.
func (s *Store) Fail(ctx context.Context, f bellwether.Fail) (bellwether.FailAnswer, error) {
	ans, err := s.front.Fail(ctx, f)
	if err != nil {
		return ans, err
	}
	n, ok := s.recall(f.Attempt.Nonce)
	if !ans.Applied && n.marked && s.fill(ctx, f.Attempt.ID) == nil {
		// Redis had lost the intent; the durable tier had not.
		if ans, err = s.front.Fail(ctx, f); err != nil {
			return ans, err
		}
	}
	s.forget(f.Attempt.Nonce)
	if ans.Applied && ok && (n.marked || ans.State != bellwether.StateActive) {
		s.tell(ctx, f.Attempt.ID)
	}
	return ans, nil
}

// MarkRevoking implements refresh.Backend.
func (s *Store) MarkRevoking(ctx context.Context, id string) error {
	err := s.front.MarkRevoking(ctx, id)
	if errors.Is(err, bellwether.ErrNotFound) {
		if err := s.fill(ctx, id); err != nil {
			return err
		}
		err = s.front.MarkRevoking(ctx, id)
	}
	if err == nil {
		s.tell(ctx, id)
	}
	return err
}

// tellTime bounds what is done for the durable tier after the outcome is known.
const tellTime = time.Second

// tell writes the state of a row, and how its attempt ended, into the durable tier. While
// that is away it is told later; until then who begins compares.
func (s *Store) tell(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTime)
	defer cancel()
	front, err := s.front.Record(ctx, id)
	if err == nil {
		var back bellwether.Record
		if back, err = s.back.Record(ctx, id); err == nil && s.compare(front, back) == same {
			_, err = s.back.Swap(ctx, back.Version, front)
		}
	}
	if errors.Is(err, bellwether.ErrUnavailable) {
		s.copyLater(id, bellwether.Record{}, "")
	}
	if err != nil {
		s.cfg.Logger.Debug("bellwether: the durable store was not told of an outcome", "id", id, "err", err)
	}
}
