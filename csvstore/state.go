package csvstore

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/rules"
)

// A deleted row is remembered for this long, so that a save over it continues its
// generation and its past.
const tombstoneLife = 24 * time.Hour

// A state is both files as they were read, joined. It is the rules.Rows of a decision.
type state struct {
	keyer rules.Keyer
	// csv and sidecar are the bytes of the files; info is nil when there is no CSV.
	csv, sidecar []byte
	info         fs.FileInfo

	table *table
	lines []*line          // of the CSV
	cells map[string]*cell // of each ID that has a line or an entry
	order []*cell          // those with an entry, as they stand in the sidecar
	index map[rules.Key][]*cell
	last  int64 // the highest ID that is a number

	// What the files lack: the sidecar is to be written, and the CSV behind it.
	dirty, dirtyCSV bool
	changed         map[*cell]bool // their entries say what was
	pending         map[*cell]bool // those of the write before this one
}

// A line is a place in the CSV.
type line struct {
	*record
	cell *cell // nil when the line is no row and its ID is unknown or another row's
}

// A cell is what stands under an ID.
type cell struct {
	id      string
	entry   *entry // nil when only a line that is no row has the ID
	line    *line  // nil when the CSV has none
	problem string // why it cannot be read
}

func (c *cell) live() bool { return c.problem == "" && c.entry.row.Live }

// token returns what the cell holds, for a listing.
func (c *cell) token() (bellwether.Token, error) {
	if c.problem != "" {
		return bellwether.Token{ID: c.id}, unreadable(c.id, c.problem)
	}
	return c.entry.row.Token.Clone(), nil
}

func (c *cell) record() bellwether.Record { return c.entry.row.Record(c.entry.version) }

func unreadable(id, problem string) error {
	return &bellwether.Error{Kind: bellwether.ErrUnreadable, Op: "read row", ID: id, Detail: problem,
		Hint: "mend the line in the file, or delete the row and save it again"}
}

// join reads both files and makes one state of them. What SDKs have written since is
// adopted, what they have deleted is buried, and what a crash has left half done is
// undone; the state is dirty then.
func join(keyer rules.Keyer, csv, sidecar []byte, info fs.FileInfo, d Dialect, now time.Time) (*state, error) {
	entries, err := readSidecar(sidecar)
	if err != nil {
		return nil, err
	}
	live := slices.ContainsFunc(entries, func(e *entry) bool { return e.row.Live })
	if live && len(csv) == 0 {
		return nil, &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "read file",
			Detail: "the file is missing or empty, while its sidecar knows rows of it",
			Hint:   "another program may be writing it; if not, restore it, or remove the sidecar too to begin anew"}
	}
	table, err := parse(csv, d)
	if err != nil {
		return nil, err
	}
	st := &state{keyer: keyer, csv: csv, sidecar: sidecar, info: info, table: table,
		cells: make(map[string]*cell, len(entries)), index: make(map[rules.Key][]*cell, 4*len(entries)),
		changed: make(map[*cell]bool), pending: make(map[*cell]bool)}
	for _, e := range entries {
		c := st.cell(e.row.Token.ID)
		c.entry = e
		st.order = append(st.order, c)
	}
	if err := st.place(now); err != nil {
		return nil, err
	}
	for _, c := range st.order {
		if c.line == nil {
			if err := st.missing(c, now); err != nil {
				return nil, err
			}
		}
		if c.live() {
			st.enter(c)
		}
	}
	return st, nil
}

// cell returns the cell of an ID, made if need be.
func (st *state) cell(id string) *cell {
	c := st.cells[id]
	if c == nil {
		c = &cell{id: id}
		st.cells[id] = c
		st.last = max(st.last, number(id))
	}
	return c
}

// place gives each line its cell, and each row its entry.
func (st *state) place(now time.Time) error {
	var twice, broken []*line
	for i, r := range st.table.records {
		l := &line{record: r}
		st.lines = append(st.lines, l)
		if r.problem == "" {
			if _, problem := tokenOf(st.table.columnsOf(r)); problem != "" {
				l.record = &record{raw: r.raw, fields: r.fields, problem: problem}
			}
		}
		if l.problem != "" {
			l.record = &record{raw: r.raw, fields: r.fields, problem: fmt.Sprintf("row %d of the file: %s", i+1, l.problem)}
			broken = append(broken, l)
			continue
		}
		c := st.cell(st.table.get(r, colID))
		if c.line != nil {
			twice = append(twice, l)
			continue
		}
		c.line, l.cell = l, c
		if err := st.settle(c, now); err != nil {
			return err
		}
	}
	for _, l := range broken {
		if id := l.id(st.table); id != "" && (st.cells[id] == nil || st.cells[id].line == nil) {
			c := st.cell(id)
			c.line, l.cell, c.problem = l, c, l.problem
		}
	}
	for _, l := range twice {
		if err := st.renumber(l, now); err != nil {
			return err
		}
	}
	return nil
}

// id returns the ID of a line that is no row, as far as it can be told.
func (l *line) id(t *table) string {
	at := t.columns[colID]
	if len(l.fields) < at+2 || bellwether.ValidateID(l.fields[at]) != nil {
		return ""
	}
	return l.fields[at]
}

// renumber gives a row an ID of its own. The Node SDK gives every row from the eleventh on
// the ID 10, and then takes each of them for the first.
func (st *state) renumber(l *line, now time.Time) error {
	columns := st.table.columnsOf(l.record)
	columns[colID] = strconv.FormatInt(st.last+1, 10)
	r, err := st.table.with(l.record, columns)
	if err != nil {
		return err
	}
	l.record = r
	c := st.cell(columns[colID])
	c.line, l.cell = l, c
	st.dirtyCSV = true
	return st.settle(c, now)
}

// settle decides what the line of c means for its entry.
func (st *state) settle(c *cell, now time.Time) error {
	columns := st.table.columnsOf(c.line.record)
	found, _ := tokenOf(columns) // it was looked at before
	is, e := digest(columns), c.entry
	switch {
	case e == nil:
		return st.adopt(c, st.keyer.Adopt(nil, rules.Held{}, found, now), found, is)
	case e.row.Live && e.digest == is:
		c.entry = e.withColumns(found)
		if e.was != nil {
			st.pending[c] = true
		}
		return nil
	case e.was != nil && e.was.row.Live && e.was.digest == is:
		// The CSV was not written. Or it was, and an SDK has put the old line back: nobody
		// may take this row for the one that was read before.
		next := *e.was.withColumns(found)
		next.row.Token.Generation = e.row.Token.Generation + 1
		next.version, next.was = rand.Text(), nil
		return st.set(c, &next)
	}
	base, held := e.row, e.held
	if w := e.was; w != nil && w.row.Live && (!base.Live || common(w.held, st.keyer.Held(found)) > common(held, st.keyer.Held(found))) {
		row := *w.row // an SDK has written over what was
		row.Token.Generation = e.row.Token.Generation
		base, held = &row, w.held
	}
	return st.adopt(c, st.keyer.Adopt(base, held, found, now), found, is)
}

// common counts the keys that two rows share.
func common(a, b rules.Held) int {
	n := 0
	for _, k := range [][2]rules.Key{{a.User, b.User}, {a.Grant, b.Grant}, {a.Refresh, b.Refresh}, {a.Access, b.Access}} {
		if k[0] == k[1] && k[0] != (rules.Key{}) {
			n++
		}
	}
	return n
}

func (st *state) adopt(c *cell, row *rules.Row, found bellwether.Token, is rules.Key) error {
	return st.set(c, &entry{row: row, version: rand.Text(), digest: is, held: st.keyer.Held(found)})
}

// set puts e in the place of c's entry, to be written to the sidecar alone.
func (st *state) set(c *cell, e *entry) error {
	e, err := e.encode()
	if err != nil {
		return err
	}
	if c.entry == nil {
		st.order = append(st.order, c)
	}
	c.entry, st.dirty = e, true
	return nil
}

// missing decides what it means that the CSV has no line of c.
func (st *state) missing(c *cell, now time.Time) error {
	switch e := c.entry; {
	case e.row.Live && st.table.cut:
		c.problem = "the file is cut off, and the row is missing"
		return nil
	case e.row.Live:
		return st.set(c, &entry{row: e.row.Bury(), version: rand.Text(), held: e.held, buried: now})
	case e.was != nil:
		st.pending[c] = true
	}
	return nil
}

// ByID implements rules.Rows.
func (st *state) ByID(id string) (*rules.Row, error) {
	c := st.cells[id]
	switch {
	case c == nil:
		return nil, nil
	case c.problem != "":
		return nil, unreadable(id, c.problem)
	}
	return c.entry.row, nil
}

// ByKey implements rules.Rows.
func (st *state) ByKey(k rules.Key) ([]*rules.Row, error) {
	var found []*rules.Row
	for _, c := range st.index[k] {
		found = append(found, c.entry.row)
	}
	return found, nil
}

// NewID implements rules.Namer: the next decimal number, as the SDKs count.
func (st *state) NewID() (string, error) { return strconv.FormatInt(st.last+1, 10), nil }

// enter puts a live cell into the index; leave takes it out.
func (st *state) enter(c *cell) {
	for _, k := range st.keyer.Keys(c.entry.row) {
		st.index[k] = append(st.index[k], c)
	}
}

func (st *state) leave(c *cell) {
	for _, k := range st.keyer.Keys(c.entry.row) {
		st.index[k] = slices.DeleteFunc(st.index[k], func(o *cell) bool { return o == c })
		if len(st.index[k]) == 0 {
			delete(st.index, k)
		}
	}
}

// put writes a live row into the state. After an error nothing has changed.
func (st *state) put(row *rules.Row) (*cell, error) {
	var before *record
	c := st.cells[row.Token.ID]
	if c != nil && c.line != nil {
		before = c.line.record
	}
	columns := columnsOf(row.Token)
	r, err := st.table.with(before, columns)
	if err != nil {
		return nil, err
	}
	c = st.cell(row.Token.ID)
	if err := st.change(c, &entry{row: row, version: rand.Text(), digest: digest(columns), held: st.keyer.Held(row.Token)}); err != nil {
		return nil, err
	}
	if c.line == nil {
		c.line = &line{cell: c}
		st.lines = append(st.lines, c.line)
	}
	c.line.record = r
	return c, nil
}

// bury makes a tombstone of the cell. Its line is for the caller to take out.
func (st *state) bury(c *cell, now time.Time) error {
	row, held := &rules.Row{Token: bellwether.Token{ID: c.id}}, rules.Held{}
	if c.entry != nil {
		row, held = c.entry.row, c.entry.held
	}
	if err := st.change(c, &entry{row: row.Bury(), version: rand.Text(), held: held, buried: now}); err != nil {
		return err
	}
	c.line, c.problem = nil, ""
	return nil
}

// change puts e in the place of c's entry, to be written with the CSV.
func (st *state) change(c *cell, e *entry) error {
	e.was = &entry{row: &rules.Row{}}
	if c.entry != nil {
		was := *c.entry
		was.was = nil
		e.was = &was
	}
	e, err := e.encode()
	if err != nil {
		return err
	}
	if c.entry == nil {
		st.order = append(st.order, c)
	} else if c.live() {
		st.leave(c)
	}
	c.entry = e
	if c.live() {
		st.enter(c)
	}
	st.changed[c] = true
	st.dirty, st.dirtyCSV = true, true
	return nil
}

// encode returns the files of the state. Every entry that does not change now forgets
// what was; tombstones whose time is over are left out.
func (st *state) encode(now time.Time) (csv, sidecar []byte, err error) {
	for c := range st.pending {
		if st.changed[c] {
			continue
		}
		settled := *c.entry
		settled.was = nil
		if c.entry, err = settled.encode(); err != nil {
			return nil, nil, err
		}
	}
	st.pending, st.changed = st.changed, make(map[*cell]bool)
	st.order = slices.DeleteFunc(st.order, func(c *cell) bool {
		e := c.entry
		over := !e.row.Live && e.was == nil && c.line == nil && now.Sub(e.buried) > tombstoneLife
		if over {
			delete(st.cells, c.id)
		}
		return over
	})
	size := len(sidecarHead)
	for _, c := range st.order {
		size += len(c.entry.encoded)
	}
	sidecar = append(make([]byte, 0, size), sidecarHead...)
	for _, c := range st.order {
		sidecar = append(sidecar, c.entry.encoded...)
	}
	records := make([]*record, len(st.lines))
	for i, l := range st.lines {
		records[i] = l.record
	}
	return st.table.bytes(records), sidecar, nil
}

// rows returns copies of the cells that a listing yields, as they stand in the file.
func (st *state) rows() []cell {
	rows := make([]cell, 0, len(st.lines))
	for _, l := range st.lines {
		if l.cell != nil {
			rows = append(rows, *l.cell)
		} else {
			rows = append(rows, cell{problem: l.problem})
		}
	}
	for _, c := range st.order {
		if c.line == nil && c.problem != "" {
			rows = append(rows, *c)
		}
	}
	return rows
}
