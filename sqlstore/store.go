package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/rules"
)

// A deleted row is remembered for this long, so that a save over it continues its
// generation and its past.
const tombstoneLife = 24 * time.Hour

// listBatch bounds what List holds at a time.
const listBatch = 256

// A Config says how tokens lie in the database.
type Config struct {
	// Dialect is what the database speaks. It is required.
	Dialect Dialect
	// Table is the table of the SDKs; DefaultTable when blank.
	Table string
	// Sealer, when set, seals every secret, and keys the digests by which rows are
	// found. The table is then of no use to an SDK, and must have been made by a store
	// with this Sealer.
	Sealer bellwether.Sealer
	// Logger is told once, at Open, what is slow or weak about a table. Nil: nobody.
	Logger *slog.Logger
}

// A Store keeps tokens in a SQL database; see the package for what holds. It is safe for
// concurrent use. It needs no Close: its statements go with the *sql.DB.
type Store struct {
	db      *sql.DB
	dialect Dialect
	names   names
	stmts   map[string]*sql.Stmt // by the file's name
	shape   shape
	sealer  bellwether.Sealer // nil: nothing is sealed
	keyer   rules.Keyer
	writer  chan struct{} // on SQLite: full while one of us writes
}

var _ bellwether.Durable = (*Store)(nil)

// Open returns a store on db, which stays the caller's, and brings up the tables that
// are missing. It may be called by many processes at once.
//
// Errors: ErrMisconfigured for a table of another shape, which is not touched, for tokens
// sealed by other keys, and for what the database refuses; ErrUnavailable when it cannot
// be reached.
func Open(ctx context.Context, db *sql.DB, cfg Config) (*Store, error) {
	if cfg.Table == "" {
		cfg.Table = DefaultTable
	}
	n, err := cfg.Dialect.names(cfg.Table)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, dialect: cfg.Dialect, names: n, sealer: cfg.Sealer, stmts: make(map[string]*sql.Stmt), writer: make(chan struct{}, 1)}
	if s.sealer != nil {
		s.keyer.MAC = s.sealer.MAC
	}
	if err := s.setUp(ctx); err != nil {
		for _, stmt := range s.stmts {
			_ = stmt.Close()
		}
		return nil, s.explain(ctx, "open", "", err)
	}
	if cfg.Logger != nil && s.shape.scans() && s.sealer == nil {
		cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "sqlstore: every search by user or token reads the whole table, for lack of indexes on it",
			slog.String("table", n.tokens), slog.Any("columns", s.shape.unindexed))
	}
	return s, nil
}

// Find implements bellwether.Store.
func (s *Store) Find(ctx context.Context, partial bellwether.Token) (bellwether.Token, error) {
	if partial.ID != "" {
		return s.FindByID(ctx, partial.ID)
	}
	var found bellwether.Token
	err := s.read(ctx, "find", "", func(v *view) error {
		v.probe(partial)
		r, err := s.keyer.Find(v, partial)
		if err == nil {
			found = r.Token.Clone()
		}
		return err
	})
	return found, err
}

// FindByID implements bellwether.Store.
func (s *Store) FindByID(ctx context.Context, id string) (bellwether.Token, error) {
	rec, err := s.Record(ctx, id)
	return rec.Token, err
}

// Record implements bellwether.Durable.
func (s *Store) Record(ctx context.Context, id string) (bellwether.Record, error) {
	const op = "find by ID"
	if err := bellwether.ValidateID(id); err != nil {
		return bellwether.Record{}, err
	}
	var rec bellwether.Record
	look := func(v *view) error {
		st, err := v.load(id)
		switch {
		case err != nil:
			return err
		case st.row == nil || !st.row.Live:
			return rules.NotFound(op, id)
		}
		rec = st.row.Record(st.version)
		return nil
	}
	// One statement sees one state: it needs no transaction.
	err := s.again(ctx, func() error { return look(s.view(ctx, nil, op)) })
	if errors.Is(err, errStale) {
		err = s.write(ctx, op, id, []string{slotOfID(id)}, look)
	}
	return rec, s.explain(ctx, op, id, err)
}

// Save implements bellwether.Store.
func (s *Store) Save(ctx context.Context, t bellwether.Token) (bellwether.Token, error) {
	var saved bellwether.Token
	err := s.write(ctx, "save", t.ID, s.slotsOf(t), func(v *view) error {
		v.probe(t)
		_, r, err := s.keyer.Save(v, t, v.now)
		if err != nil {
			return err
		}
		if _, err := v.put(r); err != nil {
			return err
		}
		saved = r.Token.Clone()
		return nil
	})
	if err != nil {
		return bellwether.Token{}, err
	}
	return saved, nil
}

// Swap implements bellwether.Durable.
func (s *Store) Swap(ctx context.Context, expected string, next bellwether.Record) (bellwether.Record, error) {
	const op = "swap"
	id := next.Token.ID
	if err := bellwether.ValidateID(id); err != nil {
		return bellwether.Record{}, err
	}
	var rec bellwether.Record
	err := s.write(ctx, op, id, s.slotsOf(next.Token), func(v *view) error {
		v.probe(next.Token)
		rec = bellwether.Record{}
		st, err := v.load(id)
		if err != nil {
			return err
		}
		if st.row != nil && st.row.Live {
			rec = st.row.Record(st.version)
		}
		if rec.Version != expected {
			return rules.OtherVersion(id)
		}
		r, err := s.keyer.Swap(v, st.row, next)
		if err != nil {
			return err
		}
		if st, err = v.put(r); err != nil {
			return err
		}
		rec = st.row.Record(st.version)
		return nil
	})
	if err != nil && !errors.Is(err, bellwether.ErrConflict) {
		return bellwether.Record{}, err
	}
	return rec, err
}

// Delete implements bellwether.Store.
func (s *Store) Delete(ctx context.Context, id string) error {
	const op = "delete"
	if err := bellwether.ValidateID(id); err != nil {
		return err
	}
	return s.write(ctx, op, id, []string{slotOfID(id)}, func(v *view) error {
		st, err := v.load(id)
		switch {
		case err != nil && !errors.Is(err, bellwether.ErrUnreadable):
			return err
		case err != nil && st.row == nil: // another program's
			st.row = &rules.Row{Token: bellwether.Token{ID: id}, Live: true}
		case st.row == nil || !st.row.Live:
			return rules.NotFound(op, id)
		}
		if err := v.bury(st); err != nil {
			return err
		}
		return v.exec("prune", v.now.Add(-tombstoneLife).UnixMilli())
	})
}

// DeleteAll implements bellwether.Store. It is one transaction.
func (s *Store) DeleteAll(ctx context.Context) error {
	return s.write(ctx, "delete all", "", nil, func(v *view) error {
		if err := v.lockAll(); err != nil {
			return err
		}
		return v.deleteAll()
	})
}

// List implements bellwether.Store. It reads a few hundred rows at a time, in the order
// of their IDs, and holds no transaction while it yields.
func (s *Store) List(ctx context.Context) iter.Seq2[bellwether.Token, error] {
	return func(yield func(bellwether.Token, error) bool) {
		var last *string
		for {
			var page []listed
			err := s.again(ctx, func() (err error) {
				page, err = s.page(ctx, last)
				return err
			})
			if err != nil {
				yield(bellwether.Token{}, s.explain(ctx, "list", "", err))
				return
			}
			for _, row := range page {
				if err := ctx.Err(); err != nil {
					yield(bellwether.Token{}, s.explain(ctx, "list", "", err))
					return
				}
				t, err := row.token, row.err
				if errors.Is(err, errStale) {
					t, err = s.FindByID(ctx, row.id)
				}
				switch {
				case errors.Is(err, bellwether.ErrNotFound): // meanwhile
					continue
				case errors.Is(err, bellwether.ErrUnreadable):
					t = bellwether.Token{ID: row.id}
				case err != nil:
					yield(bellwether.Token{}, err)
					return
				}
				if !yield(t, err) {
					return
				}
			}
			if len(page) < listBatch {
				return
			}
			last = &page[len(page)-1].id
		}
	}
}

// A listed row is one of a page, or why it cannot be had from there.
type listed struct {
	id    string
	token bellwether.Token
	err   error // errStale, ErrUnreadable
}

// page returns the rows that follow last, the first ones when it is nil.
func (s *Store) page(ctx context.Context, last *string) ([]listed, error) {
	name, args := "page_first", []any{listBatch}
	if last != nil {
		name, args = "page_next", []any{*last, listBatch}
	}
	rows, err := s.stmts[name].QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	v := s.view(ctx, nil, "list")
	var page []listed
	for rows.Next() {
		var raw rawRow
		if err := rows.Scan(raw.fields()...); err != nil {
			return nil, err
		}
		row := listed{id: raw.id.String}
		st, err := v.take(row.id, &raw)
		switch {
		case err == nil:
			row.token = st.row.Token
		case errors.Is(err, errStale), errors.Is(err, bellwether.ErrUnreadable):
			row.err = err
		default:
			return nil, err
		}
		page = append(page, row)
	}
	return page, rows.Err()
}
