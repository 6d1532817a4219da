package redisstore

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/turns"
)

// A Store keeps tokens in one namespace of one Redis. It is safe for concurrent
// use by goroutines, processes and machines.
type Store struct {
	client    redis.UniversalClient
	pubsub    redis.UniversalClient // subscriptions, apart from commands; nil: use client
	cfg       Config
	keys      keys
	scripts   scripts
	clock     clock
	events    events
	turns     turns.Turns
	tails     tails
	presented presented

	owned  bool // Close closes the clients
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New returns a Store over a client that the caller keeps and closes. It checks
// the server and the namespace, and warns through cfg.Logger of client settings
// that make failures slow to notice; Open sets them right.
//
// Errors match bellwether.ErrInvalid, ErrMisconfigured (server too old, another
// index key, another layout) or ErrUnavailable.
func New(ctx context.Context, client redis.UniversalClient, cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	warnClient(cfg.Logger, client)
	return newStore(ctx, client, cfg)
}

func newStore(ctx context.Context, client redis.UniversalClient, cfg Config) (*Store, error) {
	s := &Store{client: client, cfg: cfg, keys: newKeys(cfg.Namespace, cfg.Sealer)}
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Close waits for index entries under way, ends the subscription and, after Open,
// closes the connections. Leases held keep their locks until those end.
func (s *Store) Close() error {
	s.cancel()
	s.wg.Wait()
	s.tails.close()
	if !s.owned {
		return nil
	}
	if s.pubsub != nil {
		_ = s.pubsub.Close()
	}
	return s.client.Close()
}

// Now implements refresh.Backend.
func (s *Store) Now() (time.Time, bool) { return s.clock.now() }

func (s *Store) subscriber() redis.UniversalClient {
	if s.pubsub != nil {
		return s.pubsub
	}
	return s.client
}

// check looks at the server and at the namespace before anything is written.
func (s *Store) check(ctx context.Context) error {
	shebang, version, err := serverKind(ctx, s.client)
	if err != nil {
		return fault(ctx, "open", "", err)
	}
	if version != "" {
		return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: "open", Detail: "this is Redis " + version,
			Hint: "use Redis 7.0 or newer, or Valkey 7.2 or newer"}
	}
	s.scripts = newScripts(shebang)
	if err := s.askTime(ctx); err != nil {
		return fault(ctx, "open", "", err)
	}
	gotLayout, gotIndex, err := s.meta(ctx)
	if err != nil {
		return fault(ctx, "open", "", err)
	}
	switch {
	case gotLayout != layout:
		return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: "open",
			Detail: "namespace " + s.cfg.Namespace + " has layout " + gotLayout, Hint: "use the release that wrote it, or another namespace"}
	case gotIndex != s.cfg.Sealer.Fingerprint():
		return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: "open",
			Detail: "namespace " + s.cfg.Namespace + " was written under another index key",
			Hint:   "use the keyset file of the other replicas (all share one), or another namespace"}
	}
	if shebang {
		s.warnServer(ctx)
	}
	return nil
}

// meta returns what the namespace was made with, and makes one that is not there. One
// that is there needs no write: it opens at maxmemory and on a replica.
func (s *Store) meta(ctx context.Context) (gotLayout, gotIndex string, err error) {
	key := s.keys.meta()
	have, err := s.client.HMGet(ctx, key, "layout", "index").Result()
	if err != nil {
		return "", "", err
	}
	if v := texts(have); v[0] != "" && v[1] != "" {
		return v[0], v[1], nil
	}
	pipe := s.client.Pipeline()
	pipe.HSetNX(ctx, key, "layout", layout)
	pipe.HSetNX(ctx, key, "index", s.cfg.Sealer.Fingerprint())
	made := pipe.HMGet(ctx, key, "layout", "index")
	if _, err := pipe.Exec(ctx); err != nil {
		return "", "", err
	}
	v := texts(made.Val())
	return v[0], v[1], nil
}

// warnServer looks at settings under which Redis loses tokens. A managed Redis
// may not tell; that is no error.
func (s *Store) warnServer(ctx context.Context) {
	conf, err := s.client.ConfigGet(ctx, "maxmemory-policy").Result()
	if err != nil {
		return
	}
	if p := conf["maxmemory-policy"]; p != "" && !strings.EqualFold(p, "noeviction") {
		s.cfg.Logger.Warn("bellwether: Redis may evict tokens; an evicted token is a lost sign-in",
			"maxmemory-policy", p, "hint", "CONFIG SET maxmemory-policy noeviction")
	}
}
