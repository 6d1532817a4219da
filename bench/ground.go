package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/embedded"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// cleanupPatience bounds the removal of what a run has written.
const cleanupPatience = 10 * time.Second

// A ground is where fleets run: a namespace of its own in some Redis, and a keyset.
type ground struct {
	url       string
	namespace string
	keyset    []byte
	mini      *embedded.Server // nil: the Redis is somebody's
	client    redis.UniversalClient
	store     *redisstore.Store
}

// openGround connects to the Redis of url, or starts one for a blank url.
func openGround(ctx context.Context, url string) (*ground, error) {
	g := &ground{url: url, namespace: "demo-" + strings.ToLower(rand.Text()[:12])}
	if err := g.open(ctx); err != nil {
		g.close(ctx)
		return nil, err
	}
	return g, nil
}

func (g *ground) open(ctx context.Context) error {
	var err error
	if g.keyset, err = newKeyset(); err != nil {
		return err
	}
	if g.url == "" {
		if g.mini, err = embedded.Start(); err != nil {
			return err
		}
		g.url = g.mini.URL()
	}
	g.client, g.store, err = openStore(ctx, g.url, g.namespace, g.keyset, nil)
	return err
}

// newKeyset returns the content of a fresh keyset file.
func newKeyset() ([]byte, error) {
	dir, err := os.MkdirTemp("", "bellwether-demo-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "keyset.json")
	if _, err := seal.Create(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// close removes what was written and ends what was started. The error says what stays
// behind.
func (g *ground) close(ctx context.Context) error {
	var err error
	if g.store != nil {
		_ = g.store.Close()
		if g.mini == nil {
			err = g.clean(ctx)
		}
		_ = g.client.Close()
	}
	if g.mini != nil {
		g.mini.Close()
	}
	return err
}

// clean deletes every key whose name holds the namespace, also when ctx has ended.
func (g *ground) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupPatience)
	defer cancel()
	pattern := "*" + g.namespace + ":*"
	var err error
	if c, ok := g.client.(*redis.ClusterClient); ok {
		err = c.ForEachMaster(ctx, func(ctx context.Context, m *redis.Client) error { return unlink(ctx, m, pattern) })
	} else {
		err = unlink(ctx, g.client, pattern)
	}
	if err != nil {
		return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "demo", Detail: "the demo's keys could not be removed", Err: err,
			Hint: "delete the keys that match " + pattern}
	}
	return nil
}

// unlink deletes what matches on one server, key by key: they lie in many slots.
func unlink(ctx context.Context, c redis.Cmdable, pattern string) error {
	keys := c.Scan(ctx, 0, pattern, 1000).Iterator()
	for keys.Next(ctx) {
		if err := c.Unlink(ctx, keys.Val()).Err(); err != nil {
			return err
		}
	}
	return keys.Err()
}

// plainKey is the name of a key outside of the store's layout, for Cluster in a slot
// of its own with all names that it is the head of.
func (g *ground) plainKey(name string) string { return "{" + g.namespace + ":" + name + "}" }

// lockKey is where redisstore keeps the lock of a row; see docs/redis-keys.md.
func (g *ground) lockKey(row string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(row))
	return fmt.Sprintf("bw1:%s:{%04x}:l:%s", g.namespace, h.Sum32()%1024, row)
}

// seed stores a token as a source of this kind expects it, expired, and returns where.
func (g *ground) seed(ctx context.Context, kind Source, t bellwether.Token) (row string, err error) {
	switch kind {
	case SourceShared:
		row = g.plainKey("token")
		return row, g.seedShared(ctx, row, t)
	case SourceBare:
		row = g.plainKey("row")
		return row, g.client.HSet(ctx, row, "gen", "1", "at", "expired", "rt", t.RefreshToken.Reveal()).Err()
	default:
		t.AccessToken, t.IssuedAt, t.ExpiresAt = bellwether.Secret{}, time.Time{}, time.Time{}
		saved, err := g.store.Save(ctx, t)
		return saved.ID, err
	}
}

// seedShared writes the JSON of an oauth2.Token, as x/oauth2's users keep it.
func (g *ground) seedShared(ctx context.Context, key string, t bellwether.Token) error {
	b, err := json.Marshal(oauth2.Token{
		AccessToken:  "expired",
		RefreshToken: t.RefreshToken.Reveal(),
		TokenType:    t.TokenType,
		Expiry:       time.Now().Add(-time.Minute),
	})
	if err != nil {
		return err
	}
	return g.client.Set(ctx, key, b, 0).Err()
}

// expire gives the row an access token that lives for life on Redis's clock.
func (g *ground) expire(ctx context.Context, row string, life time.Duration) (ends time.Time, err error) {
	now, ok := g.store.Now()
	if !ok {
		return time.Time{}, fmt.Errorf("bench: Redis's clock is not known")
	}
	ends = now.Add(life)
	_, err = g.store.Save(ctx, bellwether.Token{
		ID:          row,
		AccessToken: bellwether.NewSecret("short-" + rand.Text()),
		IssuedAt:    now,
		ExpiresAt:   ends,
	})
	return ends, err
}

// untilPast is how long it is until an instant of Redis's clock is over.
func (g *ground) untilPast(t time.Time) time.Duration {
	now, ok := g.store.Now()
	if !ok {
		now = time.Now()
	}
	return t.Sub(now)
}
