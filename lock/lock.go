package lock

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
)

// NonceLen is the length of a nonce, that of crypto/rand.Text.
const NonceLen = 26

// Why the context of a lease has ended: its context.Cause matches one of these.
var (
	// ErrLost: the key is gone or somebody else's, or it could not be renewed in
	// time. The cause also wraps the newest error of a renewal, if there is one.
	ErrLost = errors.New("lock: lease lost")
	// ErrMaxHold: Options.MaxHold has passed, less the margin.
	ErrMaxHold = errors.New("lock: held for the longest time allowed")
	// ErrReleased: Release was called.
	ErrReleased = errors.New("lock: lease released")
)

// A Client is what a lock needs of Redis. Every redis.UniversalClient is one.
type Client interface {
	redis.Scripter
	PTTL(ctx context.Context, key string) *redis.DurationCmd
}

//go:embed release.lua
var releaseLua string

var releaseScript = redis.NewScript(releaseLua)

// Obtain tries once to take the lock key for the attempt nonce, a string of
// NonceLen characters that is never used for another attempt: redislock takes a
// lock over whose owner begins with the given one, so all must have one length.
//
// A lock that somebody else holds is a *bellwether.LockedError; what remains of
// it is at most TTL. Any other error is bellwether.ErrInvalid, or wraps Redis's or
// ctx's, or is ErrLost when the answer took longer than the lease would last.
// Since the lock may have been taken although its reply was lost, Obtain then
// deletes it if it is ours, and for that may take Options.Timeout longer than ctx
// allows. If that fails too, or overtakes a request still on its way, the key
// ends with its TTL.
//
// ctx bounds Obtain alone. The lease lasts until it is released or lost; the
// caller must release it.
func Obtain(ctx context.Context, client Client, key, nonce string, opt Options) (*Lease, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	if key == "" {
		return nil, fmt.Errorf("lock: %w: empty key", bellwether.ErrInvalid)
	}
	if len(nonce) != NonceLen {
		return nil, fmt.Errorf("lock: %w: a nonce of %d characters, want %d", bellwether.ErrInvalid, len(nonce), NonceLen)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("lock: obtain: %w", err)
	}

	start := time.Now()
	trustEnd := start.Add(opt.TTL - opt.Margin)
	tctx, cancel := context.WithDeadline(ctx, trustEnd)
	defer cancel()
	held, err := redislock.Obtain(tctx, client, key, opt.TTL, &redislock.Options{Token: nonce})
	switch {
	case errors.Is(err, redislock.ErrNotObtained):
		return nil, locked(tctx, client, key, opt.TTL)
	case err == nil && time.Now().Before(trustEnd):
		return newLease(ctx, held, start, opt), nil
	case err == nil:
		err = fmt.Errorf("%w: the answer came too late", ErrLost)
	}
	undo(ctx, client, key, nonce, opt.Timeout)
	return nil, fmt.Errorf("lock: obtain: %w", err)
}

// locked reports who is in the way: a *bellwether.LockedError.
func locked(ctx context.Context, client Client, key string, ttl time.Duration) error {
	left, err := client.PTTL(ctx, key).Result()
	if err != nil {
		return fmt.Errorf("lock: remaining time: %w", err)
	}
	switch left {
	case -2: // gone meanwhile
		left = 0
	case -1: // a key without an end is not one of ours
		left = ttl
	}
	return &bellwether.LockedError{Remaining: min(left, ttl)}
}

// undo deletes a lock that may be ours. It sends the script itself: one request is
// all that a failing wire should have to carry. An error changes nothing: the
// caller has one to report, and the key has its TTL.
func undo(ctx context.Context, client Client, key, nonce string, timeout time.Duration) {
	ctx, cancel := detach(ctx, timeout)
	defer cancel()
	_ = releaseScript.Eval(ctx, client, []string{key}, nonce).Err()
}

// detach keeps the values of ctx and gives it an end of its own.
func detach(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}
