package redisstore

import (
	"context"
	"crypto/rand"

	"github.com/bellwether-go/bellwether"
)

// Delete implements bellwether.Store. The row becomes a tombstone for
// Config.Tombstone, and then its index entries are removed. It works on a row that
// cannot be opened. When its reply is lost and the client sends it again, a row that was
// saved in between stays, unless four saves came in between.
func (s *Store) Delete(ctx context.Context, id string) error {
	return s.deleteIf(ctx, id, "")
}

// DeleteRevoking implements refresh.Backend.
func (s *Store) DeleteRevoking(ctx context.Context, id string) error {
	return s.deleteIf(ctx, id, stRevoking)
}

// deleteIf deletes a row in the state st; blank means any.
func (s *Store) deleteIf(ctx context.Context, id, st string) error {
	if err := ended(ctx, "delete", id); err != nil {
		return err
	}
	if err := bellwether.ValidateID(id); err != nil {
		return err
	}
	v, err := s.run(ctx, s.scripts.delete, []string{s.keys.row(id), s.keys.due(id)},
		rand.Text(), s.cfg.Tombstone.Milliseconds(), s.keys.channel(), id, "", st)
	if err != nil {
		return fault(ctx, "delete", id, err)
	}
	switch v[0] {
	case "ok":
	case "kept":
		return &bellwether.Error{Kind: bellwether.ErrConflict, Op: "delete", ID: id, Detail: "the row is not being revoked any more"}
	default:
		return &bellwether.Error{Kind: bellwether.ErrNotFound, Op: "delete", ID: id}
	}
	linger, cancel := lingering(ctx)
	defer cancel()
	if _, err := s.runAll(linger, s.dropAll(id, v), nil); err != nil {
		// The row is gone; what is left in the index leads to its tombstone.
		s.cfg.Logger.Debug("bellwether: index entries not removed", "id", id, "err", unquoted(err))
	}
	return nil
}

// DeleteAll implements bellwether.Store.
func (s *Store) DeleteAll(ctx context.Context) error {
	for ids, err := range s.listIDs(ctx, "delete all") {
		if err != nil {
			return err
		}
		if err := s.deleteMany(ctx, ids); err != nil {
			return fault(ctx, "delete all", "", err)
		}
	}
	return nil
}

// deleteMany deletes rows; one that is gone is none to delete.
func (s *Store) deleteMany(ctx context.Context, ids []string) error {
	nonce := rand.Text()
	calls := make([]call, len(ids))
	for i, id := range ids {
		calls[i] = call{s.scripts.delete, []string{s.keys.row(id), s.keys.due(id)},
			[]any{nonce, s.cfg.Tombstone.Milliseconds(), s.keys.channel(), id, "", ""}}
	}
	answers, err := s.runAll(ctx, calls, nil)
	if err != nil {
		return err
	}
	calls = nil
	for i, v := range answers {
		if v[0] == "ok" {
			calls = append(calls, s.dropAll(ids[i], v)...)
		}
	}
	_, err = s.runAll(ctx, calls, nil)
	return err
}
