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
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/rules"
)

// A deleted row is remembered for this long, so that a save over it continues its
// generation and its past.
const tombstoneLife = 24 * time.Hour

// listBatch bounds what List copies at a time.
const listBatch = 256

// A Store is a bellwether.Store in memory, safe for concurrent use. It is a
// bellwether.Durable too, as far as that can be without outliving its process.
type Store struct {
	mu     sync.Mutex
	keyer  rules.Keyer
	rows   map[string]*row      // by ID, tombstones included
	order  []*row               // the live ones, by seq
	index  map[rules.Key][]*row // the live ones, by all that identifies them
	graves []grave              // the tombstones, oldest first
	seq    uint64
	writes uint64
}

var _ bellwether.Durable = (*Store)(nil)

// A row is a place in the listing, and what stands there. What stands there is never
// changed, but for another.
type row struct {
	*rules.Row
	seq     uint64 // place in the listing; 0 when not in it
	version uint64
}

func (r *row) record() bellwether.Record { return r.Record(strconv.FormatUint(r.version, 10)) }

// New returns an empty Store.
func New() *Store {
	return &Store{rows: make(map[string]*row), index: make(map[rules.Key][]*row)}
}

// lookup is the Store as the rules look at it, under mu.
type lookup struct{ *Store }

func (l lookup) ByID(id string) (*rules.Row, error) {
	if r := l.rows[id]; r != nil {
		return r.Row, nil
	}
	return nil, nil
}

func (l lookup) ByKey(k rules.Key) ([]*rules.Row, error) {
	var found []*rules.Row
	for _, r := range l.index[k] {
		found = append(found, r.Row)
	}
	return found, nil
}

// Find implements bellwether.Store.
func (s *Store) Find(ctx context.Context, partial bellwether.Token) (bellwether.Token, error) {
	if err := ctxError(ctx, "find", partial.ID); err != nil {
		return bellwether.Token{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.keyer.Find(lookup{s}, partial)
	if err != nil {
		return bellwether.Token{}, err
	}
	return r.Token.Clone(), nil
}

// FindByID implements bellwether.Store.
func (s *Store) FindByID(ctx context.Context, id string) (bellwether.Token, error) {
	rec, err := s.Record(ctx, id)
	return rec.Token, err
}

// Record implements bellwether.Durable.
func (s *Store) Record(ctx context.Context, id string) (bellwether.Record, error) {
	if err := ctxError(ctx, "find by ID", id); err != nil {
		return bellwether.Record{}, err
	}
	if err := bellwether.ValidateID(id); err != nil {
		return bellwether.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.liveLocked(id); r != nil {
		return r.record(), nil
	}
	return bellwether.Record{}, rules.NotFound("find by ID", id)
}

// Save implements bellwether.Store.
func (s *Store) Save(ctx context.Context, t bellwether.Token) (bellwether.Token, error) {
	if err := ctxError(ctx, "save", t.ID); err != nil {
		return bellwether.Token{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, saved, err := s.keyer.Save(lookup{s}, t, time.Now())
	if err != nil {
		return bellwether.Token{}, err
	}
	s.putLocked(saved)
	return saved.Token.Clone(), nil
}

// Swap implements bellwether.Durable.
func (s *Store) Swap(ctx context.Context, expected string, next bellwether.Record) (bellwether.Record, error) {
	id := next.Token.ID
	if err := ctxError(ctx, "swap", id); err != nil {
		return bellwether.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found bellwether.Record
	if r := s.liveLocked(id); r != nil {
		found = r.record()
	}
	if found.Version != expected {
		return found, rules.OtherVersion(id)
	}
	old, err := lookup{s}.ByID(id)
	if err != nil {
		return bellwether.Record{}, err
	}
	swapped, err := s.keyer.Swap(lookup{s}, old, next)
	if err != nil {
		return found, err
	}
	return s.putLocked(swapped).record(), nil
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
		return rules.NotFound("delete", id)
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
		batch = append(batch, r.Token.Clone())
		after = r.seq
	}
	return batch, after
}

func (s *Store) liveLocked(id string) *row {
	if r := s.rows[id]; r != nil && r.Live {
		return r
	}
	return nil
}

// putLocked puts next, a live row, in the place of the row of its ID. A row keeps its
// place in the listing for life.
func (s *Store) putLocked(next *rules.Row) *row {
	r := s.rows[next.Token.ID]
	if r == nil {
		r = &row{Row: &rules.Row{}}
		s.rows[next.Token.ID] = r
	}
	s.forgetLocked(r)
	s.writes++
	r.Row, r.version = next, s.writes
	if r.seq == 0 {
		s.seq++
		r.seq = s.seq
		s.order = append(s.order, r)
	}
	for _, k := range s.keyer.Keys(r.Row) {
		s.index[k] = append(s.index[k], r)
	}
	return r
}

// forgetLocked takes what identifies r out of the index.
func (s *Store) forgetLocked(r *row) {
	for _, k := range s.keyer.Keys(r.Row) {
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
	s.forgetLocked(r)
	if i, ok := slices.BinarySearchFunc(s.order, r.seq, bySeq); ok {
		s.order = slices.Delete(s.order, i, i+1)
	}
	r.seq, r.Row = 0, r.Bury()

	now := time.Now()
	s.graves = append(s.graves, grave{r, r.Token.Generation, now})
	for len(s.graves) > 0 && now.Sub(s.graves[0].at) > tombstoneLife {
		g := s.graves[0]
		s.graves = s.graves[1:]
		if !g.row.Live && g.row.Token.Generation == g.generation {
			delete(s.rows, g.row.Token.ID)
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
