package bench

import (
	"context"
	"errors"
	"slices"
	"time"
)

// expiry says how the tokens of a round come to their end.
type expiry string

// The ways. None of them, the usual: every replica holds the token until it ends, as
// in life.
const (
	// expiryAtOnce: a token that has ended is stored over the one that lives. It takes
	// no time, for many rounds.
	expiryAtOnce expiry = "at once"
	// expiryNone: the tokens live on.
	expiryNone expiry = "none"
)

// How long an access token lives that a round waits for to end. Every replica must
// have read it in the first three quarters; later it would be refreshed ahead.
const (
	shortLife = 2 * time.Second
	mostLife  = 8 * time.Second
)

// told is how long a message to all replicas takes at most, on a quiet machine. A
// replica that it reaches later serves a token that is still good.
const told = 30 * time.Millisecond

// expire brings the tokens to their end, as the plan says.
func (s *stage) expire(ctx context.Context) error {
	switch {
	case s.Expiry == expiryNone:
		return nil
	case s.Source != SourceBellwether:
		for _, row := range s.rows {
			if err := s.ground.expirePlain(ctx, s.Source, row); err != nil {
				return err
			}
		}
		_, err := s.warm(ctx)
		return err
	case s.Expiry == expiryAtOnce:
		for _, row := range s.rows {
			if _, err := s.ground.expire(ctx, row, -time.Second); err != nil {
				return err
			}
		}
		return sleep(ctx, told<<s.slow)
	}
	return s.expireLived(ctx)
}

func (s *stage) expireLived(ctx context.Context) error {
	for life := shortLife; life <= mostLife; life *= 2 {
		calls := s.server.Calls()
		var ends time.Time
		for _, row := range s.rows {
			var err error
			if ends, err = s.ground.expire(ctx, row, life); err != nil {
				return err
			}
		}
		late, err := s.warm(ctx)
		if err != nil {
			return err
		}
		if late || s.ground.untilPast(ends) < life/3 {
			continue // a slow machine: some replica may refresh ahead
		}
		s.say("every replica holds the token; it ends in %v", s.ground.untilPast(ends).Round(10*time.Millisecond))
		if err := sleep(ctx, s.ground.untilPast(ends)+20*time.Millisecond); err != nil {
			return err
		}
		if s.server.Calls() == calls {
			return nil
		}
	}
	return errors.New("bench: this machine is too slow to let a token expire in all replicas at once")
}

// warm reports whether some replica does not hold what was saved.
func (s *stage) warm(ctx context.Context) (late bool, err error) {
	if err := s.fleet.tell(order{Do: orderWarm}); err != nil {
		return false, err
	}
	all, err := s.fleet.await(ctx, newsWarmed, nil)
	for _, n := range all {
		late = late || n.Late
	}
	return late, err
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}

// shorten gives tokens (all, when no rows are named) so much left of a life that is so
// many times as long, and tells every replica. The access tokens are the grants' own: the
// provider's API takes them beyond that.
func (s *stage) shorten(ctx context.Context, left time.Duration, lives float64, rows ...int) error {
	for i, row := range s.rows {
		if len(rows) > 0 && !slices.Contains(rows, i) {
			continue
		}
		if err := s.ground.shorten(ctx, s.Source, row, s.grants[i].Token, left, lives); err != nil {
			return err
		}
	}
	if s.Source == SourceBellwether {
		return sleep(ctx, told)
	}
	_, err := s.warm(ctx)
	return err
}
