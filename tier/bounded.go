package tier

import (
	"context"
	"errors"
	"time"

	"github.com/bellwether-go/bellwether"
)

// share is the part of Config.FillTimeout that one durable call of a refresh may take.
const share = 5

// A bounded durable store answers, in a begin or a commit, within a third of what the
// caller has left, and within most: one that hangs must leave time to write Redis. What
// takes longer is ErrUnavailable, unless the caller's own time has ended. Elsewhere the
// caller's time is the bound.
type bounded struct {
	bellwether.Durable
	most time.Duration
}

type briefKey struct{}

// brief marks the ctx of a begin or a commit.
func brief(ctx context.Context) context.Context { return context.WithValue(ctx, briefKey{}, true) }

func (b bounded) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Value(briefKey{}) == nil {
		return ctx, func() {}
	}
	most := b.most
	if end, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(end)/3)
	}
	return context.WithTimeout(ctx, most)
}

func (b bounded) Record(ctx context.Context, id string) (bellwether.Record, error) {
	short, cancel := b.limit(ctx)
	defer cancel()
	rec, err := b.Durable.Record(short, id)
	return rec, hung(ctx, "read", id, err)
}

func (b bounded) Swap(ctx context.Context, expected string, next bellwether.Record) (bellwether.Record, error) {
	short, cancel := b.limit(ctx)
	defer cancel()
	rec, err := b.Durable.Swap(short, expected, next)
	return rec, hung(ctx, "write", next.Token.ID, err)
}

func hung(ctx context.Context, op, id string, err error) error {
	if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: op, ID: id, Err: err,
		Detail: "the durable store did not answer in time", Hint: "check that it answers"}
}
