package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/seal"
)

// What the state folder holds, beside the files that SQLite keeps with a database.
const (
	stateLock   = "lock" // never removed: who holds it would not know
	statePID    = "pid"  // of the process that holds the lock
	stateKeyset = "keyset.json"
	stateTokens = "tokens" // -NAMESPACE.db
	stateMemory = "redis-" // and a hash; see memory
)

// statePath is the state folder of the settings, as the XDG Base Directory Specification
// has it: a relative $XDG_STATE_HOME is ignored.
func (s *settings) statePath() (string, error) {
	if s.state != "" {
		return filepath.Abs(s.state)
	}
	if base := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "bellwether"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return "", &usageError{"no Redis is given, and there is no home folder to keep tokens in",
			"give --state DIR, or a Redis: export " + envRedis + "=redis://localhost:6379"}
	}
	return filepath.Join(home, ".local", "state", "bellwether"), nil
}

// stateDatabase is the database of a namespace. redisstore refuses what is no name of one
// before the file is opened.
func stateDatabase(dir, namespace string) string {
	return filepath.Join(dir, stateTokens+"-"+cmp.Or(namespace, "default")+".db")
}

// fresh reports whether nothing was ever kept where the settings point to without a Redis.
func (s *settings) fresh() bool {
	if s.redisURL() != "" {
		return false
	}
	dir, err := s.statePath()
	if err != nil {
		return true
	}
	_, err = os.Stat(dir)
	return err != nil
}

// lockState makes the state folder, if need be, and takes it for this process alone. It
// waits so long for another process that has it. The lock ends with the process, however
// that ends.
func lockState(ctx context.Context, dir string, wait time.Duration) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, stateError(dir, err)
	}
	l := flock.New(filepath.Join(dir, stateLock))
	waiting, cancel := context.WithTimeout(ctx, max(wait, time.Millisecond))
	defer cancel()
	pause := 5*time.Millisecond + rand.N(5*time.Millisecond)
	if locked, err := l.TryLockContext(waiting, pause); !locked {
		switch {
		case ctx.Err() != nil:
			return nil, &bellwether.Error{Op: "open", Err: ctx.Err()}
		case waiting.Err() != nil:
			return nil, taken(dir)
		}
		return nil, stateError(dir, err)
	}
	pid := filepath.Join(dir, statePID)
	if err := os.WriteFile(pid, strconv.AppendInt(nil, int64(os.Getpid()), 10), 0o600); err != nil {
		return nil, errors.Join(stateError(dir, err), l.Unlock())
	}
	return func() error {
		_ = os.Remove(pid) // who waits would be told of a process that has ended, no more
		return l.Unlock()
	}, nil
}

// taken says who has the state folder.
func taken(dir string) error {
	who := "another bellwether"
	if pid, err := os.ReadFile(filepath.Join(dir, statePID)); err == nil && strings.Trim(string(pid), "0123456789") == "" && len(pid) > 0 {
		who += fmt.Sprintf(" (pid %s)", pid)
	}
	return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "open",
		Detail: fmt.Sprintf("%s uses %s; give both a Redis", who, dir),
		Hint:   "export " + envRedis + "=redis://localhost:6379 for both, or wait longer (--state-wait)"}
}

func stateError(dir string, err error) error {
	return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: "open", Detail: dir, Err: err,
		Hint: "the state folder must be on a local disk and open to the user that runs this; --state names another"}
}

// stateSealer returns what seals the rows of the state folder: what the settings name, or
// else a keyset in the folder, which is made at the first use. The folder is locked.
func (s *settings) stateSealer(dir string, stderr io.Writer) (bellwether.Sealer, error) {
	if s.plaintext || s.keysetPath() != "" {
		return s.sealer()
	}
	path := filepath.Join(dir, stateKeyset)
	keys, err := seal.Open(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	if old, err := filepath.Glob(filepath.Join(dir, stateTokens+"-*.db")); err != nil || len(old) > 0 {
		return nil, errors.Join(err, &usageError{"the tokens in " + dir + " are sealed by a keyset that is not given",
			"give the one that they were stored with (--keyset, " + envKeyset + "), or put " + path + " back from your copy"})
	}
	if keys, err = seal.Create(path); err != nil {
		return nil, err
	}
	fmt.Fprintf(stderr, "bellwether: no Redis is given: tokens are kept in %s, sealed by %s, which was made now. Keep a copy of it: without it they cannot be read.\n", dir, path)
	return keys, nil
}
