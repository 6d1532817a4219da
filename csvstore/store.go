package csvstore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/rules"
)

// What is beside the file NAME.
const (
	sidecarSuffix = ".bellwether.json" // bookkeeping, one line of JSON for each ID
	lockSuffix    = ".bellwether.lock" // never removed: who holds it would not know
	tempSuffix    = ".bellwether.tmp"
)

// Config is how a Store works. The zero Config is the documented default.
type Config struct {
	// Dialect is how the file is written. Blank: an existing file stays as it is, a new
	// one is Standard. That a file is Node's cannot be told from its bytes: where a Node,
	// TypeScript or PHP SDK reads the file, say so.
	Dialect Dialect
	// Logger gets warnings: a file that others may read, rows of one ID. Nil:
	// slog.Default().
	Logger *slog.Logger
}

func (c Config) validate() error {
	switch c.Dialect {
	case "", Standard, Python, Node:
		return nil
	}
	return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: "open", Detail: "there is no dialect " + string(c.Dialect),
		Hint: "use standard, python or node, or leave it blank"}
}

// A Store is a bellwether.Durable in a file, safe for concurrent use.
type Store struct {
	folder folder
	name   string // of the file in its folder
	config Config
	lock   func(ctx context.Context) (unlock func() error, err error)
	warned atomic.Bool

	turn   chan struct{} // holds one token; whoever took it may use what follows
	closed bool
	state  *state // as of the last call; nil when that is not known
}

var _ bellwether.Durable = (*Store)(nil)

// Open returns the store of the file at path. The file need not exist, its folder must.
// A symbolic link is followed once, now; the files beside it are beside what it leads to.
func Open(path string, cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	real, err := resolve(path)
	if err != nil {
		return nil, openError(path, err, "name a token file, or a new file in an existing folder")
	}
	root, err := os.OpenRoot(filepath.Dir(real))
	if err != nil {
		return nil, openError(path, err, "the folder must be there, and open to the user that runs this")
	}
	s := open(rootFolder{root}, filepath.Base(real), cfg)
	s.lock = fileLock(root, real+lockSuffix)
	return s, nil
}

func open(d folder, name string, cfg Config) *Store {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Store{folder: d, name: name, config: cfg, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// resolve returns the absolute path of the file itself.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		return filepath.Join(dir, filepath.Base(path)), err
	}
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	return path, err
}

func openError(path string, err error, hint string) error {
	return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: "open", Detail: path, Err: err, Hint: hint}
}

// Close waits for the call that runs. Calls after it give ErrClosed.
func (s *Store) Close() error {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	if s.closed {
		return nil
	}
	s.closed, s.state = true, nil
	return s.folder.close()
}

// with calls do with the state of the files, under the file lock, and writes what do has
// changed.
func (s *Store) with(ctx context.Context, op, id string, do func(*state) error) (err error) {
	if err := ctxError(ctx, op, id); err != nil {
		return err
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		return ctxError(ctx, op, id)
	}
	defer func() { s.turn <- struct{}{} }()
	if s.closed {
		return &bellwether.Error{Kind: bellwether.ErrClosed, Op: op, ID: id}
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return ctxError(ctx, op, id)
		}
		return unavailable(op, id, err)
	}
	defer func() {
		if e := unlock(); e != nil && err == nil {
			err = unavailable(op, id, e)
		}
	}()
	if err := s.read(op, id); err != nil {
		return err
	}
	if err := do(s.state); err != nil {
		return err
	}
	return s.write(op, id)
}

// read brings the state up to date. Both files are read whole, every time: a time stamp
// does not tell of a write within its tick. The same bytes are not parsed again.
func (s *Store) read(op, id string) error {
	csv, info, err := s.folder.read(s.name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unavailable(op, id, err)
	}
	sidecar, sidecarInfo, err := s.folder.read(s.name + sidecarSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unavailable(op, id, err)
	}
	if st := s.state; st != nil && (info == nil) == (st.info == nil) && bytes.Equal(csv, st.csv) && bytes.Equal(sidecar, st.sidecar) {
		st.info = info
		return nil
	}
	s.state = nil
	if err := s.checkModes(info, sidecarInfo); err != nil {
		return err
	}
	st, err := join(rules.Keyer{}, csv, sidecar, info, s.config.Dialect, time.Now())
	if err != nil {
		return err
	}
	if st.dirtyCSV {
		s.config.Logger.Warn("bellwether: rows of one ID in the token file; all but the first get new ones", "file", s.name)
	}
	s.state = st
	return s.write(op, id)
}

// write writes what has changed: the sidecar first. It says for each row that changes
// what it becomes and what it was, and the CSV tells which of both it is. After an error
// that is not known, and the next call reads it.
func (s *Store) write(op, id string) error {
	st := s.state
	if !st.dirty && !st.dirtyCSV {
		return nil
	}
	s.state = nil
	csv, sidecar, err := st.encode(time.Now())
	if err != nil {
		return err
	}
	mode, temp := fs.FileMode(0o600), s.name+tempSuffix
	if st.info != nil {
		mode = st.info.Mode().Perm()
	} else if st.dirtyCSV {
		// A sidecar that knows rows has a CSV: where that is missing it was lost.
		if err := replace(s.folder, s.name, temp, st.table.bytes(nil), mode, nil); err != nil {
			return unavailable(op, id, err)
		}
	}
	if err := replace(s.folder, s.name+sidecarSuffix, temp, sidecar, 0o600, st.info); err != nil {
		return unavailable(op, id, err)
	}
	if st.dirtyCSV {
		if err := replace(s.folder, s.name, temp, csv, mode, st.info); err != nil {
			return unavailable(op, id, err)
		}
		st.csv = csv
	}
	st.sidecar, st.dirty, st.dirtyCSV = sidecar, false, false
	s.state = st
	return nil
}

// Find implements bellwether.Store.
func (s *Store) Find(ctx context.Context, partial bellwether.Token) (t bellwether.Token, err error) {
	err = s.with(ctx, "find", partial.ID, func(st *state) error {
		r, err := st.keyer.Find(st, partial)
		if err == nil {
			t = r.Token.Clone()
		}
		return err
	})
	return t, err
}

// FindByID implements bellwether.Store.
func (s *Store) FindByID(ctx context.Context, id string) (bellwether.Token, error) {
	r, err := s.Record(ctx, id)
	return r.Token, err
}

// Record implements bellwether.Durable.
func (s *Store) Record(ctx context.Context, id string) (r bellwether.Record, err error) {
	if err := bellwether.ValidateID(id); err != nil && ctx.Err() == nil {
		return bellwether.Record{}, err
	}
	err = s.with(ctx, "find by ID", id, func(st *state) error {
		row, err := st.ByID(id)
		switch {
		case err != nil:
			return err
		case row == nil || !row.Live:
			return rules.NotFound("find by ID", id)
		}
		r = st.cells[id].record()
		return nil
	})
	return r, err
}

// Save implements bellwether.Store. A row that is inserted without an ID gets the next
// number, as an SDK would give it.
func (s *Store) Save(ctx context.Context, t bellwether.Token) (saved bellwether.Token, err error) {
	err = s.with(ctx, "save", t.ID, func(st *state) error {
		_, row, err := st.keyer.Save(st, t, time.Now())
		if err != nil {
			return err
		}
		saved = row.Token.Clone()
		_, err = st.put(row)
		return err
	})
	if err != nil {
		return bellwether.Token{}, err
	}
	return saved, nil
}

// Swap implements bellwether.Durable.
func (s *Store) Swap(ctx context.Context, expected string, next bellwether.Record) (r bellwether.Record, err error) {
	id := next.Token.ID
	stands := false // r is the row as it stands, for a conflict
	err = s.with(ctx, "swap", id, func(st *state) error {
		old, err := st.ByID(id)
		if err != nil {
			return err
		}
		if old != nil && old.Live {
			r = st.cells[id].record()
		}
		stands = true
		if r.Version != expected {
			return rules.OtherVersion(id)
		}
		row, err := st.keyer.Swap(st, old, next)
		if err != nil {
			return err
		}
		c, err := st.put(row)
		if err != nil {
			return err
		}
		r, stands = c.record(), false
		return nil
	})
	if err != nil && !stands {
		return bellwether.Record{}, err
	}
	return r, err
}

// Delete implements bellwether.Store. It takes a line that cannot be read, too.
func (s *Store) Delete(ctx context.Context, id string) error {
	if err := bellwether.ValidateID(id); err != nil && ctx.Err() == nil {
		return err
	}
	return s.with(ctx, "delete", id, func(st *state) error {
		c := st.cells[id]
		if c == nil || c.problem == "" && !c.entry.row.Live {
			return rules.NotFound("delete", id)
		}
		l := c.line
		if err := st.bury(c, time.Now()); err != nil {
			return err
		}
		st.lines = slices.DeleteFunc(st.lines, func(o *line) bool { return o == l })
		return nil
	})
}

// DeleteAll implements bellwether.Store. Lines that cannot be read go too.
func (s *Store) DeleteAll(ctx context.Context) error {
	return s.with(ctx, "delete all", "", func(st *state) error {
		now := time.Now()
		for _, c := range st.cells {
			if c.problem != "" || c.entry.row.Live {
				if err := st.bury(c, now); err != nil {
					return err
				}
			}
		}
		st.dirtyCSV = st.dirtyCSV || len(st.lines) > 0
		st.lines = nil
		return nil
	})
}

// List implements bellwether.Store: the rows of one moment. It holds no lock while it
// yields. The files are in memory anyway; what it adds is a pointer for each row.
func (s *Store) List(ctx context.Context) iter.Seq2[bellwether.Token, error] {
	return func(yield func(bellwether.Token, error) bool) {
		var rows []cell
		err := s.with(ctx, "list", "", func(st *state) error {
			rows = st.rows()
			return nil
		})
		if err != nil {
			yield(bellwether.Token{}, err)
			return
		}
		for _, c := range rows {
			if err := ctxError(ctx, "list", ""); err != nil {
				yield(bellwether.Token{}, err)
				return
			}
			if !yield(c.token()) {
				return
			}
		}
	}
}

func ctxError(ctx context.Context, op, id string) error {
	if err := ctx.Err(); err != nil {
		return &bellwether.Error{Op: op, ID: id, Err: err}
	}
	return nil
}

func unavailable(op, id string, err error) error {
	hint := ""
	if errors.Is(err, fs.ErrPermission) {
		hint = "run this as the owner of the file, and let that user write in its folder"
	}
	return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: op, ID: id, Err: err, Hint: hint}
}
