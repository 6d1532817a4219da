package refresh

import (
	"context"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A Backend is a Store over which replicas can coordinate. All methods are safe
// for concurrent use. An infrastructure fault is an error that matches
// bellwether.ErrUnavailable; after such an error from Begin, Commit or Fail the
// write may have happened, and the same call may be repeated.
//
// *redisstore.Store is a Backend.
type Backend interface {
	bellwether.Store

	// Peek reads what a caller needs in one round trip. client is the Client of an
	// earlier Snapshot of the row, or blank: then no client cooldown is reported.
	// No row is bellwether.ErrNotFound.
	Peek(ctx context.Context, id, client string) (bellwether.Snapshot, error)

	// Lock tries once to take the row's lock; held by another it gives a
	// *bellwether.LockedError at once. The lease is renewed until it is released
	// or maxHold has passed.
	Lock(ctx context.Context, id, nonce string, ttl, maxHold time.Duration) (bellwether.Lease, error)

	Begin(ctx context.Context, a bellwether.Attempt) (bellwether.BeginAnswer, error)
	Commit(ctx context.Context, c bellwether.Commit) (bellwether.CommitAnswer, error)
	Fail(ctx context.Context, f bellwether.Fail) (bellwether.FailAnswer, error)

	// MarkRevoking sets StateRevoking, so that no attempt begins any more.
	MarkRevoking(ctx context.Context, id string) error

	// DeleteRevoking is Delete while the row is in StateRevoking, and ErrConflict
	// when it is not: a sign-in that was saved after MarkRevoking stays.
	DeleteRevoking(ctx context.Context, id string) error

	// Subscribe calls fn for every event until stop is called; stop waits for a
	// call of fn under way. fn must not block.
	Subscribe(fn func(bellwether.Event)) (stop func())

	// Now is the backend's clock, mapped from the local monotonic clock without
	// I/O; it is never behind the backend's own. ok is false while no valid mapping
	// exists (none sampled yet, or the machine was suspended).
	Now() (now time.Time, ok bool)
}
