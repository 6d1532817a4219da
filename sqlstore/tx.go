package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A transaction that others were in the way of is begun again until patience ends.
const (
	patience   = 30 * time.Second
	firstPause = 2 * time.Millisecond
	lastPause  = 200 * time.Millisecond
	mostTwice  = 20 // times that a row may be there already
)

// errStale: a reader has met a row that another program has written. Only a writer
// adopts it.
var errStale = errors.New("sqlstore: a row is to be adopted")

// read runs look in a transaction that sees one state of the database, or, when it meets
// what is to be adopted, in one that writes.
func (s *Store) read(ctx context.Context, op, id string, look func(*view) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if s.dialect == MySQL {
		opts.Isolation = sql.LevelRepeatableRead
	}
	err := s.again(ctx, func() error {
		tx, err := s.db.BeginTx(ctx, opts)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // nothing was written
		return look(s.view(ctx, tx, op))
	})
	if errors.Is(err, errStale) {
		return s.write(ctx, op, id, nil, look)
	}
	return s.explain(ctx, op, id, err)
}

// write runs do in a transaction that holds the slots, as often as it takes. When do
// fails by a decision, only what was adopted is written.
//
// On MySQL the isolation is READ COMMITTED: what is written was read before by SELECT …
// FOR UPDATE, which waits for others and sees their newest state, whoever they are; the
// slots keep two of us from inserting one identity. On SQLite there is one writer.
func (s *Store) write(ctx context.Context, op, id string, slots []string, do func(*view) error) error {
	opts := new(sql.TxOptions)
	if s.dialect == MySQL {
		opts.Isolation = sql.LevelReadCommitted
	}
	err := s.again(ctx, func() error {
		done, err := s.turn(ctx)
		if err != nil {
			return err
		}
		defer done()
		tx, err := s.db.BeginTx(ctx, opts)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // after a commit it does nothing
		v := s.view(ctx, tx, op)
		v.now = time.Now()
		if err := v.lock(slots); err != nil {
			return err
		}
		decided := do(v)
		if _, ours := errors.AsType[*bellwether.Error](decided); decided != nil && (!ours || !v.adopted) {
			return decided
		}
		if err := v.flush(); err != nil {
			return err
		}
		if err := commit(ctx, tx); err != nil {
			return err
		}
		return decided
	})
	return s.explain(ctx, op, id, err)
}

// turn waits until it is the caller's turn to write. SQLite has one writer; those who wait
// for its lock do so by trying, so that one from each process is enough.
func (s *Store) turn(ctx context.Context) (done func(), err error) {
	if s.dialect != SQLite {
		return func() {}, nil
	}
	select {
	case s.writer <- struct{}{}:
		return func() { <-s.writer }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// commit commits, but waits no longer than ctx: the database then decides by itself
// whether the whole transaction or nothing of it has happened.
func commit(ctx context.Context, tx *sql.Tx) error {
	done := make(chan error, 1)
	go func() { done <- tx.Commit() }() // ends with the connection at the latest
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// again calls once, again and again while others are in the way.
func (s *Store) again(ctx context.Context, once func() error) error {
	begun, pause, twice := time.Now(), firstPause, 0
	for {
		err := once()
		if err == nil || ctx.Err() != nil || errors.Is(err, errStale) {
			return err
		}
		if _, ours := errors.AsType[*bellwether.Error](err); ours {
			return err
		}
		switch s.dialect.fault(err) {
		case faultBusy:
		case faultTwice:
			if twice++; twice > mostTwice {
				return err
			}
		default:
			return err
		}
		if time.Since(begun) > patience {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		pause = min(2*pause, lastPause)
	}
}
