package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/internal/sample"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// A ground is one redis-server, with a client for what is no part of a measurement.
type ground struct {
	srv    *redistest.Server
	client redis.UniversalClient
	keys   *seal.Keys
}

func openGround(ctx context.Context) (*ground, error) {
	keys, err := seal.New()
	if err != nil {
		return nil, err
	}
	srv, err := redistest.StartSingle(redistest.Config{})
	if err != nil {
		return nil, err
	}
	client, err := redisstore.Dial(srv.URL())
	if err != nil {
		srv.Close()
		return nil, err
	}
	g := &ground{srv: srv, client: client, keys: keys}
	if err := client.Ping(ctx).Err(); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *ground) close() {
	_ = g.client.Close()
	g.srv.Close()
}

// openStore opens a namespace with connections of its own.
func (g *ground) openStore(ctx context.Context, namespace string) (*redisstore.Store, error) {
	return redisstore.Open(ctx, g.srv.URL(), g.storeConfig(namespace))
}

func (g *ground) storeConfig(namespace string) redisstore.Config {
	return redisstore.Config{Namespace: namespace, Sealer: g.keys, Logger: slog.New(slog.DiscardHandler)}
}

// A stage is what one scenario stands on.
type stage struct {
	*ground
	options
	closers []func()
}

// atEnd has f called when the scenario is over, the last one first.
func (s *stage) atEnd(f func()) { s.closers = append(s.closers, f) }

func (s *stage) close() {
	for _, f := range slices.Backward(s.closers) {
		f()
	}
}

// livingToken is sample token n, issued on the store's clock.
func livingToken(store *redisstore.Store, n int) (bellwether.Token, error) {
	now, ok := store.Now()
	if !ok {
		return bellwether.Token{}, errors.New("the server's clock is not known")
	}
	return sample.Token(n, now), nil
}
