package tier

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/turns"
)

// Config is the configuration of a Store. Zero values mean the defaults.
type Config struct {
	// FillTimeout bounds how long a reader waits while another replica brings a row back
	// from the durable tier. A durable call of a begin or a commit may take a fifth of it, and
	// a third of what its caller has left. Default 5 s.
	FillTimeout time.Duration

	// Logger receives warnings and debug lines, none with a secret. Default slog.Default.
	Logger *slog.Logger
}

// A Store is a refresh.Backend over two tiers. It is safe for concurrent use.
type Store struct {
	front Front
	back  bounded
	cfg   Config
	fills singleflight.Group
	turns turns.Turns

	mu      sync.Mutex
	seen    map[string]seen      // by the nonce of an attempt under way
	pending map[string]waiting   // by ID
	looked  map[string]time.Time // when the durable tier was asked about a dead row, by ID

	wake   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New returns a Store over front and back. The caller closes both after Close.
func New(front Front, back bellwether.Durable, cfg Config) *Store {
	cfg.FillTimeout = cmp.Or(max(cfg.FillTimeout, 0), 5*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Store{front: front, back: bounded{back, cfg.FillTimeout / share}, cfg: cfg, seen: make(map[string]seen),
		pending: make(map[string]waiting), looked: make(map[string]time.Time), wake: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.copyPending)
	return s
}

// Close ends the copying behind the callers. Rows that the durable tier has not taken by
// then are copied before their next refresh, by whoever makes it.
func (s *Store) Close() error {
	s.cancel()
	s.wg.Wait()
	return nil
}

// Find implements bellwether.Store. The durable tier says which row it is, since it has
// them all; while it is away Redis does.
func (s *Store) Find(ctx context.Context, partial bellwether.Token) (bellwether.Token, error) {
	if partial.ID != "" {
		return s.FindByID(ctx, partial.ID)
	}
	t, backErr := s.back.Find(ctx, partial)
	switch {
	case backErr == nil:
		return s.FindByID(ctx, t.ID)
	case errors.Is(backErr, bellwether.ErrUnavailable) && ctx.Err() == nil:
	case !errors.Is(backErr, bellwether.ErrNotFound):
		return bellwether.Token{}, backErr
	}
	t, err := s.front.Find(ctx, partial)
	if errors.Is(err, bellwether.ErrNotFound) {
		err = backErr // not found, or nobody knows
	}
	return t, err
}

// FindByID implements bellwether.Store.
func (s *Store) FindByID(ctx context.Context, id string) (bellwether.Token, error) {
	return filled(ctx, s, id, func() (bellwether.Token, error) { return s.front.FindByID(ctx, id) })
}

// Peek implements refresh.Backend. Of a row that needs a sign-in the durable tier is asked
// now and then: another program may have had one.
func (s *Store) Peek(ctx context.Context, id, client string) (bellwether.Snapshot, error) {
	read := func() (bellwether.Snapshot, error) { return s.front.Peek(ctx, id, client) }
	snap, err := filled(ctx, s, id, read)
	if err != nil || snap.State != bellwether.StateReauthRequired || !s.lookAgain(id) {
		return snap, err
	}
	if b, err := s.reconcile(ctx, id); err == nil && b.moved {
		return read()
	}
	return snap, nil
}

// lookEvery is how often the durable tier is asked whether a dead row lives again.
const lookEvery = 5 * time.Second

func (s *Store) lookAgain(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked[id]) < lookEvery {
		return false
	}
	if len(s.looked) >= mostSeen {
		clear(s.looked)
	}
	s.looked[id] = time.Now()
	return true
}

// filled reads a row of Redis, and brings it back first where Redis does not have it. One
// that Redis loses again meanwhile is brought back once more.
func filled[T any](ctx context.Context, s *Store, id string, read func() (T, error)) (T, error) {
	var none T
	for range 3 {
		row, err := read()
		if !errors.Is(err, bellwether.ErrNotFound) {
			return row, err
		}
		if err := s.fill(ctx, id); err != nil {
			return none, err
		}
	}
	return none, &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "read", ID: id,
		Detail: "Redis loses the row each time it is brought back", Hint: "check its memory and eviction policy"}
}

// listBatch is how many rows List holds at a time.
const listBatch = 128

// List implements bellwether.Store. It goes by the durable tier, and shows each row as
// Redis has it, where it does.
func (s *Store) List(ctx context.Context) iter.Seq2[bellwether.Token, error] {
	return func(yield func(bellwether.Token, error) bool) {
		var batch []bellwether.Token
		flush := func() bool {
			ids := make([]string, len(batch))
			for i, t := range batch {
				ids[i] = t.ID
			}
			newer, err := s.front.Tokens(ctx, ids)
			if err != nil && (ctx.Err() != nil || !errors.Is(err, bellwether.ErrUnavailable)) {
				yield(bellwether.Token{}, err)
				return false
			}
			for _, t := range batch { // without Redis, as the durable tier has it
				if n, ok := newer[t.ID]; ok {
					t = n
				}
				if !yield(t, nil) {
					return false
				}
			}
			batch = batch[:0]
			return true
		}
		for t, err := range s.back.List(ctx) {
			if err != nil {
				if len(batch) > 0 && !flush() || !yield(t, err) || !errors.Is(err, bellwether.ErrUnreadable) {
					return
				}
				continue
			}
			if batch = append(batch, t); len(batch) == listBatch && !flush() {
				return
			}
		}
		if len(batch) > 0 {
			flush()
		}
	}
}

// Save implements bellwether.Store. The durable tier decides and is written first; then
// Redis adopts what it holds. After ErrUnavailable the durable tier may have the row: the
// same Save may be repeated.
func (s *Store) Save(ctx context.Context, t bellwether.Token) (bellwether.Token, error) {
	if err := t.Validate(); err != nil {
		return bellwether.Token{}, err
	}
	for range tries {
		saved, err := s.saveOnce(ctx, t)
		if !errors.Is(err, errDeleted) {
			return saved, err
		}
	}
	return bellwether.Token{}, &bellwether.Error{Kind: bellwether.ErrConflict, Op: "save", ID: t.ID,
		Detail: "the row is deleted each time it is saved"}
}

// errDeleted says that a row was deleted while it was saved.
var errDeleted = errors.New("deleted meanwhile")

func (s *Store) saveOnce(ctx context.Context, t bellwether.Token) (bellwether.Token, error) {
	id := t.ID
	if id == "" {
		// A row that only Redis has must be known to who decides.
		switch found, err := s.front.Find(ctx, t); {
		case err == nil:
			id = found.ID
		case ctx.Err() != nil:
			return bellwether.Token{}, &bellwether.Error{Op: "save", Err: ctx.Err()}
		case errors.Is(err, bellwether.ErrUnavailable):
			return bellwether.Token{}, err
		}
	}
	if id == "" {
		saved, err := s.back.Save(ctx, t)
		if err != nil {
			return bellwether.Token{}, err
		}
		release, err := s.hold(ctx, saved.ID)
		if err != nil {
			return bellwether.Token{}, err
		}
		defer release()
		return s.spread(ctx, saved.ID)
	}
	release, err := s.hold(ctx, id)
	if err != nil {
		return bellwether.Token{}, err
	}
	defer func() { release() }()
	now, err := s.agree(ctx, id, true)
	switch {
	case errors.Is(err, bellwether.ErrNotFound):
		if now.back.Version == "" || now.back.Adopted {
			break
		}
		// A Delete that has ended half-way is ended first: what it deleted must not return.
		if err := s.back.Delete(ctx, id); err != nil && !errors.Is(err, bellwether.ErrNotFound) {
			return bellwether.Token{}, err
		}
	case err != nil && !errors.Is(err, bellwether.ErrRevoking): // which a sign-in ends
		return bellwether.Token{}, err
	case now.front.Token.State == bellwether.StateRevoking && !startsLineage(now.front.Token, t):
		return bellwether.Token{}, &bellwether.Error{Kind: bellwether.ErrRevoking, Op: "save", ID: id,
			Hint: "revoke it again to finish, or save a new sign-in"}
	}
	if t.Generation > 0 {
		if err != nil || now.front.Token.Generation != t.Generation {
			return bellwether.Token{}, &bellwether.Error{Kind: bellwether.ErrConflict, Op: "save", ID: t.ID,
				Detail: "the row does not have this generation", Hint: "read the row again and repeat the change"}
		}
		t.Generation = now.back.Token.Generation
	}
	saved, err := s.back.Save(ctx, t)
	if err != nil {
		return bellwether.Token{}, err
	}
	if saved.ID != id { // by another rule, or another row by now
		release()
		if release, err = s.hold(ctx, saved.ID); err != nil {
			release = func() {}
			return bellwether.Token{}, err
		}
	}
	return s.spread(ctx, saved.ID)
}

// startsLineage reports whether a Save of t over row is a new sign-in.
func startsLineage(row, t bellwether.Token) bool {
	if t.Generation > 0 {
		return row.StartsLineage(row.Replace(t))
	}
	return row.StartsLineage(row.Merge(t))
}

// spread lets Redis have what a Save has left in the durable tier. The row is held.
func (s *Store) spread(ctx context.Context, id string) (bellwether.Token, error) {
	now, err := s.agree(ctx, id, true)
	if !errors.Is(err, bellwether.ErrNotFound) {
		return now.front.Token, err
	}
	back, err := s.back.Record(ctx, id)
	if errors.Is(err, bellwether.ErrNotFound) {
		return bellwether.Token{}, errDeleted
	} else if err != nil {
		return bellwether.Token{}, err
	}
	// A Delete that has ended half-way: this Save is after it.
	t := back.Token
	t.Generation = 0
	if _, err := s.front.Save(ctx, t); err != nil {
		return bellwether.Token{}, err
	}
	now, err = s.agree(ctx, id, true)
	return now.front.Token, err
}

// Delete implements bellwether.Store. Redis is first, so that nobody brings the row back
// meanwhile. After any error but ErrNotFound it may be half done; repeat it.
func (s *Store) Delete(ctx context.Context, id string) error {
	return s.deleteBoth(ctx, id, s.front.Delete)
}

// DeleteRevoking implements refresh.Backend.
func (s *Store) DeleteRevoking(ctx context.Context, id string) error {
	return s.deleteBoth(ctx, id, s.front.DeleteRevoking)
}

func (s *Store) deleteBoth(ctx context.Context, id string, deleteFront func(context.Context, string) error) error {
	if err := bellwether.ValidateID(id); err != nil {
		return err
	}
	release, err := s.hold(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	// A row that Redis does not have needs its tombstone too. One that cannot be read, or
	// brought into agreement, can be deleted all the same.
	if _, err := s.agree(ctx, id, true); err != nil && (ctx.Err() != nil || errors.Is(err, bellwether.ErrUnavailable)) {
		return err
	}
	inFront := deleteFront(ctx, id)
	if inFront != nil && !errors.Is(inFront, bellwether.ErrNotFound) {
		return inFront
	}
	inBack := s.back.Delete(ctx, id)
	if errors.Is(inBack, bellwether.ErrNotFound) {
		return inFront
	}
	return inBack
}

// DeleteAll implements bellwether.Store.
func (s *Store) DeleteAll(ctx context.Context) error {
	if err := s.front.DeleteAll(ctx); err != nil {
		return err
	}
	for t, err := range s.back.List(ctx) {
		if err != nil && !errors.Is(err, bellwether.ErrUnreadable) {
			return err
		}
		if err := s.Delete(ctx, t.ID); err != nil && !errors.Is(err, bellwether.ErrNotFound) {
			return err
		}
	}
	return nil
}

// Subscribe implements refresh.Backend.
func (s *Store) Subscribe(fn func(bellwether.Event)) (stop func()) { return s.front.Subscribe(fn) }

// Now implements refresh.Backend.
func (s *Store) Now() (time.Time, bool) { return s.front.Now() }

// Lock implements refresh.Backend.
func (s *Store) Lock(ctx context.Context, id, nonce string, ttl, maxHold time.Duration) (bellwether.Lease, error) {
	return s.front.Lock(ctx, id, nonce, ttl, maxHold)
}
