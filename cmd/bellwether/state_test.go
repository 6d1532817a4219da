package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/embedded"
	"github.com/bellwether-go/bellwether/seal"
)

// private PATH… wants what nobody but the owner can read or write.
func cmdPrivate(ts *testscript.TestScript, neg bool, args []string) {
	var paths []string
	for _, pattern := range args {
		found, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		if len(found) == 0 {
			ts.Fatalf("there is no %s", pattern)
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		ts.Check(err)
		if info.Mode().Perm()&0o077 != 0 {
			ts.Fatalf("%s has mode %v", path, info.Mode())
		}
	}
}

// sealed DIR wants no secret of the stage in clear in the files of a folder, and at least
// one file.
func cmdSealed(ts *testscript.TestScript, neg bool, args []string) {
	st, files := of(ts), 0
	st.mu.Lock()
	defer st.mu.Unlock()
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if minted.Match(b) {
			return fmt.Errorf("%s holds a token", d.Name())
		}
		for _, s := range st.secrets {
			if bytes.Contains(b, []byte(s)) {
				return fmt.Errorf("%s holds a secret", d.Name())
			}
		}
		return nil
	}))
	if files == 0 {
		ts.Fatalf("%s holds no file", args[0])
	}
}

// TestLockState: of all who want the folder, one has it; whoever waits gets it next.
func TestLockState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	unlock, err := lockState(t.Context(), dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lockState(t.Context(), dir, time.Millisecond)
	if want := fmt.Sprintf("another bellwether (pid %d) uses %s; give both a Redis", os.Getpid(), dir); !errors.Is(err, bellwether.ErrUnavailable) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want ErrUnavailable: %s", err, want)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lockState(ended, dir, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("with a ctx that has ended: got %v, want its error", err)
	}
	next := make(chan error)
	go func() {
		unlock, err := lockState(t.Context(), dir, time.Minute)
		if err == nil {
			err = unlock()
		}
		next <- err
	}()
	if err := unlock(); err != nil {
		t.Error(err)
	}
	if err := <-next; err != nil {
		t.Errorf("whoever waits: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, statePID)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the pid of nobody is there: %v", err)
	}
}

// pending counts down.
type pending struct{ left atomic.Int64 }

func (p *pending) Pending() int { return int(max(p.left.Add(-1), 0)) }

func TestSettle(t *testing.T) {
	soon := &pending{}
	soon.left.Store(4)
	if err := settle(soon, time.Minute); err != nil {
		t.Errorf("rows that are copied soon: %v", err)
	}
	never := &pending{}
	never.left.Store(1 << 40)
	if err := settle(never, time.Millisecond); !errors.Is(err, bellwether.ErrUnavailable) {
		t.Errorf("rows that are never copied: got %v, want ErrUnavailable", err)
	}
}

// TestMemory: what a command leaves is used once, and only over a store that was there.
func TestMemory(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "store")
	m := memoryOf(dir, "", seal.Plaintext{}, durableURL{scheme: "sqlite", path: store})
	leave := func() {
		srv, client := redisInMemory(t)
		if err := client.Set(t.Context(), "k", "v", time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		m.leave(srv, slog.New(slog.DiscardHandler))
	}
	taken := func() string {
		srv, client := redisInMemory(t)
		if err := m.take(srv, store, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		return client.Get(t.Context(), "k").Val()
	}
	leave()
	if got := taken(); got != "" {
		t.Errorf("over a store that was not there: %q", got)
	}
	if err := os.WriteFile(store, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := taken(); got != "" {
		t.Errorf("after it was taken away: %q", got)
	}
	leave()
	if got := taken(); got != "v" {
		t.Errorf("the command after reads %q, want v", got)
	}
	if got := taken(); got != "" {
		t.Errorf("the one after that reads %q, as if the one before had been killed", got)
	}
	if err := os.WriteFile(m.path, []byte("cut"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := taken(); got != "" {
		t.Errorf("from a file that is none: %q", got)
	}
	for _, other := range []memory{
		memoryOf(dir, "other", seal.Plaintext{}, durableURL{scheme: "sqlite", path: store}),
		memoryOf(dir, "", seal.Plaintext{}, durableURL{scheme: "sqlite", path: store + "2"}),
		memoryOf(dir, "", seal.Plaintext{}, durableURL{scheme: "sqlite", path: store, table: "t"}),
	} {
		if other == m {
			t.Error("two stores have one memory")
		}
	}
}

func redisInMemory(t *testing.T) (*embedded.Server, *redis.Client) {
	t.Helper()
	srv, err := embedded.Local()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	client := srv.Client()
	t.Cleanup(func() { _ = client.Close() })
	return srv, client
}
