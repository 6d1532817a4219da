package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bellwether-go/bellwether"
)

// What the meta table says of the store, for good.
const (
	metaLayout = "layout"
	layout     = "1"
	metaSeal   = "seal" // fingerprint of the Sealer, or:
	unsealed   = "none"
)

// A column of the SDKs' table, as the database describes it.
type column struct {
	name, kind    string
	key, optional bool
	chars, bytes  int64 // that fit; 0: no limit
	charset       string
	collation     string
	engine        string
	indexed       bool
}

// exactCollations tell any two texts apart.
var exactCollations = []string{"binary", "utf8mb4_0900_bin", "utf8mb4_nopad_bin"}

// A shape is what a store must know of the SDKs' table.
type shape struct {
	limits    [numColumns]column
	id        column
	tight     bool     // not every token fits
	unindexed []string // columns that are looked for
}

func (sh shape) scans() bool { return len(sh.unindexed) > 0 }

// shapeOf checks the columns of a table.
func shapeOf(table string, cols []column) (shape, error) {
	var sh shape
	var wrong []string
	need := append([]string{"id"}, columnNames[:]...)
	for _, c := range cols {
		name := strings.ToLower(c.name)
		i := slices.Index(need, name)
		switch {
		case i < 0 && !c.optional:
			wrong = append(wrong, fmt.Sprintf("column %s, which an SDK does not fill, needs a value", c.name))
		case i < 0:
		case !isText(c.kind):
			wrong = append(wrong, fmt.Sprintf("column %s is %s, not text", c.name, c.kind))
		case c.key != (i == 0):
			wrong = append(wrong, "the primary key is not id alone")
		case i == 0:
			sh.id = c
			sh.tight = sh.tight || c.tight(bellwether.MaxIDLen) || !slices.Contains(exactCollations, c.collation)
		default:
			sh.limits[i-1] = c
			most := int64(bellwether.MaxValueLen)
			if i-1 == expiryTime {
				most = 16
			}
			sh.tight = sh.tight || c.tight(most)
			if !c.indexed && (i-1 == userName || i-1 == refreshToken || i-1 == accessToken || i-1 == grantToken) {
				sh.unindexed = append(sh.unindexed, name)
			}
		}
	}
	for _, name := range need {
		if !slices.ContainsFunc(cols, func(c column) bool { return strings.ToLower(c.name) == name }) {
			wrong = append(wrong, "there is no column "+name)
		}
	}
	if engine := strings.ToLower(cols[0].engine); engine != "innodb" && engine != "table" {
		wrong = append(wrong, fmt.Sprintf("it is %s, which has no transactions", cols[0].engine))
	}
	if len(wrong) > 0 {
		return shape{}, misconfigured(fmt.Sprintf("table %s is not one of the SDKs, nor ours: %s", table, strings.Join(slices.Compact(wrong), "; ")),
			"name another table in Config.Table; this one was not touched")
	}
	return sh, nil
}

func isText(kind string) bool {
	kind, _, _ = strings.Cut(strings.ToLower(kind), "(")
	return slices.Contains([]string{"varchar", "char", "text", "tinytext", "mediumtext", "longtext", "nvarchar", "character varying"}, strings.TrimSpace(kind))
}

// tight reports whether some text of so many bytes does not fit.
func (c column) tight(most int64) bool {
	return c.chars > 0 && c.chars < most || c.bytes > 0 && c.bytes < most || c.charset != "utf8mb4"
}

// refuses says why text does not fit, or nothing.
func (c column) refuses(text string) string {
	if n := int64(utf8.RuneCountInString(text)); c.chars > 0 && n > c.chars {
		return fmt.Sprintf("has %d characters, the column takes %d", n, c.chars)
	}
	if c.bytes > 0 && int64(len(text)) > c.bytes {
		return fmt.Sprintf("has %d bytes, the column takes %d", len(text), c.bytes)
	}
	last := rune(utf8.MaxRune)
	switch c.charset {
	case "utf8mb4":
	case "utf8", "utf8mb3":
		last = 0xffff
	default:
		last = utf8.RuneSelf - 1
	}
	for _, r := range text {
		if r > last {
			return "holds a character that the column's character set " + c.charset + " may lack"
		}
	}
	return ""
}

// fits returns ErrInvalid when the table cannot hold what a write changes.
func (sh shape) fits(op, id string, st *stored, next columns) error {
	invalid := func(detail, hint string) error {
		return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: op, ID: id, Detail: detail, Hint: hint}
	}
	if st.rival != "" {
		return invalid(fmt.Sprintf("the table's collation %s takes the ID for that of row %q", sh.id.collation, st.rival), "use another ID")
	}
	if !st.inTable {
		if why := sh.id.refuses(id); why != "" {
			return invalid("the ID "+why, "use a shorter ID, of ASCII, or widen the column id")
		}
	}
	for i, c := range sh.limits {
		if next[i] == st.columns[i] {
			continue
		}
		if why := c.refuses(next[i]); why != "" {
			return invalid("the "+c.name+" "+why, "widen the column; nothing was written")
		}
	}
	return nil
}

// setUp checks what is there, brings up what is missing, and prepares the statements.
func (s *Store) setUp(ctx context.Context) error {
	texts, err := s.dialect.texts(s.names)
	if err != nil {
		return err
	}
	collation, err := s.checkServer(ctx, texts["server"])
	if err != nil {
		return err
	}
	seal := unsealed
	if s.sealer != nil {
		seal = s.sealer.Fingerprint()
	}
	whole, err := s.checkTables(ctx, texts, seal)
	if err != nil {
		return err
	}
	if !whole {
		if err := s.again(ctx, func() error { return s.create(ctx, texts, seal, collation) }); err != nil {
			return err
		}
		if whole, err = s.checkTables(ctx, texts, seal); err != nil { // others may have been faster
			return err
		} else if !whole {
			return misconfigured("the tables vanish while they are made", "let one owner make and drop them")
		}
	}
	for name, text := range texts {
		switch name {
		case "schema", "tokens", "server", "shape":
			continue
		}
		stmt, err := s.db.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		s.stmts[name] = stmt
	}
	return nil
}

// checkServer returns the collation for IDs.
func (s *Store) checkServer(ctx context.Context, text string) (string, error) {
	var version, charsets, collation string
	if err := s.db.PingContext(ctx); err != nil {
		return "", err
	}
	if err := s.db.QueryRowContext(ctx, text).Scan(&version, &charsets, &collation); err != nil {
		if s.db.PingContext(ctx) != nil { // it went away
			return "", err
		}
		return "", misconfigured(fmt.Sprintf("the database does not speak %s: %v", s.dialect, err), "set Config.Dialect to what it speaks")
	}
	for set := range strings.FieldsSeq(charsets) {
		if set != "utf8mb4" {
			return "", misconfigured("the connection's character set is "+set, "put charset=utf8mb4 into the data source name")
		}
	}
	return collation, nil
}

// checkTables looks at the tables that exist, and reports whether they all do.
func (s *Store) checkTables(ctx context.Context, texts map[string]string, seal string) (whole bool, err error) {
	cols, err := s.describe(ctx, texts["shape"], s.names.tokens)
	if err != nil {
		return false, err
	}
	if len(cols) > 0 {
		if s.shape, err = shapeOf(s.names.tokens, cols); err != nil {
			return false, err
		}
	}
	meta, err := s.describe(ctx, texts["shape"], s.names.meta)
	if err != nil {
		return false, err
	}
	var gotLayout, gotSeal string
	if len(meta) > 0 {
		for name, value := range map[string]*string{metaLayout: &gotLayout, metaSeal: &gotSeal} {
			err := s.db.QueryRowContext(ctx, texts["get_meta"], name).Scan(value)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return false, err
			}
		}
	}
	switch {
	case gotLayout != "" && gotLayout != layout:
		return false, misconfigured(fmt.Sprintf("the tables have layout %s, this version knows %s", gotLayout, layout), "use the version that made them")
	case gotSeal == seal, gotSeal == "" && len(cols) == 0:
	case s.sealer == nil && gotSeal == "": // the table of an SDK
	case s.sealer == nil:
		return false, misconfigured("the tokens are sealed", "set Config.Sealer to the keys that seal them")
	case gotSeal == "", gotSeal == unsealed:
		return false, misconfigured(fmt.Sprintf("table %s was not made by a store with a Sealer", s.names.tokens),
			"name another table in Config.Table, or leave Config.Sealer out")
	default:
		return false, misconfigured("the tokens are sealed by other keys", "set Config.Sealer to the keys that seal them")
	}
	return len(cols) > 0 && gotLayout != "", nil
}

// describe returns the columns of a table, none when there is no such table.
func (s *Store) describe(ctx context.Context, text, table string) ([]column, error) {
	rows, err := s.db.QueryContext(ctx, text, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var cols []column
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.name, &c.kind, &c.key, &c.optional, &c.chars, &c.bytes, &c.charset, &c.collation, &c.engine, &c.indexed); err != nil {
			return nil, err
		}
		cols = append(cols, c)
	}
	return cols, rows.Err()
}

// create brings up what is missing. How the tokens are sealed is settled before there is
// a table for them: of several that come first, one settles it. The layout is written
// last, so that a store that broke off is finished by the next.
func (s *Store) create(ctx context.Context, texts map[string]string, seal, collation string) error {
	for _, stmt := range statements(texts["schema"]) {
		if _, err := s.db.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	settings := [][2]string{{metaSeal, seal}}
	if s.dialect == MySQL {
		settings = append(settings, [2]string{idSlot, ""})
		for i := range numSlots {
			settings = append(settings, [2]string{slotOf([]byte{byte(i)}), ""})
		}
	}
	if err := s.settle(ctx, texts["add_meta"], settings); err != nil {
		return err
	}
	cols, err := s.describe(ctx, texts["shape"], s.names.tokens)
	if err != nil {
		return err
	}
	if len(cols) == 0 {
		for _, stmt := range statements(strings.ReplaceAll(texts["tokens"], "{collation}", collation)) {
			if _, err := s.db.ExecContext(ctx, stmt); err != nil {
				return err
			}
		}
	}
	return s.settle(ctx, texts["add_meta"], [][2]string{{metaLayout, layout}})
}

// settle writes to the meta table what is not there yet.
func (s *Store) settle(ctx context.Context, text string, settings [][2]string) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, set := range settings {
		if _, err := tx.ExecContext(ctx, text, set[0], set[1]); err != nil {
			return err
		}
	}
	return commit(ctx, tx)
}
