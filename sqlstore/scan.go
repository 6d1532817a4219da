package sqlstore

import (
	"database/sql"

	"github.com/bellwether-go/bellwether"
)

// A rawRow is a row as load and the pages return it: the SDKs' columns, then the
// bookkeeping, NULL where one is missing.
type rawRow struct {
	id      sql.NullString
	texts   [numColumns]sql.NullString
	version sql.NullString

	generation, created, updated, buried sql.NullInt64
	adopted                              sql.NullBool
	cred, prev, state                    sql.NullString
	digest, past, rest, notes            []byte
}

// fields returns where to scan to, in the order of the statements.
func (r *rawRow) fields() []any {
	fields := []any{&r.id}
	for i := range r.texts {
		fields = append(fields, &r.texts[i])
	}
	return append(fields, &r.generation, &r.version, &r.cred, &r.prev, &r.adopted, &r.state,
		&r.created, &r.updated, &r.buried, &r.digest, &r.past, &r.rest, &r.notes)
}

func (r *rawRow) columns() columns {
	var c columns
	for i, t := range r.texts {
		c[i] = t.String
	}
	return c
}

func (r *rawRow) book() book {
	b := book{generation: r.generation.Int64, version: r.version.String, cred: r.cred.String, prev: r.prev.String,
		adopted: r.adopted.Bool, created: r.created.Int64, updated: r.updated.Int64, buried: r.buried,
		digest: r.digest, past: r.past, rest: r.rest}
	b.state = bellwether.State(r.state.String)
	if len(r.notes) > 0 {
		b.notes = r.notes
	}
	return b
}

// args returns the bookkeeping as parameters, in the order of the statements.
func (b book) args() []any {
	return []any{b.generation, b.version, b.cred, b.prev, b.adopted, string(b.state), b.created, b.updated, b.buried,
		blob(b.digest), blob(b.past), blob(b.rest), blob(b.notes)}
}

// blob is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
