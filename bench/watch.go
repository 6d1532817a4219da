package bench

import (
	"context"
	"time"
)

// watch hands on how many callers have returned.
func (s *stage) watch(calls int) func(news) error {
	if s.narrator == nil {
		return nil
	}
	begun := time.Now()
	returned := map[*replica]int{}
	return func(n news) error {
		if n.Word != newsProgress {
			return nil
		}
		returned[n.replica] = n.Returned
		l := Live{Mode: s.mode, Elapsed: time.Since(begun)}
		for _, r := range s.fleet.living() {
			l.Callers += s.Callers
			l.Returned += returned[r]
		}
		stats := s.server.Stats()
		l.Calls, l.InFlight = stats.Calls-calls, stats.InFlight
		s.narrator.Live(l)
		return nil
	}
}

// atFirstCall makes the provider hold the first call of a round, does something while it
// is held, and lets the provider go on. All other news goes to next, which may be nil. A
// hold that no call of a round has reached is that of the next one: the provider has it
// still.
func (s *stage) atFirstCall(ctx context.Context, next func(news) error, do func(caller *replica) error) func(news) error {
	if s.hold == nil {
		s.hold = s.server.HoldNext(false)
	}
	done := false
	return func(n news) error {
		if n.Word != newsCalling || done {
			if next == nil {
				return nil
			}
			return next(n)
		}
		done = true
		select {
		case <-s.hold.Arrived():
		case <-ctx.Done():
			return ended(ctx)
		}
		defer s.letGo()
		return do(n.replica)
	}
}

// letGo lets the call go on that has reached the hold, if one has.
func (s *stage) letGo() {
	if s.hold == nil {
		return
	}
	select {
	case <-s.hold.Arrived():
		s.hold.Release() // once
		s.hold = nil
	default:
	}
}

// kill kills a replica and tells how.
func (s *stage) kill(ctx context.Context, r *replica, story *Story) error {
	story.killed = time.Now()
	if err := s.fleet.kill(r); err != nil {
		return err
	}
	story.Killed, story.KilledPID = r.number, r.pid()
	asked := time.Now()
	left, err := s.ground.client.PTTL(ctx, s.lockKey()).Result()
	if err != nil {
		return err
	}
	story.LockLeft = asked.Sub(story.killed) + left
	s.say("replica %d leads; its call is at the provider: process %d is killed, its lock ends in %v",
		story.Killed, story.KilledPID, left.Round(10*time.Millisecond))
	return nil
}

// lockKey is the key of the lock of the first row.
func (s *stage) lockKey() string {
	if s.Source == SourceBellwether {
		return s.ground.lockKey(s.rows[0])
	}
	return baselineLockKey(s.rows[0])
}
