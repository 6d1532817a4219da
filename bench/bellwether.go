package bench

import (
	"context"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

// A bellwetherReplica is a replica's Refresher over its Redis store.
type bellwetherReplica struct {
	client    redis.UniversalClient
	store     *redisstore.Store
	refresher *refresh.Refresher
	cfg       refresh.Config // of it
	meter     *meter
	rows      []string
	alive     bool
}

func openBellwether(ctx context.Context, s setup, m *meter) (source, error) {
	client, store, err := openStore(ctx, s.Redis, s.Namespace, s.Keyset, m)
	if err != nil {
		return nil, err
	}
	r := &bellwetherReplica{client: client, store: store, rows: s.Rows, alive: s.Alive, meter: m}
	provider, err := s.Provider.provider()
	if err != nil {
		r.close()
		return nil, err
	}
	r.cfg = refresh.Config{
		Providers:    []bellwether.Provider{provider},
		CallTimeout:  s.Times.CallTimeout,
		CommitBudget: s.Times.CommitBudget,
		LockTTL:      s.Times.LockTTL,
		MaxHold:      s.Times.MaxHold,
		CooldownBase: s.Times.CooldownBase,
		CooldownCap:  s.Times.CooldownCap,
		L1Size:       s.L1Size,
		MaxStale:     s.MaxStale,
		Logger:       slog.New(slog.DiscardHandler),
		Observer:     m.observe,
	}
	if r.refresher, err = refresh.New(store, r.cfg); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// openStore opens a namespace with a client of its own, which carries the hook.
func openStore(ctx context.Context, url, namespace string, keyset []byte, hook redis.Hook) (redis.UniversalClient, *redisstore.Store, error) {
	keys, err := seal.Parse(keyset)
	if err != nil {
		return nil, nil, err
	}
	client, err := redisstore.Dial(url)
	if err != nil {
		return nil, nil, err
	}
	if hook != nil {
		client.AddHook(hook)
	}
	store, err := redisstore.New(ctx, client, storeConfig(namespace, keys))
	if err != nil {
		_ = client.Close()
		return nil, nil, err
	}
	return client, store, nil
}

func storeConfig(namespace string, keys *seal.Keys) redisstore.Config {
	return redisstore.Config{
		Namespace: namespace,
		Sealer:    keys,
		Tombstone: time.Minute,
		Logger:    slog.New(slog.DiscardHandler),
	}
}

// warm reads every row. It waits until the replica holds the short-lived tokens that
// were saved: the message that tells of one may be on its way.
func (r *bellwetherReplica) warm(ctx context.Context) error {
	begun := time.Now()
	for _, row := range r.rows {
		for {
			a, err := r.refresher.Get(ctx, row, refresh.Want{})
			if err != nil {
				return err
			}
			if r.alive || time.Until(a.ExpiresAt) <= mostLife {
				break
			}
			if time.Since(begun) > shortLife {
				return errLate
			}
			if err := sleep(ctx, time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *bellwetherReplica) token(ctx context.Context, row int) (bellwether.Secret, error) {
	a, err := r.refresher.Get(ctx, r.rows[row], refresh.Want{})
	return a.Token, err
}

func (r *bellwetherReplica) close() {
	if r.refresher != nil {
		_ = r.refresher.Close()
	}
	_ = r.store.Close()
	_ = r.client.Close()
}
