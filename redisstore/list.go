package redisstore

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
)

const (
	// bucketsAtOnce is how many due sets one round trip reads; a bucket of a million
	// rows' store has a thousand.
	bucketsAtOnce = 16
	// rowsAtOnce is how many rows are read, and kept in memory, at a time.
	rowsAtOnce = 128
)

// listIDs yields the ids of all rows, in batches. After an error it ends.
func (s *Store) listIDs(ctx context.Context, op string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for b := uint32(0); b < buckets; b += bucketsAtOnce {
			if err := ended(ctx, op, ""); err != nil {
				yield(nil, err)
				return
			}
			pipe := s.client.Pipeline()
			cmds := make([]*redis.StringSliceCmd, bucketsAtOnce)
			for i := range cmds {
				cmds[i] = pipe.ZRange(ctx, s.keys.dueOf(b+uint32(i)), 0, -1)
			}
			if _, err := pipe.Exec(ctx); err != nil {
				yield(nil, fault(ctx, op, "", err))
				return
			}
			var ids []string
			for _, cmd := range cmds {
				ids = append(ids, cmd.Val()...)
			}
			ids = slices.DeleteFunc(ids, func(id string) bool { return id == sentinel })
			for batch := range slices.Chunk(ids, rowsAtOnce) {
				if !yield(batch, nil) {
					return
				}
			}
		}
	}
}

// List implements bellwether.Store. It goes by what the buckets register, not by the
// keys of Redis.
func (s *Store) List(ctx context.Context) iter.Seq2[bellwether.Token, error] {
	return func(yield func(bellwether.Token, error) bool) {
		for ids, err := range s.listIDs(ctx, "list") {
			var rows [][]string
			if err == nil {
				rows, err = s.readMany(ctx, ids)
			}
			if err != nil {
				yield(bellwether.Token{}, fault(ctx, "list", "", err))
				return
			}
			for i, v := range rows {
				if err := ended(ctx, "list", ""); err != nil {
					yield(bellwether.Token{}, err)
					return
				}
				r, err := s.newRow(ids[i], v)
				switch {
				case errors.Is(err, bellwether.ErrUnreadable):
					if !yield(bellwether.Token{ID: ids[i]}, err) {
						return
					}
				case err != nil:
					yield(bellwether.Token{}, err)
					return
				case r.live():
					s.finishIndex(ctx, r)
					if !yield(r.token(), nil) {
						return
					}
				}
			}
		}
	}
}

// readMany reads the fields of rows in one round trip.
func (s *Store) readMany(ctx context.Context, ids []string) ([][]string, error) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		cmds[i] = pipe.HMGet(ctx, s.keys.row(id), rowFields...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	rows := make([][]string, len(ids))
	for i, cmd := range cmds {
		rows[i] = texts(cmd.Val())
	}
	return rows, nil
}
