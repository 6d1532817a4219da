package redisstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// Stores that share one miniredis, each with a client whose commands a test can stand
// in for.

// stepHook counts commands, a pipeline as one, and lets a test stand in for any.
type stepHook struct {
	mu   sync.Mutex
	n    int
	step func(n int, cmds []redis.Cmder, next func() error) error
}

func (h *stepHook) run(cmds []redis.Cmder, next func() error) error {
	h.mu.Lock()
	h.n++
	n, step := h.n, h.step
	h.mu.Unlock()
	if step == nil {
		return next()
	}
	return step(n, cmds, next)
}

func (h *stepHook) set(step func(n int, cmds []redis.Cmder, next func() error) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n, h.step = 0, step
}

func (h *stepHook) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

func (h *stepHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *stepHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return h.run([]redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
	}
}

func (h *stepHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return h.run(cmds, func() error { return next(ctx, cmds) })
	}
}

// replica is a store with a client of its own on m.
func replica(t *testing.T, m *miniredis.Miniredis, sealer bellwether.Sealer) (*redisstore.Store, *stepHook) {
	t.Helper()
	client := redis.NewClient(redistest.MiniOptions(m))
	t.Cleanup(func() { _ = client.Close() })
	h := new(stepHook)
	client.AddHook(h)
	cfg := config(sealer)
	cfg.ClaimGrace = grace
	s, err := redisstore.New(t.Context(), client, cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, h
}

// grace is the ClaimGrace of a replica.
const grace = 400 * time.Millisecond

// wantSound checks that the index and the rows agree: all that a row has is confirmed
// as its own, and it is found by it.
func wantSound(t *testing.T, s *redisstore.Store, rows int) []bellwether.Token {
	t.Helper()
	all := sound(t, s)
	if len(all) != rows {
		t.Fatalf("%d rows, want %d: %+v", len(all), rows, all)
	}
	return all
}

// sound is wantSound for any number of rows.
func sound(t *testing.T, s *redisstore.Store) []bellwether.Token {
	t.Helper()
	s.Idle()
	var all []bellwether.Token
	for tok, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		all = append(all, tok)
	}
	raw := s.RawClient()
	for _, tok := range all {
		for kind, v := range map[string]bellwether.Secret{"rt": tok.RefreshToken, "gt": tok.GrantToken} {
			if v.IsZero() {
				continue
			}
			got := raw.Get(t.Context(), s.IndexKey(kind, v.Reveal())).Val()
			if !strings.HasPrefix(got, "c ") || !strings.HasSuffix(got, " "+tok.ID) {
				t.Errorf("entry %s of row %s is %q, want it confirmed", kind, tok.ID, got)
			}
		}
		for _, partial := range []bellwether.Token{{UserName: tok.UserName}, {RefreshToken: tok.RefreshToken},
			{GrantToken: tok.GrantToken}, {AccessToken: tok.AccessToken}} {
			if got, err := s.Find(t.Context(), partial); err == nil && got.ID != tok.ID {
				t.Errorf("Find leads to %s, want %s", got.ID, tok.ID)
			} else if err != nil && !errors.Is(err, bellwether.ErrInvalid) {
				t.Errorf("row %s is not found: %v", tok.ID, err)
			}
		}
		if tok.UserName != "" {
			members := raw.ZRangeWithScores(t.Context(), s.IndexKey("user", tok.UserName), 0, -1).Val()
			i := slices.IndexFunc(members, func(z redis.Z) bool { return z.Member == s.UserMember(tok) })
			if i < 0 || members[i].Score >= 0 || len(members) != 1 {
				t.Errorf("user name of row %s: %v, want one confirmed member", tok.ID, members)
			}
		}
	}
	return all
}
