package bench

import (
	"context"
	"time"

	"github.com/bellwether-go/bellwether/oauthtest"
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

// killFirst kills the replica whose call reaches the provider first, while that holds
// it, and lets the provider go on.
func (s *stage) killFirst(ctx context.Context, hold *oauthtest.Hold, story *Story, next func(news) error) func(news) error {
	return func(n news) error {
		if n.Word != newsCalling || story.Killed != 0 {
			if next == nil {
				return nil
			}
			return next(n)
		}
		select {
		case <-hold.Arrived():
		case <-ctx.Done():
			return ended(ctx)
		}
		defer hold.Release()
		killed := time.Now()
		if err := s.fleet.kill(n.replica); err != nil {
			return err
		}
		story.Killed, story.KilledPID = n.replica.number, n.replica.pid()
		asked := time.Now()
		left, err := s.ground.client.PTTL(ctx, s.lockKey()).Result()
		if err != nil {
			return err
		}
		story.LockLeft = asked.Sub(killed) + left
		story.killed = killed
		s.say("replica %d leads; its call is at the provider: process %d is killed, its lock ends in %v",
			story.Killed, story.KilledPID, left.Round(10*time.Millisecond))
		return nil
	}
}

// lockKey is the key of the lock of the first row.
func (s *stage) lockKey() string {
	if s.Source == SourceBellwether {
		return s.ground.lockKey(s.rows[0])
	}
	return baselineLockKey(s.rows[0])
}
