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

// These bound the removal of what a run has written; the latter is for each token of fill.
const (
	cleanupPatience = 10 * time.Second
	cleanupEach     = 100 * time.Microsecond
)

// A ground is where fleets run: a namespace of its own in some Redis, and a keyset.
type ground struct {
	url       string
	namespace string
	keyset    []byte
	mini      *embedded.Server // nil: the Redis is somebody's
	client    redis.UniversalClient
	store     *redisstore.Store
	// disposable: the servers end with the scenario, and what was written with them.
	disposable bool
	saved      int // tokens that fill has stored
}

// openGround connects to the Redis of url, or starts one for a blank url.
func openGround(ctx context.Context, url string) (*ground, error) {
	g := &ground{url: url, namespace: "bench-" + strings.ToLower(rand.Text()[:12])}
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
	dir, err := os.MkdirTemp("", "bellwether-bench-")
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
		if g.mini == nil && !g.disposable {
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupPatience+time.Duration(g.saved)*cleanupEach)
	defer cancel()
	pattern := "*" + g.namespace + ":*"
	var err error
	if c, ok := g.client.(*redis.ClusterClient); ok {
		err = c.ForEachMaster(ctx, func(ctx context.Context, m *redis.Client) error { return unlink(ctx, m, pattern) })
	} else {
		err = unlink(ctx, g.client, pattern)
	}
	if err != nil {
		return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "bench", Detail: "the keys that were written could not be removed", Err: err,
			Hint: "delete the keys that match " + pattern}
	}
	return nil
}

// unlink deletes what matches on one server, key by key: they lie in many slots.
func unlink(ctx context.Context, c redis.Cmdable, pattern string) error {
	return scan(ctx, c, pattern, func(keys []string) error {
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range keys {
				p.Unlink(ctx, key)
			}
			return nil
		})
		return err
	})
}

// scan hands the keys of one server that match to f, some thousand at a time; a key may
// come twice.
func scan(ctx context.Context, c redis.Cmdable, pattern string, f func(keys []string) error) error {
	for cursor := uint64(0); ; {
		keys, next, err := c.Scan(ctx, cursor, pattern, 1000).Result()
		if err == nil && len(keys) > 0 {
			err = f(keys)
		}
		if err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}

// plainKey is the name of a key outside of the store's layout, for Cluster in a slot
// of its own with all names that it is the head of.
func (g *ground) plainKey(name string) string { return "{" + g.namespace + ":" + name + "}" }

// lockKey is where redisstore keeps the lock of a row; see docs/redis-keys.md.
func (g *ground) lockKey(row string) string { return g.rowKey("l", row) }

// rowKey is the key of one kind of a row: "t" is the row itself.
func (g *ground) rowKey(kind, row string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(row))
	return fmt.Sprintf("bw1:%s:{%04x}:%s:%s", g.namespace, h.Sum32()%1024, kind, row)
}

// seed stores token n as a source of this kind expects it, and returns where. It has
// expired unless it is to be alive.
func (g *ground) seed(ctx context.Context, kind Source, n int, t bellwether.Token, alive bool) (row string, err error) {
	switch kind {
	case SourceBellwether, SourceHMGet:
		if !alive {
			t.AccessToken, t.IssuedAt, t.ExpiresAt = bellwether.Secret{}, time.Time{}, time.Time{}
		}
		saved, err := g.store.Save(ctx, t)
		return saved.ID, err
	case SourceBare:
		row = g.plainKey("row")
		return row, g.client.HSet(ctx, row, "gen", "1", "at", "expired", "rt", t.RefreshToken.Reveal()).Err()
	default:
		row = g.plainKey(fmt.Sprintf("token-%s-%d", kind, n))
		o := plainToken(t)
		if !alive {
			o.Expiry = time.Now().Add(-time.Minute)
		}
		return row, g.setPlain(ctx, row, o)
	}
}

// setPlain writes the JSON of an oauth2.Token, as x/oauth2's users keep it.
func (g *ground) setPlain(ctx context.Context, key string, t *oauth2.Token) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return g.client.Set(ctx, key, b, 0).Err()
}

// replace stores the token of a new grant over a row.
func (g *ground) replace(ctx context.Context, kind Source, row string, t bellwether.Token) error {
	if kind == SourceBellwether {
		t.ID = row
		_, err := g.store.Save(ctx, t)
		return err
	}
	return g.setPlain(ctx, row, plainToken(t))
}

// refreshToken is that of a row.
func (g *ground) refreshToken(ctx context.Context, kind Source, row string) (bellwether.Secret, error) {
	if kind == SourceBellwether {
		t, err := g.store.FindByID(ctx, row)
		return t.RefreshToken, err
	}
	t, err := g.plain(ctx, row)
	if err != nil {
		return bellwether.Secret{}, err
	}
	return bellwether.NewSecret(t.RefreshToken), nil
}

// plainToken is what x/oauth2 keeps of a token.
func plainToken(t bellwether.Token) *oauth2.Token {
	return &oauth2.Token{AccessToken: t.AccessToken.Reveal(), RefreshToken: t.RefreshToken.Reveal(), TokenType: t.TokenType, Expiry: t.ExpiresAt}
}

// plain reads what setPlain wrote.
func (g *ground) plain(ctx context.Context, key string) (*oauth2.Token, error) {
	b, err := g.client.Get(ctx, key).Bytes()
	if err != nil {
		return nil, err
	}
	t := new(oauth2.Token)
	return t, json.Unmarshal(b, t)
}

// expirePlain ends a token that is not Bellwether's. The bare probe takes any for ended.
func (g *ground) expirePlain(ctx context.Context, kind Source, key string) error {
	if kind == SourceBare {
		return nil
	}
	t, err := g.plain(ctx, key)
	if err != nil {
		return err
	}
	t.Expiry = time.Now().Add(-time.Minute)
	return g.setPlain(ctx, key, t)
}

// expire gives the row an access token that lives for life on Redis's clock; one of
// no life has ended.
func (g *ground) expire(ctx context.Context, row string, life time.Duration) (ends time.Time, err error) {
	now, ok := g.store.Now()
	if !ok {
		return time.Time{}, fmt.Errorf("bench: Redis's clock is not known")
	}
	ends = now.Add(life)
	issued := now
	if life <= 0 {
		issued = ends.Add(-time.Second)
	}
	_, err = g.store.Save(ctx, bellwether.Token{
		ID:          row,
		AccessToken: bellwether.NewSecret("short-" + rand.Text()),
		IssuedAt:    issued,
		ExpiresAt:   ends,
	})
	return ends, err
}

// oauth2Early is how long before its end x/oauth2 takes a token for ended.
const oauth2Early = 10 * time.Second

// shorten lets a token end after left, on Redis's clock, at the end of a life that is
// lives times as long.
func (g *ground) shorten(ctx context.Context, kind Source, row string, t bellwether.Token, left time.Duration, lives float64) error {
	now, ok := g.store.Now()
	if !ok {
		return fmt.Errorf("bench: Redis's clock is not known")
	}
	ends := now.Add(left)
	if kind != SourceBellwether {
		return g.setPlain(ctx, row, &oauth2.Token{AccessToken: t.AccessToken.Reveal(), RefreshToken: t.RefreshToken.Reveal(), TokenType: t.TokenType, Expiry: ends})
	}
	_, err := g.store.Save(ctx, bellwether.Token{
		ID:          row,
		AccessToken: t.AccessToken,
		IssuedAt:    ends.Add(-time.Duration(lives * float64(left))),
		ExpiresAt:   ends,
	})
	return err
}

// accessTokens are those stored at present.
func (g *ground) accessTokens(ctx context.Context, kind Source, rows []string) ([]bellwether.Secret, error) {
	var tokens []bellwether.Secret
	for _, row := range rows {
		if kind == SourceBellwether {
			s, err := g.store.Peek(ctx, row, "")
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, s.AccessToken)
			continue
		}
		t, err := g.plain(ctx, row)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, bellwether.NewSecret(t.AccessToken))
	}
	return tokens, nil
}

// untilPast is how long it is until an instant of Redis's clock is over.
func (g *ground) untilPast(t time.Time) time.Duration {
	now, ok := g.store.Now()
	if !ok {
		now = time.Now()
	}
	return t.Sub(now)
}
