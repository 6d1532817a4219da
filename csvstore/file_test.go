package csvstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
)

const (
	sidecarSuffix = ".bellwether.json"
	lockSuffix    = ".bellwether.lock"
)

func open(t *testing.T, path string, cfg csvstore.Config) *csvstore.Store {
	t.Helper()
	s, err := csvstore.OpenUnsynced(path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

// TestFiles: what is left beside the file, and with which modes.
func TestFiles(t *testing.T) {
	path := newPath(t)
	s, err := csvstore.Open(path, csvstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		mustSave(t, s, bellwether.Token{UserName: "ada", RefreshToken: secret("r")})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if mode := modeOf(t, filepath.Join(filepath.Dir(path), e.Name())); runtime.GOOS != "windows" && mode != 0o600 {
			t.Errorf("%s has mode %v, want 0600", e.Name(), mode)
		}
	}
	if len(entries) != 3 {
		t.Errorf("%d files are left, want the tokens, the sidecar and the lock", len(entries))
	}
}

// TestSidecarHoldsNoToken: of tokens the sidecar has digests alone.
func TestSidecarHoldsNoToken(t *testing.T) {
	path := newPath(t)
	s := open(t, path, csvstore.Config{})
	for _, n := range []string{"0", "1"} {
		mustSave(t, s, bellwether.Token{ID: "1", UserName: "ada", ClientID: "cl", ClientSecret: secret("client-secret"),
			RefreshToken: secret("refresh-" + n), GrantToken: secret("grant-" + n), AccessToken: secret("access-" + n)})
	}
	b, err := os.ReadFile(path + sidecarSuffix)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"client-secret", "refresh-", "grant-", "access-", "ada"} {
		if bytes.Contains(b, []byte(word)) {
			t.Errorf("the sidecar holds %q", word)
		}
	}
}

// TestModes: what others may read is warned of, what they may write is refused.
func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // modes do not tell
	}
	for _, c := range []struct {
		file, sidecar os.FileMode
		warned        bool
		refused       bool
	}{
		{file: 0o600, sidecar: 0o600},
		{file: 0o644, sidecar: 0o600, warned: true},
		{file: 0o664, sidecar: 0o600, warned: true},
		{file: 0o666, sidecar: 0o600, refused: true},
		{file: 0o600, sidecar: 0o640, refused: true},
		{file: 0o600, sidecar: 0o604, refused: true},
	} {
		path := newPath(t)
		first := open(t, path, csvstore.Config{})
		mustSave(t, first, bellwether.Token{ID: "1", RefreshToken: secret("r")})
		for name, mode := range map[string]os.FileMode{path: c.file, path + sidecarSuffix: c.sidecar} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
		var log bytes.Buffer
		s := open(t, path, csvstore.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		var err error
		for range 2 {
			_, err = s.Save(t.Context(), bellwether.Token{ID: "1", TokenType: "t"})
		}
		if c.refused != errors.Is(err, bellwether.ErrMisconfigured) || !c.refused && err != nil {
			t.Errorf("modes %04o and %04o: %v, want it refused: %v", c.file, c.sidecar, err, c.refused)
		}
		want := 0
		if c.warned {
			want = 1
		}
		if n := strings.Count(log.String(), "chmod 600"); n != want {
			t.Errorf("mode %04o: %d warnings, want %d", c.file, n, want)
		}
		if got := modeOf(t, path); got != c.file {
			t.Errorf("a Save changed mode %04o to %04o", c.file, got)
		}
	}
}

// TestLinks: a link to the file is followed by Open, and no other one.
func TestLinks(t *testing.T) {
	path, elsewhere := newPath(t), newPath(t)
	mustSave(t, open(t, path, csvstore.Config{}), bellwether.Token{ID: "1", RefreshToken: secret("r")})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	s := open(t, link, csvstore.Config{})
	mustSave(t, s, bellwether.Token{ID: "1", TokenType: "t"})
	if got, err := open(t, path, csvstore.Config{}).FindByID(t.Context(), "1"); err != nil || got.TokenType != "t" {
		t.Errorf("behind the link: %q, %v", got.TokenType, err)
	}
	if modeOf(t, link)&os.ModeSymlink == 0 {
		t.Error("the link was replaced by a file")
	}

	if err := os.Symlink(elsewhere, filepath.Join(filepath.Dir(link), "dangling")); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{filepath.Join(filepath.Dir(link), "dangling"), filepath.Dir(path), filepath.Join(path, "file"), ""} {
		if s, err := csvstore.Open(bad, csvstore.Config{}); !errors.Is(err, bellwether.ErrMisconfigured) {
			t.Errorf("Open(%q): %v, want ErrMisconfigured", bad, err)
			_ = s.Close()
		}
	}

	// Somebody puts links in the place of the files, later.
	for _, name := range []string{path, path + sidecarSuffix, path + lockSuffix} {
		if err := os.Rename(name, name+".away"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name+".away", name); err != nil {
			t.Fatal(err)
		}
		if _, err := s.FindByID(t.Context(), "1"); !errors.Is(err, bellwether.ErrUnavailable) {
			t.Errorf("a link in the place of %s: %v, want ErrUnavailable", filepath.Base(name), err)
		}
		if err := errors.Join(os.Remove(name), os.Rename(name+".away", name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.FindByID(t.Context(), "1"); err != nil {
		t.Error(err)
	}
}

// TestLockObeysContext: a process that hangs with the lock holds up nobody for longer than
// they want.
func TestLockObeysContext(t *testing.T) {
	path := newPath(t)
	s := open(t, path, csvstore.Config{})
	row := mustSave(t, s, bellwether.Token{RefreshToken: secret("r")})
	l := flock.New(path + lockSuffix)
	if ok, err := l.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	waiting := make(chan error, 1)
	go func() {
		_, err := s.Save(t.Context(), bellwether.Token{ID: row.ID, TokenType: "late"})
		waiting <- err
	}()
	if _, err := s.FindByID(ctx, row.ID); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beside a held lock: %v, want %v", err, context.DeadlineExceeded)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("once the lock is free: %v", err)
	}
}

// TestLockFileRemoved: whoever holds the lock of a file that was removed does not keep
// anybody from taking the lock of the one in its place, and the other way round.
func TestLockFileRemoved(t *testing.T) {
	path := newPath(t)
	s := open(t, path, csvstore.Config{})
	mustSave(t, s, bellwether.Token{ID: "1", RefreshToken: secret("r")})
	if err := os.Remove(path + lockSuffix); err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, bellwether.Token{ID: "1", TokenType: "t"})
	if modeOf(t, path+lockSuffix) != 0o600 {
		t.Error("the lock file is not made anew")
	}
}

func TestClosed(t *testing.T) {
	s := open(t, newPath(t), csvstore.Config{})
	mustSave(t, s, bellwether.Token{ID: "1", RefreshToken: secret("r")})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.FindByID(t.Context(), "1")
	if !errors.Is(err, bellwether.ErrClosed) {
		t.Errorf("FindByID after Close: %v", err)
	}
	if _, err := s.Save(t.Context(), bellwether.Token{RefreshToken: secret("x")}); !errors.Is(err, bellwether.ErrClosed) {
		t.Errorf("Save after Close: %v", err)
	}
}

func TestConfig(t *testing.T) {
	if _, err := csvstore.Open(newPath(t), csvstore.Config{Dialect: "ruby"}); !errors.Is(err, bellwether.ErrMisconfigured) {
		t.Errorf("an unknown dialect: %v", err)
	}
}

// TestDamagedSidecar: it is not overwritten, and the error says what is at stake.
func TestDamagedSidecar(t *testing.T) {
	path := newPath(t)
	s := open(t, path, csvstore.Config{})
	mustSave(t, s, bellwether.Token{ID: "1", UserName: "ada", RefreshToken: secret("r"), Extra: map[string]bellwether.Secret{"k": secret("hidden")}})
	whole, err := os.ReadFile(path + sidecarSuffix)
	if err != nil {
		t.Fatal(err)
	}
	line := whole[bytes.IndexByte(whole, '\n')+1:]
	for name, bad := range map[string][]byte{
		"cut": whole[:len(whole)-9], "another format": bytes.Replace(whole, []byte("csv-1"), []byte("csv-2"), 1),
		"an ID twice": append(bytes.Clone(whole), line...), "not JSON": append(bytes.Clone(whole), "hidden\n"...),
	} {
		if err := os.WriteFile(path+sidecarSuffix, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Save(t.Context(), bellwether.Token{ID: "1", TokenType: "t"})
		if !errors.Is(err, bellwether.ErrMisconfigured) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want ErrMisconfigured", name, err)
		}
		if got, err := os.ReadFile(path + sidecarSuffix); err != nil || !bytes.Equal(got, bad) {
			t.Errorf("%s: the sidecar was touched, %v", name, err)
		}
	}
	// Without it the credentials are there.
	if err := os.Remove(path + sidecarSuffix); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Find(t.Context(), bellwether.Token{UserName: "ada"}); err != nil || got.RefreshToken.Reveal() != "r" {
		t.Errorf("without a sidecar: %v, %v", got, err)
	}
}
