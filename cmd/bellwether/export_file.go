package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
)

// A newFile is a file that appears under its name whole or not at all.
type newFile struct {
	path  string
	temp  string // in the same folder
	force bool
	done  bool
}

// createNewFile makes the temporary file, for its owner alone.
func createNewFile(path string, force bool) (*newFile, *os.File, error) {
	n := &newFile{path: path, force: force}
	if err := n.free(); err != nil {
		return nil, nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".bellwether-export-*") // 0600
	if err != nil {
		return nil, nil, &usageError{"the file cannot be written: " + err.Error(), "name a file in a folder that exists and is yours"}
	}
	n.temp = f.Name()
	return n, f, nil
}

// free reports whether the name may be taken.
func (n *newFile) free() error {
	info, err := os.Lstat(n.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &usageError{"the file cannot be written: " + err.Error(), "name a file in a folder that exists and is yours"}
	case !info.Mode().IsRegular():
		return &usageError{printable(n.path) + " is not a regular file", "name another one"}
	case !n.force:
		return &usageError{printable(n.path) + " exists already", "name another file, or give --force to replace it"}
	}
	return nil
}

// finish gives the temporary file, which is synced, its name.
func (n *newFile) finish() error {
	if err := n.free(); err != nil {
		return err
	}
	if err := os.Rename(n.temp, n.path); err != nil {
		return err
	}
	n.done = true
	dir, err := os.Open(filepath.Dir(n.path))
	if err != nil {
		return err
	}
	_ = dir.Sync() // some systems cannot
	return dir.Close()
}

func (n *newFile) abort() {
	if !n.done {
		_ = os.Remove(n.temp)
	}
}

// An sdkFileSink writes the file of an SDK.
type sdkFileSink struct {
	*newFile
	f        *os.File
	w        *bufio.Writer
	plain    bool // the file knows no quotes
	eol, end string
}

func createSDKFile(path string, d csvstore.Dialect, force bool) (sink, error) {
	n, f, err := createNewFile(path, force)
	if err != nil {
		return nil, err
	}
	s := &sdkFileSink{newFile: n, f: f, w: bufio.NewWriter(f), plain: d == csvstore.Node, eol: "\n"}
	names := sdkColumnNames
	if d == csvstore.Python {
		s.eol, s.end, names[sdkRedirectURL] = "\r\n", "\r\n", "redirect_uri"
	}
	_, err = s.w.WriteString(strings.Join(names[:], ","))
	if err != nil {
		s.abort()
		return nil, err
	}
	return s, nil
}

// needQuotes are the characters for which a value is quoted (RFC 4180).
const needQuotes = ",\"\r\n"

// check implements sink.
func (s *sdkFileSink) check(c sdkColumns) error {
	for i, v := range c {
		if s.plain && strings.ContainsAny(v, needQuotes) {
			return refuse(fmt.Sprintf("its %s holds a comma, a quote or a line end, which the Node and PHP SDKs cannot read", sdkColumnNames[i]),
				"where only Python or Java read the file, give --dialect python or standard")
		}
	}
	return nil
}

// write implements sink.
func (s *sdkFileSink) write(_ context.Context, c sdkColumns) error {
	for i, v := range c {
		if strings.ContainsAny(v, needQuotes) {
			c[i] = `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
		}
	}
	_, err := s.w.WriteString(s.eol + strings.Join(c[:], ","))
	return err
}

// finish implements sink.
func (s *sdkFileSink) finish() error {
	_, err := s.w.WriteString(s.end)
	if err := errors.Join(err, s.w.Flush(), s.f.Sync(), s.f.Close()); err != nil {
		return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "export", Err: err, Hint: "nothing was written under that name"}
	}
	return s.newFile.finish()
}

// abort implements sink.
func (s *sdkFileSink) abort() {
	_ = s.f.Close() // finish has closed it before
	s.newFile.abort()
}
