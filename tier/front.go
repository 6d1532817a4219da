package tier

import (
	"context"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A Front is what coordinates; *redisstore.Store is one. Beside the methods of
// refresh.Backend it reads and writes whole rows.
type Front interface {
	bellwether.Store
	Peek(ctx context.Context, id, client string) (bellwether.Snapshot, error)
	Lock(ctx context.Context, id, nonce string, ttl, maxHold time.Duration) (bellwether.Lease, error)
	Begin(ctx context.Context, a bellwether.Attempt) (bellwether.BeginAnswer, error)
	Commit(ctx context.Context, c bellwether.Commit) (bellwether.CommitAnswer, error)
	Fail(ctx context.Context, f bellwether.Fail) (bellwether.FailAnswer, error)
	MarkRevoking(ctx context.Context, id string) error
	DeleteRevoking(ctx context.Context, id string) error
	Subscribe(fn func(bellwether.Event)) (stop func())
	Now() (now time.Time, ok bool)

	// Record returns a whole row; Install writes one over the version expected, blank for
	// none, and refuses a deleted row by ErrNotFound.
	Record(ctx context.Context, id string) (bellwether.Record, error)
	Install(ctx context.Context, expected string, rec bellwether.Record) error
	// Committed returns what Commit will make of a row.
	Committed(before bellwether.Record, c bellwether.Commit) (bellwether.Record, error)
	// Supersedes reports whether newer has gone on from the credentials of older.
	Supersedes(newer, older bellwether.Record) bool
	// Presenter returns the nonce of the attempt that has left its intent in a record, and
	// no outcome; blank for none.
	Presenter(rec bellwether.Record) string
	// Tokens returns those of the rows that are there.
	Tokens(ctx context.Context, ids []string) (map[string]bellwether.Token, error)
}
