package lock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bsm/redislock"

	"github.com/bellwether-go/bellwether"
)

// A Lease is a lock that is held and renewed. Its methods are safe for
// concurrent use. It costs one goroutine and one timer, which end with it.
type Lease struct {
	held    *redislock.Lock
	opt     Options
	holdEnd time.Time
	ctx     context.Context // the lease itself: it ends when trust does
	end     context.CancelCauseFunc
	renewer chan struct{} // closed when the renewing goroutine has ended

	mu       sync.Mutex
	trustEnd time.Time
	expiry   *time.Timer // fires at trustEnd
	final    bool        // the key lasts as long as it may be held
	lastErr  error       // of the newest renewal, if that failed
	released bool
}

var _ bellwether.Lease = (*Lease)(nil)

// newLease starts to renew a lock that was asked for at start.
func newLease(ctx context.Context, held *redislock.Lock, start time.Time, opt Options) *Lease {
	l := &Lease{held: held, opt: opt, holdEnd: start.Add(opt.MaxHold), renewer: make(chan struct{})}
	l.ctx, l.end = context.WithCancelCause(context.WithoutCancel(ctx))
	l.mu.Lock()
	l.expiry = time.AfterFunc(opt.TTL, l.expire)
	l.trustLocked(start, opt.TTL)
	l.mu.Unlock()
	go l.renew()
	return l
}

// Context ends when the lease can no longer be trusted; context.Cause then
// matches ErrLost, ErrMaxHold or ErrReleased. It carries the values of Obtain's
// ctx but does not end with that.
func (l *Lease) Context() context.Context { return l.ctx }

// Release ends the lease and deletes the lock if it is still ours. A lock that
// is gone, by whomever, is no error, and somebody else's is left alone. It works
// though ctx has ended, and takes at most Options.Timeout when the client obeys
// deadlines (redis.Options.ContextTimeoutEnabled). After an error it may be called
// again, or the key ends with its TTL.
func (l *Lease) Release(ctx context.Context) error {
	ctx, cancel := detach(ctx, l.opt.Timeout)
	defer cancel()
	l.mu.Lock()
	l.end(ErrReleased)
	l.expiry.Stop()
	released := l.released
	l.mu.Unlock()
	if released {
		return nil
	}
	if err := l.held.Release(ctx); err != nil && !errors.Is(err, redislock.ErrLockNotHeld) {
		return fmt.Errorf("lock: release: %w", err)
	}
	l.mu.Lock()
	l.released = true
	l.mu.Unlock()
	select {
	case <-l.renewer:
	case <-ctx.Done(): // a renewal under way ends by its own timeout
	}
	return nil
}

// trustLocked counts on a key that was set for ttl at start or later.
func (l *Lease) trustLocked(start time.Time, ttl time.Duration) {
	if l.ctx.Err() != nil {
		return
	}
	l.final = !start.Add(l.opt.TTL).Before(l.holdEnd)
	l.trustEnd = start.Add(ttl - l.opt.Margin)
	l.expiry.Reset(time.Until(l.trustEnd))
}

// expire ends the lease, unless it was renewed as the timer fired.
func (l *Lease) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case time.Now().Before(l.trustEnd):
	case l.final:
		l.end(ErrMaxHold)
	case l.lastErr != nil:
		l.end(fmt.Errorf("%w: not renewed in time: %w", ErrLost, l.lastErr))
	default:
		l.end(fmt.Errorf("%w: not renewed in time", ErrLost))
	}
}

// renew extends the key every TTL/3, and more often after an error, until the
// lease ends or the key lasts as long as it may be held.
func (l *Lease) renew() {
	defer close(l.renewer)
	timer := time.NewTimer(l.opt.TTL / 3)
	defer timer.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-timer.C:
		}
		if l.isFinal() {
			return
		}
		if l.extend() {
			timer.Reset(l.opt.TTL / 3)
		} else {
			timer.Reset(l.opt.TTL / 10)
		}
	}
}

func (l *Lease) isFinal() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.final
}

// extend renews the key once and reports whether Redis has answered.
func (l *Lease) extend() bool {
	start := time.Now()
	ttl := min(l.opt.TTL, l.holdEnd.Sub(start)).Truncate(time.Millisecond)
	if ttl <= 0 {
		return false // trust is about to end; an expiry of zero would delete the key
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.opt.Timeout)
	defer cancel()
	err := l.held.Refresh(ctx, ttl, nil)
	if errors.Is(err, redislock.ErrNotObtained) {
		l.end(fmt.Errorf("%w: the key is gone or has another owner", ErrLost))
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastErr = err
	if err == nil {
		l.trustLocked(start, ttl)
	}
	return err == nil
}
