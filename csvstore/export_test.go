package csvstore

import (
	"io/fs"
	"os"
)

// OpenUnsynced is Open with a folder that waits for no disk.
func OpenUnsynced(path string, cfg Config) (*Store, error) {
	s, err := Open(path, cfg)
	if err == nil {
		s.folder = unsynced{s.folder.(rootFolder)}
	}
	return s, err
}

type unsynced struct{ rootFolder }

func (u unsynced) create(name string, mode fs.FileMode, owner fs.FileInfo) (file, error) {
	f, err := u.rootFolder.create(name, mode, owner)
	return unsyncedFile{f}, err
}

// rename makes room first: some file systems sync a file that is renamed over another.
func (u unsynced) rename(from, to string) error {
	_ = u.remove(to)
	return u.rootFolder.rename(from, to)
}

func (unsynced) sync() error { return nil }

type unsyncedFile struct{ file }

func (unsyncedFile) Sync() error { return nil }

// OpenKilled is Open with a folder that kills this process at a step: that one is not done.
func OpenKilled(path string, step int) (*Store, error) {
	s, err := Open(path, Config{})
	if err == nil {
		s.folder = &killer{s.folder, step}
	}
	return s, err
}

type killer struct {
	folder
	left int
}

func (k *killer) step() {
	if k.left == 0 {
		p, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = p.Kill()
		}
		panic(err) // not reached on any system that can kill
	}
	k.left--
}

func (k *killer) create(name string, mode fs.FileMode, owner fs.FileInfo) (file, error) {
	k.step()
	f, err := k.folder.create(name, mode, owner)
	return &killerFile{f, k}, err
}

func (k *killer) rename(from, to string) error { k.step(); return k.folder.rename(from, to) }
func (k *killer) sync() error                  { k.step(); return k.folder.sync() }

type killerFile struct {
	file
	k *killer
}

func (f *killerFile) Write(b []byte) (int, error) {
	n, err := f.file.Write(b[:len(b)/2])
	if err != nil {
		return n, err
	}
	f.k.step()
	m, err := f.file.Write(b[n:])
	return n + m, err
}

func (f *killerFile) Sync() error { f.k.step(); return f.file.Sync() }
