package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
)

// maxLine bounds one row of a file: ten values of the most that a token holds, quoted.
const maxLine = 2 * sdkColumnCount * bellwether.MaxValueLen

// An sdkFile is the file of an SDK, read as a stream and never written. The rules are
// those of csvstore, which would keep a sidecar beside it.
type sdkFile struct {
	path  string
	plain bool // the file knows no quotes
	f     *os.File
	size  int64
	read  int64 // bytes of the rows so far
}

func openSDKFile(path string, d csvstore.Dialect) (*sdkFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &usageError{"the token file cannot be read: " + err.Error(), "name the file that the SDK writes, often sdk_tokens.txt"}
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil {
		_ = f.Close()
		return nil, &usageError{"the token file cannot be read: " + err.Error(), "name the file that the SDK writes"}
	}
	return &sdkFile{path: path, plain: d == csvstore.Node, f: f, size: info.Size()}, nil
}

func (s *sdkFile) close() error { return s.f.Close() }

// done implements source.
func (s *sdkFile) done() float64 { return float64(s.read) / float64(max(s.size, 1)) }

// rows implements source.
func (s *sdkFile) rows(ctx context.Context) iter.Seq2[sdkRow, error] {
	return func(yield func(sdkRow, error) bool) {
		l := &csvLines{r: bufio.NewReaderSize(s.f, maxLine), plain: s.plain}
		head, err := l.next()
		if errors.Is(err, io.EOF) { // no row yet
			return
		}
		var at [sdkColumnCount]int
		if err == nil {
			at, err = s.header(head)
		}
		if err != nil {
			yield(sdkRow{}, err)
			return
		}
		for {
			row, err := l.next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err == nil:
				err = ctx.Err()
			}
			if err != nil {
				yield(sdkRow{}, err)
				return
			}
			s.read = l.read
			if !yield(row.columns(at, len(head.fields)), nil) {
				return
			}
		}
	}
}

func (s *sdkFile) header(head csvLine) ([sdkColumnCount]int, error) {
	var names []string
	for i, name := range head.fields {
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff") // byte order mark
		}
		names = append(names, strings.TrimSpace(name))
	}
	at, problem := sdkColumnAt(names)
	if head.problem != "" {
		problem = head.problem
	}
	if problem != "" {
		return at, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "import",
			Detail: fmt.Sprintf("the first line of %s is not the header of a token file: %s", printable(s.path), problem),
			Hint:   "SDKs that write at the same time lose it; put this line at the top: " + strings.Join(sdkColumnNames[:], ",")}
	}
	return at, nil
}

// A csvLine is one row of a file as it stands there.
type csvLine struct {
	number  int // of its first line
	fields  []string
	problem string
}

func (l csvLine) columns(at [sdkColumnCount]int, width int) sdkRow {
	row := sdkRow{line: l.number, problem: l.problem}
	if row.problem == "" && len(l.fields) != width {
		row.problem = fmt.Sprintf("it has %d fields where the header has %d", len(l.fields), width)
	}
	if row.problem != "" {
		return row
	}
	for col, i := range at {
		if i >= 0 {
			row.columns[col] = l.fields[i]
		}
	}
	return row
}

// csvLines splits a stream into rows.
type csvLines struct {
	r      *bufio.Reader
	plain  bool
	number int // lines so far
	read   int64
}

// next returns the next row that is not blank, or io.EOF.
func (l *csvLines) next() (csvLine, error) {
	for {
		row, err := l.row()
		if err != nil || row.problem != "" || len(row.fields) > 1 || row.fields[0] != "" {
			return row, err
		}
	}
}

// row reads one row. It looks at what is buffered, and reads on where that ends within
// the row.
func (l *csvLines) row() (csvLine, error) {
	window, err := l.r.Peek(max(1, l.r.Buffered()))
	for {
		if errors.Is(err, io.EOF) && len(window) == 0 {
			return csvLine{}, io.EOF
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return csvLine{}, err
		}
		last := err != nil // there is no more to see of this row
		if row, n, whole := splitLine(window, l.plain, last); whole {
			row.number = l.number + 1
			l.number += max(1, bytes.Count(window[:n], []byte("\n")))
			l.read += int64(n)
			_, err := l.r.Discard(n)
			return row, err
		}
		window, err = l.r.Peek(len(window) + 1)
		if n := l.r.Buffered(); n > len(window) {
			window, _ = l.r.Peek(n)
		}
	}
}

// splitLine splits the first row of data, which takes n bytes with its line end; not whole
// when the row may go on behind data, which with last it does not. A quote that is never
// closed ends with its line, or it would swallow all rows behind it.
func splitLine(data []byte, plain, last bool) (row csvLine, n int, whole bool) {
	i := 0
	for {
		var field string
		switch {
		case !plain && i < len(data) && data[i] == '"':
			text, took, closed := unquote(data[i:])
			rest := data[min(i+took, len(data)):]
			switch {
			case !last && (!closed || len(rest) == 0 || rest[0] == '\r' && len(rest) == 1):
				return csvLine{}, 0, false
			case !closed:
				return brokenLine(data, "a quote is never closed")
			case len(rest) > 0 && rest[0] != ',' && rest[0] != '\n' && !bytes.HasPrefix(rest, []byte("\r\n")):
				return brokenLine(data, "text follows a closing quote")
			}
			field, i = text, i+took
			if i < len(data) && data[i] == '\r' {
				i++
			}
		default:
			end := bytes.IndexAny(data[i:], ",\n")
			if end < 0 && !last {
				return csvLine{}, 0, false
			}
			if end < 0 {
				end = len(data) - i
			}
			text := data[i : i+end]
			if i += end; i == len(data) || data[i] == '\n' {
				text = bytes.TrimSuffix(text, []byte("\r"))
			}
			field = string(text)
		}
		row.fields = append(row.fields, field)
		if i == len(data) {
			return row, i, true
		}
		i++
		if data[i-1] == '\n' {
			return row, i, true
		}
	}
}

func brokenLine(data []byte, problem string) (csvLine, int, bool) {
	n := bytes.IndexByte(data, '\n') + 1
	if n == 0 {
		n = len(data)
	}
	return csvLine{problem: problem}, n, true
}

// unquote reads a quoted field, which takes n bytes.
func unquote(data []byte) (text string, n int, closed bool) {
	var b strings.Builder
	for i := 1; ; {
		j := bytes.IndexByte(data[i:], '"')
		if j < 0 {
			return "", len(data), false
		}
		b.Write(data[i : i+j])
		i += j + 1
		if i == len(data) || data[i] != '"' {
			return b.String(), i, true
		}
		b.WriteByte('"')
		i++
	}
}
