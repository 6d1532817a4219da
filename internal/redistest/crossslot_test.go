package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether/internal/redistest"
)

func TestSlot(t *testing.T) {
	// From the Redis Cluster specification and from CLUSTER KEYSLOT of Redis 7.0.
	tests := map[string]int{
		"":                      0,
		"123456789":             0x31C3,
		"foo":                   12182,
		"{foo}":                 12182,
		"{foo}bar":              12182,
		"x{foo}y{bar}z":         12182,
		"foo{}{bar}":            8363,
		"foo{{bar}}zap":         4015,
		"{bar":                  4015,
		"{user1000}.following":  3443,
		"{user1000}.followers":  3443,
		"bw1:crm:{03ff}:t:x{y}": redistest.Slot("03ff"),
	}
	for key, want := range tests {
		if got := redistest.Slot(key); got != want {
			t.Errorf("slot of %q: %d, want %d", key, got, want)
		}
	}
}

func TestCrossSlot(t *testing.T) {
	const (
		crossSlot = "CROSSSLOT"
		inScript  = "do not hash to the same slot"
	)
	eval := func(src string, keys ...string) func(context.Context, *redis.Client) error {
		return func(ctx context.Context, c *redis.Client) error {
			return redis.NewScript(src).Run(ctx, c, keys, "{b}arg").Err()
		}
	}
	do := func(args ...any) func(context.Context, *redis.Client) error {
		return func(ctx context.Context, c *redis.Client) error { return c.Do(ctx, args...).Err() }
	}
	tx := func(cmds ...[]any) func(context.Context, *redis.Client) error {
		return func(ctx context.Context, c *redis.Client) error {
			_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
				for _, args := range cmds {
					p.Do(ctx, args...)
				}
				return nil
			})
			return err
		}
	}
	tests := []struct {
		name string
		run  func(context.Context, *redis.Client) error
		want string // part of the error; blank for none
	}{
		{"one key", do("SET", "{a}1", "v"), ""},
		{"no key", do("PING"), ""},
		{"publish", do("PUBLISH", "{b}ch", "{a}text"), ""},
		{"MGET, one slot", do("MGET", "{a}1", "{a}2"), ""},
		{"MGET", do("MGET", "{a}1", "{b}2"), crossSlot},
		{"DEL", do("DEL", "{a}1", "{b}2"), crossSlot},
		{"UNLINK", do("UNLINK", "{a}1", "{b}2"), crossSlot},
		{"EXISTS", do("EXISTS", "{a}1", "{b}2"), crossSlot},
		{"MSET, values look like keys", do("MSET", "{a}1", "{b}v", "{a}2", "{c}v"), ""},
		{"MSET", do("MSET", "{a}1", "v", "{b}2", "v"), crossSlot},
		{"RENAME", do("RENAME", "{a}1", "{b}2"), crossSlot},
		{"SMOVE", do("SMOVE", "{a}1", "{b}2", "m"), crossSlot},
		{"ZUNIONSTORE, one slot", do("ZUNIONSTORE", "{a}d", "2", "{a}1", "{a}2", "WEIGHTS", "1", "2"), ""},
		{"ZUNIONSTORE, destination", do("ZUNIONSTORE", "{b}d", "1", "{a}1"), crossSlot},
		{"ZUNIONSTORE, sources", do("ZUNIONSTORE", "{a}d", "2", "{a}1", "{b}2"), crossSlot},
		{"script, one slot", eval(`redis.call('SET', KEYS[2], ARGV[1]) return redis.call('TIME')`, "{a}1", "{a}2"), ""},
		{"script, declared keys", eval(`return 1`, "{a}1", "{b}2"), crossSlot},
		{"script, undeclared key of the slot", eval(`return redis.call('EXISTS', '{a}2')`, "{a}1"), ""},
		{"script, undeclared key elsewhere", eval(`return redis.call('EXISTS', '{b}2')`, "{a}1"), inScript},
		{"script, undeclared key under pcall", eval(`local r = redis.pcall('EXISTS', '{b}2') return redis.error_reply(r.err)`, "{a}1"), inScript},
		{"script, no declared key", eval(`return redis.call('EXISTS', '{a}2')`), inScript},
		{"script, argument is no key", eval(`return redis.call('SET', KEYS[1], ARGV[1])`, "{a}1"), ""},
		{"script publishes", eval(`return redis.call('PUBLISH', '{b}ch', 'x')`, "{a}1"), ""},
		{"script, MGET elsewhere", eval(`return redis.call('MGET', '{a}1', '{b}2')`, "{a}1"), inScript},
		{"transaction, one slot", tx([]any{"SET", "{a}1", "v"}, []any{"GET", "{a}2"}), ""},
		{"transaction", tx([]any{"SET", "{a}1", "v"}, []any{"SET", "{b}2", "v"}), crossSlot},
		{"command in a transaction", tx([]any{"MGET", "{a}1", "{b}2"}), "EXECABORT"},
		{"script in a transaction", tx([]any{"EVAL", `return redis.call('SET', KEYS[1], 1)`, "1", "{a}1"}), ""},
		{"bad script in a transaction", tx([]any{"EVAL", `return redis.call('SET', '{b}2', 1)`, "1", "{a}1"}), inScript},
		{"unknown command", do("GEORADIUS", "{a}1"), "where are the keys"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, c := redistest.Mini(t)
			redistest.CrossSlot(m, nil)
			err := tt.run(t.Context(), c)
			if errors.Is(err, redis.Nil) {
				err = nil
			}
			if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			// A refused transaction leaves nothing, not even itself.
			if tt.want != "" && len(m.Keys()) != 0 {
				t.Errorf("keys %q after a refusal", m.Keys())
			}
			if err := c.Set(t.Context(), "{c}after", "v", 0).Err(); err != nil || m.Exists("{c}after") == false {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// The hook of the caller runs as well, scripts at once do not mix up.
func TestCrossSlotTogether(t *testing.T) {
	m, c := redistest.Mini(t)
	var mu sync.Mutex
	sets := 0
	redistest.CrossSlot(m, func(_ *server.Peer, cmd string, _ ...string) bool {
		mu.Lock()
		defer mu.Unlock()
		if cmd == "SET" {
			sets++
		}
		return false
	})
	const workers, rounds = 8, 20
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range rounds {
				key := fmt.Sprintf("{%d}k", w)
				if err := c.Eval(t.Context(), `return redis.call('SET', KEYS[1], 1)`, []string{key}).Err(); err != nil {
					t.Error(err)
				}
				if err := c.Get(t.Context(), key).Err(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if want := workers * rounds; sets != want {
		t.Errorf("the hook saw %d SET, want %d", sets, want)
	}
}
