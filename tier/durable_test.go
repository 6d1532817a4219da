package tier_test

import (
	"cmp"
	"context"
	"iter"
	"sync/atomic"

	"github.com/bellwether-go/bellwether"
)

// A durable store that can be away, or hang, and counts.
type durable struct {
	bellwether.Durable
	away      atomic.Bool
	swapsAway atomic.Bool // reads answer, Swaps do not
	hangs     atomic.Bool // Record and Swap answer when ctx ends
	loses     atomic.Bool // Swap writes, and its answer is lost
	records   atomic.Int64
	refuses   atomic.Pointer[string] // the ID that no Swap may write
	beforeEnd func()                 // called in the next Swap before it answers
	onSave    func()                 // called in the next Save before it writes
}

func (d *durable) hang(ctx context.Context) error {
	if !d.hangs.Load() {
		return nil
	}
	<-ctx.Done()
	return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "durable", Err: ctx.Err()}
}

func (d *durable) gone() error {
	if d.away.Load() {
		return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "durable", Detail: "away"}
	}
	return nil
}

func (d *durable) Record(ctx context.Context, id string) (bellwether.Record, error) {
	d.records.Add(1)
	if err := cmp.Or(d.gone(), d.hang(ctx)); err != nil {
		return bellwether.Record{}, err
	}
	return d.Durable.Record(ctx, id)
}

func (d *durable) Swap(ctx context.Context, expected string, next bellwether.Record) (bellwether.Record, error) {
	if err := cmp.Or(d.gone(), d.hang(ctx)); err != nil {
		return bellwether.Record{}, err
	}
	if id := d.refuses.Load(); d.swapsAway.Load() || id != nil && *id == next.Token.ID {
		return bellwether.Record{}, &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "durable", Detail: "away"}
	}
	r, err := d.Durable.Swap(ctx, expected, next)
	if f := d.beforeEnd; f != nil {
		d.beforeEnd = nil
		f()
	}
	if d.loses.Load() {
		return bellwether.Record{}, &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "durable", Detail: "no reply"}
	}
	return r, err
}

func (d *durable) Save(ctx context.Context, t bellwether.Token) (bellwether.Token, error) {
	if err := d.gone(); err != nil {
		return bellwether.Token{}, err
	}
	if f := d.onSave; f != nil {
		d.onSave = nil
		f()
	}
	return d.Durable.Save(ctx, t)
}

func (d *durable) Find(ctx context.Context, t bellwether.Token) (bellwether.Token, error) {
	if err := d.gone(); err != nil {
		return bellwether.Token{}, err
	}
	return d.Durable.Find(ctx, t)
}

func (d *durable) Delete(ctx context.Context, id string) error {
	if err := d.gone(); err != nil {
		return err
	}
	return d.Durable.Delete(ctx, id)
}

func (d *durable) List(ctx context.Context) iter.Seq2[bellwether.Token, error] {
	if err := d.gone(); err != nil {
		return func(yield func(bellwether.Token, error) bool) { yield(bellwether.Token{}, err) }
	}
	return d.Durable.List(ctx)
}
