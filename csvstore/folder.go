package csvstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// maxFile bounds what is read: some two million rows.
const maxFile = 1 << 30

// A folder is what the store needs of the folder of its files. Tests have one that loses
// what was not synced.
type folder interface {
	// read returns a regular file, or fs.ErrNotExist.
	read(name string) ([]byte, fs.FileInfo, error)
	// create makes a file that must not exist, with the mode and the owner of another file
	// unless that is nil.
	create(name string, mode fs.FileMode, owner fs.FileInfo) (file, error)
	rename(from, to string) error
	remove(name string) error
	// sync makes the names survive a crash.
	sync() error
	close() error
}

type file interface {
	io.WriteCloser
	Sync() error
}

// replace puts a file of this content in the place of name: a crash at any moment leaves
// the old one or the new one, whole. temp is the name it is written under, by nobody else
// at this time.
func replace(d folder, name, temp string, content []byte, mode fs.FileMode, owner fs.FileInfo) (err error) {
	if err := d.remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that has died
		return err
	}
	f, err := d.create(temp, mode, owner)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.rename(temp, name)
	}
	if err != nil {
		_ = d.remove(temp)
		return err
	}
	return d.sync()
}

// rootFolder is a real folder. No name leads out of it, and no link is followed.
type rootFolder struct{ root *os.Root }

func (d rootFolder) read(name string) ([]byte, fs.FileInfo, error) {
	if info, err := d.root.Lstat(name); err != nil {
		return nil, nil, err
	} else if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	var content bytes.Buffer
	content.Grow(int(min(info.Size(), maxFile)) + bytes.MinRead)
	n, err := content.ReadFrom(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, nil, err
	case n > maxFile:
		return nil, nil, fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
	}
	return content.Bytes(), info, nil
}

func (d rootFolder) create(name string, mode fs.FileMode, owner fs.FileInfo) (file, error) {
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if owner != nil {
		err = keepOwner(f, owner)
	}
	if err == nil && runtime.GOOS != "windows" {
		err = f.Chmod(mode)
	}
	if err != nil {
		_ = f.Close()
		_ = d.root.Remove(name)
		return nil, err
	}
	return f, nil
}

func (d rootFolder) rename(from, to string) error { return d.root.Rename(from, to) }
func (d rootFolder) remove(name string) error     { return d.root.Remove(name) }
func (d rootFolder) sync() error                  { return syncFolder(d.root) }
func (d rootFolder) close() error                 { return d.root.Close() }
