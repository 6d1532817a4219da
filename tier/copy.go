package tier

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A waiting row is one that the durable tier does not have as Redis has it.
type waiting struct {
	// An answer that only Redis may have, and the version of the durable row that it was
	// to replace; blank when nobody knows that.
	answer  bellwether.Record
	version string

	times int // how often it was asked for
	rest  time.Duration
	due   time.Time
}

const (
	leastRest = 100 * time.Millisecond
	mostRest  = 10 * time.Second
)

// copyLater has a row copied to the durable tier when that answers again. An answer is
// kept here meanwhile, in case Redis loses it too; without one its version is blank.
func (s *Store) copyLater(id string, answer bellwether.Record, version string) {
	s.mu.Lock()
	w := s.pending[id]
	w.times++
	if version != "" {
		w.answer, w.version = answer, version
	}
	s.pending[id] = w
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Pending returns how many rows of this process wait to be copied to the durable tier.
func (s *Store) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)
}

// copyPending copies rows until Close. A row that could not be copied rests, ever longer.
func (s *Store) copyPending() {
	for {
		timer := time.NewTimer(s.copyDue())
		select {
		case <-s.ctx.Done():
			timer.Stop()
			return
		case <-s.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// copyDue copies the rows that do not rest, and returns when to look again.
func (s *Store) copyDue() time.Duration {
	due := make(map[string]waiting)
	s.mu.Lock()
	for id, w := range s.pending {
		if !w.due.After(time.Now()) {
			due[id] = w
		}
	}
	s.mu.Unlock()
	for id, w := range due {
		err := s.copyOne(id, w)
		s.mu.Lock()
		now := s.pending[id]
		switch {
		case err != nil && !errors.Is(err, bellwether.ErrNotFound):
			s.cfg.Logger.Debug("bellwether: row not copied to the durable store", "id", id, "err", err)
			now.rest = min(max(2*now.rest, leastRest), mostRest)
			now.due = time.Now().Add(now.rest)
			s.pending[id] = now
		case now.times == w.times:
			delete(s.pending, id)
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := time.Hour
	for _, w := range s.pending {
		next = min(next, time.Until(w.due))
	}
	return next
}

func (s *Store) copyOne(id string, w waiting) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.FillTimeout)
	defer cancel()
	release, err := s.hold(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if w.version != "" {
		front, err := s.front.Record(ctx, id)
		lost := errors.Is(err, bellwether.ErrNotFound)
		if err != nil && !lost {
			return err
		}
		if lost || front.Cred == w.answer.Prev {
			if _, err := s.swap(ctx, w.version, w.answer); err != nil && !errors.Is(err, errAgain) {
				return err
			}
		}
	}
	b, err := s.agree(ctx, id, true)
	if err != nil || bytes.Equal(b.front.Notes, b.back.Notes) && b.front.Token.State == b.back.Token.State {
		return err
	}
	if _, err = s.swap(ctx, b.back.Version, b.front); errors.Is(err, errAgain) {
		return nil
	}
	return err
}
