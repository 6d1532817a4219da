package csvstore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"
)

// errCrash is what a disk says once its power is off.
var errCrash = errors.New("the power is off")

// A disk is a folder in memory that loses what was not synced. Its power goes off at the
// step left says: that step is not done, and none behind it.
type disk struct {
	files   map[string]*node // as programs see them
	durable map[string]*node // names that outlive the power
	names   []func(map[string]*node)
	left    int // steps until the power goes off; negative: it stays
	steps   []string
}

// A node is a file; content behind synced may be lost.
type node struct{ content, synced []byte }

func newDisk() *disk {
	return &disk{files: make(map[string]*node), durable: make(map[string]*node), left: -1}
}

// step counts down to the end of the power.
func (d *disk) step(what string) error {
	if d.left == 0 {
		return errCrash
	}
	d.left--
	d.steps = append(d.steps, what)
	return nil
}

// name changes the names, at once for programs and at some time for good.
func (d *disk) name(change func(map[string]*node)) {
	change(d.files)
	d.names = append(d.names, change)
}

func (d *disk) read(name string) ([]byte, fs.FileInfo, error) {
	n := d.files[name]
	if n == nil {
		return nil, nil, fs.ErrNotExist
	}
	return slices.Clone(n.content), diskInfo{name}, nil
}

func (d *disk) create(name string, _ fs.FileMode, _ fs.FileInfo) (file, error) {
	if err := d.step("create " + name); err != nil {
		return nil, err
	}
	if d.files[name] != nil {
		return nil, fs.ErrExist
	}
	n := &node{}
	d.name(func(names map[string]*node) { names[name] = n })
	return &diskFile{d, n, name}, nil
}

func (d *disk) rename(from, to string) error {
	if err := d.step("rename " + to); err != nil {
		return err
	}
	d.name(func(names map[string]*node) {
		names[to] = names[from]
		delete(names, from)
	})
	return nil
}

func (d *disk) remove(name string) error {
	if d.files[name] == nil {
		return fs.ErrNotExist
	}
	if err := d.step("remove " + name); err != nil {
		return err
	}
	d.name(func(names map[string]*node) { delete(names, name) })
	return nil
}

func (d *disk) sync() error {
	if err := d.step("sync folder"); err != nil {
		return err
	}
	for _, change := range d.names {
		change(d.durable)
	}
	d.names = nil
	return nil
}

func (d *disk) close() error { return nil }

type diskFile struct {
	d    *disk
	n    *node
	name string
}

func (f *diskFile) Write(b []byte) (int, error) {
	if err := f.d.step("write " + f.name); err != nil {
		f.n.content = append(f.n.content, b[:len(b)/2]...) // some of it has gone out
		return len(b) / 2, err
	}
	f.n.content = append(f.n.content, b...)
	return len(b), nil
}

func (f *diskFile) Sync() error {
	if err := f.d.step("sync " + f.name); err != nil {
		return err
	}
	f.n.synced = slices.Clone(f.n.content)
	return nil
}

func (f *diskFile) Close() error { return nil }

// afterwards returns every disk that the power may have left: any number of the changes of
// names, in their order, have happened for good, and what was not synced of a file is
// there, or not.
func (d *disk) afterwards() []*disk {
	var after []*disk
	for done := range len(d.names) + 1 {
		for _, lost := range []bool{true, false} {
			names := maps.Clone(d.durable)
			for _, change := range d.names[:done] {
				change(names)
			}
			left := newDisk()
			for name, n := range names {
				content := n.content
				if lost {
					content = n.synced
				}
				n := &node{content: slices.Clone(content), synced: slices.Clone(content)}
				left.files[name], left.durable[name] = n, n
			}
			if !slices.ContainsFunc(after, left.equal) {
				after = append(after, left)
			}
		}
	}
	return after
}

// equal reports whether both hold the same files.
func (d *disk) equal(o *disk) bool {
	return maps.EqualFunc(d.files, o.files, func(a, b *node) bool { return bytes.Equal(a.content, b.content) })
}

// copy returns the disk as it is, with its power on.
func (d *disk) copy() *disk {
	c := newDisk()
	for name, n := range d.files {
		c.put(name, string(n.content))
	}
	return c
}

// store opens the file on the disk, as a process would that has just begun.
func (d *disk) store() *Store {
	s := open(d, "tokens", Config{})
	s.lock = func(context.Context) (func() error, error) { return func() error { return nil }, nil }
	return s
}

// put is another program's write of the file, in place.
func (d *disk) put(name, content string) {
	n := &node{content: []byte(content), synced: []byte(content)}
	d.files[name], d.durable[name] = n, n
}

type diskInfo struct{ name string }

func (i diskInfo) Name() string     { return i.name }
func (diskInfo) Size() int64        { return 0 }
func (diskInfo) Mode() fs.FileMode  { return 0o600 }
func (diskInfo) ModTime() time.Time { return time.Time{} }
func (diskInfo) IsDir() bool        { return false }
func (diskInfo) Sys() any           { return nil }
