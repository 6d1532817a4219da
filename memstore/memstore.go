// Package memstore keeps tokens in the memory of one process.
//
// It is the reference of the rules of [bellwether.Store]: short, and checked by the
// same suite as every other store. It is also a test double. What it does not do:
// it outlives no process, is shared by none, and coordinates no refresh.
//
//	store := memstore.New()
//	t, err := store.Save(ctx, bellwether.Token{UserName: "bot", RefreshToken: bellwether.NewSecret(rt)})
package memstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A deleted row is remembered for this long, so that a save over it continues its
// generation and its past.
const tombstoneLife = 24 * time.Hour

// listBatch bounds what List copies at a time.
const listBatch = 256

// A Store is a bellwether.Store in memory, safe for concurrent use.
type Store struct {
	mu     sync.Mutex
	rows   map[string]*row // by ID, tombstones included
	order  []*row          // the live ones, by seq
	index  map[key][]*row  // the live ones, by all that identifies them
	graves []grave         // the tombstones, oldest first
	seq    uint64
}

var _ bellwether.Store = (*Store)(nil)

// New returns an empty Store.
func New() *Store {
	return &Store{rows: make(map[string]*row), index: make(map[key][]*row)}
}

// Find implements bellwether.Store.
func (s *Store) Find(ctx context.Context, partial bellwether.Token) (bellwether.Token, error) {
	if partial.ID != "" {
		return s.byID(ctx, "find", partial.ID)
	}
	if err := ctxError(ctx, "find", ""); err != nil {
		return bellwether.Token{}, err
	}
	if err := partial.Validate(); err != nil {
		return bellwether.Token{}, err
	}
	if len(rules(partial)) == 0 {
		return bellwether.Token{}, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "find",
			Detail: "there is nothing to look for",
			Hint:   "give an ID, a user name, a refresh or grant token, or an access token without client credentials"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.identifyLocked("find", partial)
	if err != nil {
		return bellwether.Token{}, err
	}
	if r == nil {
		return bellwether.Token{}, notFound("find", "")
	}
	return r.tok.Clone(), nil
}

// FindByID implements bellwether.Store.
func (s *Store) FindByID(ctx context.Context, id string) (bellwether.Token, error) {
	return s.byID(ctx, "find by ID", id)
}

func (s *Store) byID(ctx context.Context, op, id string) (bellwether.Token, error) {
	if err := ctxError(ctx, op, id); err != nil {
		return bellwether.Token{}, err
	}
	if err := bellwether.ValidateID(id); err != nil {
		return bellwether.Token{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.liveLocked(id)
	if r == nil {
		return bellwether.Token{}, notFound(op, id)
	}
	return r.tok.Clone(), nil
}

// Save implements bellwether.Store.
func (s *Store) Save(ctx context.Context, t bellwether.Token) (bellwether.Token, error) {
	if err := ctxError(ctx, "save", t.ID); err != nil {
		return bellwether.Token{}, err
	}
	if err := t.Validate(); err != nil {
		return bellwether.Token{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()

	r, err := s.targetLocked(t)
	if err != nil {
		return bellwether.Token{}, err
	}
	for _, k := range credentialKeys(t) {
		for _, owner := range s.index[k] {
			if owner != r {
				return bellwether.Token{}, conflict(t.ID, "another row owns this refresh or grant token",
					"find that row by the token, or delete it first")
			}
		}
	}
	given := r.past.strip(t)
	old := r.tok
	var next bellwether.Token
	switch {
	case t.Generation == 0:
		next = old.Merge(given)
	case r.dead || t.Generation != old.Generation:
		return bellwether.Token{}, conflict(t.ID, fmt.Sprintf("the row does not have generation %d", t.Generation),
			"read the row again and repeat the change")
	default:
		next = old.Replace(given)
	}
	if !next.HasCredential() {
		return bellwether.Token{}, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "save", ID: next.ID,
			Detail: "the row would hold no credential",
			Hint:   "give a refresh, grant or access token that this row has not superseded, or client id and secret"}
	}
	if next.UserName != "" {
		for _, other := range s.index[keyOf(byUser, next.UserName)] {
			if other != r && bellwether.Compatible(other.tok, next) {
				return bellwether.Token{}, conflict(t.ID, "another row has this user name, provider, data centre and client",
					"save without an ID to update that row")
			}
		}
	}

	now := time.UnixMilli(time.Now().UnixMilli()).UTC()
	lineage := r.dead || old.StartsLineage(next)
	if lineage {
		next.State, next.Failure = bellwether.StateActive, nil
	}
	if r.dead {
		next.CreatedAt = now
	}
	next.UpdatedAt = now
	next.Generation = old.Generation + 1

	s.removeLocked(r)
	r.past.supersede(old, next, lineage)
	r.tok, r.dead = next, false
	s.addLocked(r)
	return next.Clone(), nil
}

// targetLocked returns the row that a Save of t is about; a dead one when it is to be
// inserted.
func (s *Store) targetLocked(t bellwether.Token) (*row, error) {
	if t.ID == "" {
		r, err := s.identifyLocked("save", t)
		if err != nil || r != nil {
			return r, err
		}
		t.ID = rand.Text()
	}
	if r := s.rows[t.ID]; r != nil {
		return r, nil
	}
	return &row{tok: bellwether.Token{ID: t.ID}, dead: true}, nil
}

// Delete implements bellwether.Store.
func (s *Store) Delete(ctx context.Context, id string) error {
	if err := ctxError(ctx, "delete", id); err != nil {
		return err
	}
	if err := bellwether.ValidateID(id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.liveLocked(id)
	if r == nil {
		return notFound("delete", id)
	}
	s.buryLocked(r)
	return nil
}

// DeleteAll implements bellwether.Store.
func (s *Store) DeleteAll(ctx context.Context) error {
	if err := ctxError(ctx, "delete all", ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range slices.Backward(slices.Clone(s.order)) {
		s.buryLocked(r)
	}
	return nil
}

// List implements bellwether.Store. It copies a few hundred rows at a time and holds
// no lock while it yields.
func (s *Store) List(ctx context.Context) iter.Seq2[bellwether.Token, error] {
	return func(yield func(bellwether.Token, error) bool) {
		var after uint64
		for {
			var batch []bellwether.Token
			batch, after = s.batch(after)
			if len(batch) == 0 {
				if err := ctxError(ctx, "list", ""); err != nil {
					yield(bellwether.Token{}, err)
				}
				return
			}
			for _, t := range batch {
				if err := ctxError(ctx, "list", ""); err != nil {
					yield(bellwether.Token{}, err)
					return
				}
				if !yield(t, nil) {
					return
				}
			}
		}
	}
}

// batch returns the next live rows whose seq is above after, and the last one's seq.
func (s *Store) batch(after uint64) ([]bellwether.Token, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.order, after+1, bySeq)
	var batch []bellwether.Token
	for _, r := range s.order[i:min(i+listBatch, len(s.order))] {
		batch = append(batch, r.tok.Clone())
		after = r.seq
	}
	return batch, after
}

func (s *Store) liveLocked(id string) *row {
	if r := s.rows[id]; r != nil && !r.dead {
		return r
	}
	return nil
}

// addLocked makes a live row findable. A row keeps its place in the listing for life.
func (s *Store) addLocked(r *row) {
	if r.seq == 0 {
		s.seq++
		r.seq = s.seq
		s.order = append(s.order, r)
		s.rows[r.tok.ID] = r
	}
	for _, k := range r.keys() {
		s.index[k] = append(s.index[k], r)
	}
}

// removeLocked undoes addLocked but for the place in the listing.
func (s *Store) removeLocked(r *row) {
	for _, k := range r.keys() {
		rest := slices.DeleteFunc(s.index[k], func(o *row) bool { return o == r })
		if len(rest) == 0 {
			delete(s.index, k)
		} else {
			s.index[k] = rest
		}
	}
}

// buryLocked turns a live row into a tombstone: its generation and its past.
func (s *Store) buryLocked(r *row) {
	s.removeLocked(r)
	if i, ok := slices.BinarySearchFunc(s.order, r.seq, bySeq); ok {
		s.order = slices.Delete(s.order, i, i+1)
	}
	r.seq, r.dead = 0, true
	r.tok = bellwether.Token{ID: r.tok.ID, Generation: r.tok.Generation + 1}

	now := time.Now()
	s.graves = append(s.graves, grave{r, r.tok.Generation, now})
	for len(s.graves) > 0 && now.Sub(s.graves[0].at) > tombstoneLife {
		g := s.graves[0]
		s.graves = s.graves[1:]
		if g.row.dead && g.row.tok.Generation == g.generation {
			delete(s.rows, g.row.tok.ID)
		}
	}
}

// A grave says when a row was deleted; the row may have been saved again since.
type grave struct {
	row        *row
	generation int64
	at         time.Time
}

func bySeq(r *row, seq uint64) int { return cmp.Compare(r.seq, seq) }

func ctxError(ctx context.Context, op, id string) error {
	if err := ctx.Err(); err != nil {
		return &bellwether.Error{Op: op, ID: id, Err: err}
	}
	return nil
}

func notFound(op, id string) error {
	return &bellwether.Error{Kind: bellwether.ErrNotFound, Op: op, ID: id}
}

func conflict(id, detail, hint string) error {
	return &bellwether.Error{Kind: bellwether.ErrConflict, Op: "save", ID: id, Detail: detail, Hint: hint}
}
