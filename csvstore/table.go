package csvstore

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bellwether-go/bellwether"
)

// A Dialect is how one of Zoho's SDKs writes its file.
type Dialect string

// The dialects. All have the same ten columns; a file without special characters differs
// in line ends, the ninth column's name and the newline at the end only.
const (
	// Standard quotes a value where that is needed (RFC 4180) and ends lines with LF, as
	// the Java SDK does. For values without comma, quote and line end it writes what the
	// Node, TypeScript and PHP SDKs write and read.
	Standard Dialect = "standard"
	// Python is Standard with CRLF, a newline at the end, and redirect_uri for the
	// column redirect_url.
	Python Dialect = "python"
	// Node is what the Node, TypeScript and PHP SDKs read: they know no quotes. A Save
	// that brings a comma, a quote, CR or LF is ErrInvalid.
	Node Dialect = "node"
)

// The columns that an SDK knows, in the order in which it writes them.
const (
	colID = iota
	colUserName
	colClientID
	colClientSecret
	colRefreshToken
	colAccessToken
	colGrantToken
	colExpiry
	colRedirectURL
	colAPIDomain
	columnCount
)

var columnNames = [columnCount]string{"id", "user_name", "client_id", "client_secret", "refresh_token",
	"access_token", "grant_token", "expiry_time", "redirect_url", "api_domain"}

// otherNames are spellings of other SDKs and of older ones.
var otherNames = map[string]int{"redirect_uri": colRedirectURL, "user_mail": colUserName}

const (
	byteOrderMark = "\ufeff"
	pythonHeader  = "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,expiry_time,redirect_uri,api_domain"
)

// A table is a parsed file. What it does not understand it keeps byte for byte.
type table struct {
	plain   bool   // the file knows no quotes
	eol     string // between lines
	ended   bool   // with an eol behind the last line
	header  []byte
	columns [columnCount]int // where a line has them
	width   int
	records []*record
	// cut says that the file ends in the middle of a line: whoever wrote it has died at
	// it or is at it still, and the lines behind are missing.
	cut bool
}

// A record is one line, without its end. It is never changed.
type record struct {
	raw    []byte
	fields []string
	// problem says why the line is no row, without quoting it.
	problem string
}

func newTable(d Dialect) *table {
	t := &table{plain: d == Node, eol: "\n", header: []byte(strings.Join(columnNames[:], ",")), width: columnCount}
	if d == Python {
		t.eol, t.ended, t.header = "\r\n", true, []byte(pythonHeader)
	}
	for i := range t.columns {
		t.columns[i] = i
	}
	return t
}

// parse reads a file. A blank dialect is told from the bytes: the line end and the
// spelling of the header stay what they are. An empty file is a new one.
func parse(data []byte, d Dialect) (*table, error) {
	if len(bytes.Trim(data, byteOrderMark+"\r\n")) == 0 {
		return newTable(d), nil
	}
	t := &table{plain: d == Node, eol: "\n"}
	s := scanner{data: data, plain: t.plain}
	head := s.next()
	if s.crlf {
		t.eol = "\r\n"
	}
	if err := t.readHeader(head); err != nil {
		return nil, err
	}
	given := t.width // the fields of a line in the file
	if t.columns[colAPIDomain] < 0 {
		t.widen()
	}
	for len(s.data) > 0 {
		r := s.next()
		switch {
		case len(r.raw) == 0: // a blank line is none
			continue
		case r.problem != "":
		case len(r.fields) != given:
			r.problem = fmt.Sprintf("it has %d fields where the header has %d", len(r.fields), given)
		case given < t.width:
			r.fields, r.raw = append(r.fields, ""), append(slices.Clone(r.raw), ',')
		}
		t.records = append(t.records, r)
	}
	t.ended = s.ended
	if n := len(t.records); n > 0 && !t.ended {
		last := t.records[n-1]
		t.cut = last.problem != "" && (len(last.fields) < given || s.unclosed)
	}
	t.cut = t.cut || s.unclosed && !t.plain
	switch d {
	case Python:
		t.eol, t.ended = "\r\n", true
		t.rename(colRedirectURL, "redirect_uri")
	case Node, Standard:
		t.eol = "\n"
		t.rename(colRedirectURL, columnNames[colRedirectURL])
	}
	return t, nil
}

func (t *table) readHeader(head *record) error {
	lost := func(why string) error {
		return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: "read file",
			Detail: "the first line is not the header of a token file: " + why,
			Hint:   "SDKs that write at the same time lose it; stop them and put this line at the top: " + strings.Join(columnNames[:], ",")}
	}
	for i := range t.columns {
		t.columns[i] = -1
	}
	for i, name := range head.fields {
		name = columnName(name)
		col := slices.Index(columnNames[:], name)
		if other, ok := otherNames[name]; ok {
			col = other
		}
		if col < 0 {
			continue
		}
		if t.columns[col] >= 0 {
			return lost("it has two columns " + columnNames[col])
		}
		t.columns[col] = i
	}
	for col, at := range t.columns {
		if at < 0 && col != colAPIDomain {
			return lost("it has no column " + columnNames[col])
		}
	}
	if head.problem != "" {
		return lost(head.problem)
	}
	t.header, t.width = head.raw, len(head.fields)
	return nil
}

func columnName(field string) string {
	return strings.TrimSpace(strings.TrimPrefix(field, byteOrderMark))
}

// widen gives a file of an older SDK its tenth column, as newer SDKs do.
func (t *table) widen() {
	t.columns[colAPIDomain] = t.width
	t.width++
	t.header = append(append(slices.Clone(t.header), ','), columnNames[colAPIDomain]...)
}

// rename spells a column of the header in the way of a dialect.
func (t *table) rename(col int, name string) {
	s := scanner{data: t.header}
	fields := s.next().fields
	at := t.columns[col]
	if columnName(fields[at]) == name || at == 0 {
		return
	}
	fields[at] = name
	if raw, err := encode(fields, false); err == nil {
		t.header = raw
	}
}

// bytes returns the file of the table with these lines.
func (t *table) bytes(records []*record) []byte {
	size := len(t.header) + len(t.eol)
	for _, r := range records {
		size += len(r.raw) + len(t.eol)
	}
	out := append(make([]byte, 0, size), t.header...)
	for _, r := range records {
		out = append(append(out, t.eol...), r.raw...)
	}
	if t.ended {
		out = append(out, t.eol...)
	}
	return out
}

// get returns the field of a column.
func (t *table) get(r *record, col int) string { return r.fields[t.columns[col]] }

// with returns a line with these columns; what else it holds is that of old, which may
// be nil.
func (t *table) with(old *record, columns [columnCount]string) (*record, error) {
	fields := make([]string, t.width)
	if old != nil {
		copy(fields, old.fields)
	}
	for col, at := range t.columns {
		fields[at] = columns[col]
	}
	raw, err := encode(fields, t.plain)
	if at, ok := errors.AsType[fieldError](err); ok {
		name := "a value"
		if col := slices.Index(t.columns[:], int(at)); col >= 0 {
			name = "the " + strings.ReplaceAll(columnNames[col], "_", " ")
		}
		return nil, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "save", ID: columns[colID],
			Detail: name + " holds a comma, a quote or a line end, which the Node and PHP SDKs cannot read",
			Hint:   "use another value, or, when only Java, Python and Bellwether use the file, another dialect"}
	}
	return &record{raw: raw, fields: fields}, nil
}

// A fieldError is the place of a field that cannot be written without quotes.
type fieldError int

func (e fieldError) Error() string { return fmt.Sprintf("field %d needs quotes", int(e)) }

const special = ",\"\r\n"

func encode(fields []string, plain bool) ([]byte, error) {
	var b []byte
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		switch {
		case !strings.ContainsAny(f, special):
			b = append(b, f...)
		case plain:
			return nil, fieldError(i)
		default:
			b = append(b, '"')
			b = append(b, strings.ReplaceAll(f, `"`, `""`)...)
			b = append(b, '"')
		}
	}
	return b, nil
}

// A scanner splits a file into lines.
type scanner struct {
	data     []byte // the rest
	plain    bool
	crlf     bool // the last line ended with CRLF
	ended    bool // the last line had an end
	unclosed bool // some quote is never closed
}

// next returns the next line of a file that has one.
func (s *scanner) next() *record {
	if !s.plain && !s.unclosed {
		if r, ok := s.quoted(); ok {
			return r
		}
		// A quote that is never closed would swallow all lines behind it.
		s.unclosed = true
	}
	end := bytes.IndexByte(s.data, '\n')
	if end < 0 {
		end = len(s.data)
	}
	line := s.take(end)
	r := &record{raw: line, fields: strings.Split(string(line), ",")}
	if !s.plain {
		if i := slices.IndexFunc(r.fields, func(f string) bool { return strings.HasPrefix(f, `"`) }); i >= 0 {
			r.problem = "a quote is never closed"
		}
	}
	return r
}

// fieldEnd returns where the unquoted field ends that goes on at from.
func (s *scanner) fieldEnd(from int) int {
	if i := bytes.IndexAny(s.data[from:], ",\n"); i >= 0 {
		return from + i
	}
	return len(s.data)
}

// take cuts off n bytes and the line end behind them.
func (s *scanner) take(n int) []byte {
	line := s.data[:n:n]
	s.ended = n < len(s.data)
	s.data = s.data[min(n+1, len(s.data)):]
	line, s.crlf = bytes.CutSuffix(line, []byte("\r"))
	return line
}

// quoted reads a line whose fields may be quoted; not ok when a quote is never closed.
func (s *scanner) quoted() (*record, bool) {
	var fields []string
	problem := ""
	i := 0
	for {
		if i < len(s.data) && s.data[i] == '"' {
			field, n, ok := unquote(s.data[i:])
			if !ok {
				return nil, false
			}
			fields, i = append(fields, field), i+n
			if rest := s.data[i:]; len(rest) > 0 && rest[0] != ',' && rest[0] != '\n' && !bytes.HasPrefix(rest, []byte("\r\n")) {
				problem = "text follows a closing quote"
				i = s.fieldEnd(i)
			}
		} else {
			end := s.fieldEnd(i)
			field := s.data[i:end]
			if end == len(s.data) || s.data[end] == '\n' {
				field = bytes.TrimSuffix(field, []byte("\r"))
			}
			fields, i = append(fields, string(field)), end
		}
		if i < len(s.data) && s.data[i] == ',' {
			i++
			continue
		}
		end := i
		if i < len(s.data) && s.data[i] == '\r' {
			end++
		}
		return &record{raw: s.take(end), fields: fields, problem: problem}, true
	}
}

// unquote reads a quoted field and returns how many bytes it takes.
func unquote(data []byte) (field string, n int, ok bool) {
	var b []byte
	for i := 1; ; {
		j := bytes.IndexByte(data[i:], '"')
		if j < 0 {
			return "", 0, false
		}
		b = append(b, data[i:i+j]...)
		i += j + 1
		if i == len(data) || data[i] != '"' {
			return string(b), i, true
		}
		b, i = append(b, '"'), i+1
	}
}
