package csvstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// How long a process waits between two tries of the lock.
const (
	lockMinPause = time.Millisecond
	lockMaxPause = 5 * time.Millisecond
)

// fileLock returns a function that takes the lock file at path, whose folder is root, for
// this process alone. The lock ends with the process.
//
// The library opens the file by path and follows links, so the file that was locked is
// compared with the one that is there: another one is locked by nobody else.
func fileLock(root *os.Root, path string) func(context.Context) (func() error, error) {
	name := filepath.Base(path)
	return func(ctx context.Context) (func() error, error) {
		for {
			l := flock.New(path)
			pause := lockMinPause + rand.N(lockMaxPause-lockMinPause)
			if _, err := l.TryLockContext(ctx, pause); err != nil {
				return nil, err
			}
			same, err := sameFile(root, name, l)
			if same {
				return l.Unlock, nil
			}
			if err := errors.Join(err, l.Unlock()); err != nil {
				return nil, err
			}
		}
	}
}

// sameFile reports whether l has locked the file of this name.
func sameFile(root *os.Root, name string, l *flock.Flock) (bool, error) {
	locked, err := l.Stat()
	if err != nil {
		return false, err
	}
	there, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist): // removed before it was locked
		return false, nil
	case err != nil:
		return false, err
	case !there.Mode().IsRegular():
		return false, fmt.Errorf("%s is not a regular file", name)
	}
	return os.SameFile(locked, there), nil
}
