package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/embedded"
)

// A memory is the file in which the embedded Redis of one command is handed to that of the
// next: cooldowns, quotas and the times of forced refreshes, which no durable store has.
//
// Only the Redis of the command before counts. The file is taken away, for good, when it is
// read, so that a command that is killed leaves none, and the next one begins with what the
// durable store has.
type memory struct{ path string }

// memoryOf is the memory in the state folder of a namespace over a durable store, under one
// keyset.
func memoryOf(dir, namespace string, sealer bellwether.Sealer, d durableURL) memory {
	h := sha256.New()
	for _, part := range []string{namespace, sealer.Fingerprint(), d.scheme, d.path, d.table} {
		h.Write([]byte(part + "\x00"))
	}
	return memory{filepath.Join(dir, stateMemory+hex.EncodeToString(h.Sum(nil)[:8]))}
}

// take loads what the command before has left. A store that was not there had no command
// before.
func (m memory) take(srv *embedded.Server, store string, log *slog.Logger) error {
	b, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Remove(m.path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(m.path))
	}
	if err != nil {
		return stateError(m.path, err)
	}
	if _, err := os.Stat(store); err != nil {
		return nil
	}
	if err := srv.Load(bytes.NewReader(b)); err != nil {
		log.Debug("bellwether: what the command before has left is not used", "err", err)
	}
	return nil
}

// leave writes the file for the next command. Without it that one knows no cooldown.
func (m memory) leave(srv *embedded.Server, log *slog.Logger) {
	var b bytes.Buffer
	err := srv.Save(&b)
	if err == nil {
		temp := m.path + ".tmp"
		if err = os.WriteFile(temp, b.Bytes(), 0o600); err == nil {
			err = os.Rename(temp, m.path)
		}
	}
	if err != nil {
		log.Warn("bellwether: the next command does not know of cooldowns and quotas", "err", err)
	}
}

// syncFolder makes a removal last, on systems that can sync a folder.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}
