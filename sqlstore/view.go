package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/rules"
)

// A view is the store as a transaction sees it. It adopts what another program has
// written, unless the transaction only reads.
type view struct {
	s   *Store
	ctx context.Context
	tx  *sql.Tx // nil: each statement by itself
	op  string
	now time.Time // zero: the transaction only reads

	slots   map[string]bool // held
	probes  map[rules.Key]probe
	seen    map[string]*stored
	adopted bool
}

// A probe finds rows by the text that a key was made from, as another program may have
// written it.
type probe struct {
	query string
	text  string
}

// A stored row is what the tables hold of an ID.
type stored struct {
	row     *rules.Row // nil: nothing, and no tombstone
	inTable bool       // the SDKs' table has it
	columns columns
	booked  bool
	held    rules.Held
	version string
	keys    []rules.Key // that stand for it
	rival   string      // another ID, which the table's collation takes for this one
}

func (s *Store) view(ctx context.Context, tx *sql.Tx, op string) *view {
	return &view{s: s, ctx: ctx, tx: tx, op: op, slots: make(map[string]bool),
		probes: make(map[rules.Key]probe), seen: make(map[string]*stored)}
}

func (v *view) writes() bool { return !v.now.IsZero() }

func (v *view) stmt(name string) *sql.Stmt {
	if v.tx == nil {
		return v.s.stmts[name]
	}
	return v.tx.StmtContext(v.ctx, v.s.stmts[name])
}

func (v *view) exec(name string, args ...any) error {
	_, err := v.stmt(name).ExecContext(v.ctx, args...)
	return err
}

// texts returns the one column of a query's rows.
func (v *view) texts(name string, args ...any) ([]string, error) {
	rows, err := v.stmt(name).QueryContext(v.ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var texts []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, rows.Err()
}

// probe makes the keys of t find rows by what t holds, too. In a sealed table nobody
// else writes, and nothing is found by its text.
func (v *view) probe(t bellwether.Token) {
	if v.s.sealer != nil {
		return
	}
	k := v.s.keyer
	if t.UserName != "" {
		v.probes[k.User(t.UserName)] = probe{"by_user", t.UserName}
	}
	if !t.AccessToken.IsZero() {
		v.probes[k.Access(t.AccessToken)] = probe{"by_access", t.AccessToken.Reveal()}
	}
	for _, c := range []bellwether.Secret{t.RefreshToken, t.GrantToken} {
		if !c.IsZero() {
			v.probes[k.Credential(c)] = probe{"by_credential", c.Reveal()}
		}
	}
}

// ByID implements rules.Rows.
func (v *view) ByID(id string) (*rules.Row, error) {
	st, err := v.load(id)
	if err != nil {
		return nil, err
	}
	return st.row, nil
}

// ByKey implements rules.Rows.
func (v *view) ByKey(key rules.Key) ([]*rules.Row, error) {
	if v.writes() {
		if err := v.lock([]string{slotOf(key[:])}); err != nil {
			return nil, err
		}
	}
	name, args := "by_key", []any{key[:]}
	if p, ok := v.probes[key]; ok {
		name, args = p.query, append(args, p.text)
		if name == "by_credential" {
			args = append(args, p.text)
		}
	}
	ids, err := v.texts(name, args...)
	if err != nil && name != "by_key" && v.s.dialect.fault(err) == faultForeign {
		ids, err = v.texts("by_key", key[:]) // no column holds it
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	var rows []*rules.Row
	for _, id := range slices.Compact(ids) {
		st, err := v.load(id)
		if err != nil {
			return nil, err
		}
		if st.row != nil && st.row.Live {
			rows = append(rows, st.row)
		}
	}
	return rows, nil
}

// load returns what the tables hold of id, locked when the transaction writes, and
// adopted when another program has changed it.
func (v *view) load(id string) (*stored, error) {
	if st := v.seen[id]; st != nil {
		return st, nil
	}
	query := "load"
	if v.writes() {
		query = "load_locked"
	}
	var raw rawRow
	if err := v.stmt(query).QueryRowContext(v.ctx, id, id).Scan(raw.fields()...); err != nil {
		return nil, err
	}
	return v.take(id, &raw)
}

// take makes of a raw row what load returns. With ErrUnreadable the stored row is good
// enough to be buried.
func (v *view) take(id string, raw *rawRow) (*stored, error) {
	st := &stored{inTable: raw.id.Valid && raw.id.String == id, booked: raw.version.Valid}
	if raw.id.Valid && !st.inTable {
		st.rival = raw.id.String
	}
	if st.inTable {
		st.columns = raw.columns()
	}
	b := raw.book()
	if st.booked {
		var err error
		st.version = b.version
		st.row, st.held, err = v.s.row(id, b)
		if st.row.Live {
			st.keys = keysOf(st.held, st.row.Past)
		}
		if err != nil {
			return st, err
		}
	}
	live := st.row != nil && st.row.Live
	same := live && slices.Equal(b.digest, st.columns.digest())
	if live != st.inTable || live && !same {
		if !v.writes() {
			return st, errStale
		}
		v.adopted = true
	}
	switch {
	case !st.inTable && live: // deleted by another program
		if err := v.bury(st); err != nil {
			return nil, err
		}
	case st.inTable:
		seen, err := v.s.token(id, st.columns)
		if err != nil {
			return st, err
		}
		if same {
			join(st.row, seen)
		} else if err := v.book(st, v.s.keyer.Adopt(st.row, st.held, seen, v.now)); err != nil {
			return nil, err
		}
		// A save by ID may have to look for the name that the row has.
		v.probe(bellwether.Token{UserName: st.row.Token.UserName})
	}
	v.seen[id] = st
	return st, nil
}

// put writes r, a live row that a decision has made of the row or of nothing.
func (v *view) put(r *rules.Row) (*stored, error) {
	id := r.Token.ID
	st, err := v.load(id)
	if err != nil {
		return nil, err
	}
	next, err := v.s.columnsOf(r.Token)
	if err != nil {
		return nil, err
	}
	if err := v.s.shape.fits(v.op, id, st, next); err != nil {
		return nil, err
	}
	if st.inTable {
		err = v.exec("update_token", append(next.args(), id)...)
	} else {
		err = v.exec("insert_token", append([]any{id}, next.args()...)...)
	}
	if err != nil {
		return nil, err
	}
	st.inTable, st.columns = true, next
	return st, v.book(st, r)
}

// bury turns a live row into a tombstone.
func (v *view) bury(st *stored) error {
	if st.inTable {
		if err := v.exec("delete_token", st.row.Token.ID); err != nil {
			return err
		}
	}
	st.inTable, st.columns = false, columns{}
	return v.book(st, st.row.Bury())
}

// book writes the bookkeeping of r in the place of what st holds, and its keys.
func (v *view) book(st *stored, r *rules.Row) error {
	id := r.Token.ID
	if r.Live {
		st.held = v.s.keyer.Held(r.Token)
	}
	version := rand.Text()
	b, err := v.s.bookOf(r, st.held, st.columns.digest(), version)
	if err != nil {
		return err
	}
	if !r.Live {
		b.digest, b.buried = nil, sql.NullInt64{Int64: v.now.UnixMilli(), Valid: true}
		b.updated = v.now.UnixMilli()
	}
	if err := v.exec("put_book", append([]any{id}, b.args()...)...); err != nil {
		return err
	}
	keys := v.s.keyer.Keys(r)
	for _, k := range st.keys {
		if !slices.Contains(keys, k) {
			if err := v.exec("delete_key", k[:], id); err != nil {
				return err
			}
		}
	}
	for _, k := range keys {
		if !slices.Contains(st.keys, k) {
			if err := v.exec("put_key", k[:], id); err != nil {
				return err
			}
		}
	}
	st.row, st.booked, st.version, st.keys = r, true, version, keys
	return nil
}

// keysOf returns the keys of a live row by its bookkeeping, as rules.Keyer.Keys does by
// the row.
func keysOf(held rules.Held, past rules.Past) []rules.Key {
	keys := slices.Concat([]rules.Key{held.User, held.Refresh, held.Grant, held.Access}, past.First, past.Last, past.Access)
	slices.SortFunc(keys, rules.Key.Compare)
	return slices.DeleteFunc(slices.Compact(keys), func(k rules.Key) bool { return k == rules.Key{} })
}

// flush is the last word before a commit: in a table that was not made here it reads
// back what was written, since a server that is not strict changes what does not fit.
func (v *view) flush() error {
	if !v.s.shape.tight {
		return nil
	}
	for id, st := range v.seen {
		if !st.inTable {
			continue
		}
		var raw rawRow
		if err := v.stmt("load_locked").QueryRowContext(v.ctx, id, id).Scan(raw.fields()...); err != nil {
			return err
		}
		if !raw.id.Valid || raw.id.String != id || raw.columns() != st.columns {
			return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: v.op, ID: id,
				Detail: fmt.Sprintf("table %s would keep something else than what is written", v.s.names.tokens),
				Hint:   "make its columns varchar or text of the character set utf8mb4"}
		}
	}
	return nil
}

// deleteAll buries every row at once.
func (v *view) deleteAll() error {
	now := v.now.UnixMilli()
	if err := v.exec("bury_all", rand.Text(), now, now); err != nil {
		return err
	}
	if err := v.exec("delete_keys"); err != nil {
		return err
	}
	return v.exec("delete_tokens")
}
