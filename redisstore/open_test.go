package redisstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// A namespace that is there opens without a write.

func TestOpenAndReadAtMaxMemory(t *testing.T) {
	redistest.Need(t)
	srv := redistest.Single(t, redistest.Config{})
	sealer := newSealer(t)
	tok := save(t, openStore(t, srv.URL(), sealer), newToken("p"))
	if err := srv.Client(t).ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}

	s := openStore(t, srv.URL(), sealer)
	wantReadable(t, s, tok)
	if err := s.Delete(t.Context(), tok.ID); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if _, err := s.FindByID(t.Context(), tok.ID); !errors.Is(err, bellwether.ErrNotFound) {
		t.Errorf("FindByID after Delete: %v, want ErrNotFound", err)
	}
}

func TestOpenAndReadOnAReplica(t *testing.T) {
	redistest.Need(t)
	srv := redistest.Single(t, redistest.Config{})
	sealer := newSealer(t)
	tok := save(t, openStore(t, srv.URL(), sealer), newToken("p"))
	if err := srv.Client(t).Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}

	s := openStore(t, srv.URL(), sealer)
	wantReadable(t, s, tok)
	wantError(t, s.Delete(t.Context(), tok.ID), bellwether.ErrUnavailable)
}

// wantReadable checks that a row is found and listed.
func wantReadable(t *testing.T, s *redisstore.Store, tok bellwether.Token) {
	t.Helper()
	if got, err := s.FindByID(t.Context(), tok.ID); err != nil || !got.RefreshToken.Equal(tok.RefreshToken) {
		t.Errorf("FindByID: row %q, %v", got.ID, err)
	}
	if got, err := s.Find(t.Context(), bellwether.Token{UserName: tok.UserName}); err != nil || got.ID != tok.ID {
		t.Errorf("Find: row %q, %v, want %q", got.ID, err, tok.ID)
	}
	wantSound(t, s, 1)
}

// A Redis that knows no shebang line is too old, whether or not it tells its version.
func TestOpenOldServer(t *testing.T) {
	for name, info := range map[string]func(*server.Peer){
		"tells its version": func(p *server.Peer) { p.WriteBulk("# Server\r\nredis_version:6.2.14\r\n") },
		"refuses INFO":      func(p *server.Peer) { p.WriteError("NOPERM this user has no permissions to run the 'info' command") },
	} {
		t.Run(name, func(t *testing.T) {
			m, client := redistest.Mini(t)
			m.Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
				if cmd != "INFO" {
					return false
				}
				info(p)
				return true
			})
			_, err := redisstore.New(t.Context(), client, config(newSealer(t)))
			if e := wantError(t, err, bellwether.ErrMisconfigured); !strings.Contains(e.Hint, "7.0") {
				t.Errorf("hint is %q, want the version that is needed", e.Hint)
			}
		})
	}
}
