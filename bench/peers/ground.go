package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

var discard = slog.New(slog.DiscardHandler)

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
	return redisstore.Open(ctx, g.srv.URL(), redisstore.Config{Namespace: namespace, Sealer: g.keys, Logger: discard})
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

// livingToken is one as a customer of Zoho's has it, with secrets of the usual lengths,
// that lives for an hour on the store's clock.
func livingToken(store *redisstore.Store, n int) (bellwether.Token, error) {
	now, ok := store.Now()
	if !ok {
		return bellwether.Token{}, errors.New("the server's clock is not known")
	}
	secret := func(kind string) bellwether.Secret {
		return bellwether.NewSecret(fmt.Sprintf("1000.%s%030d.%032d", kind, n, n))
	}
	return bellwether.Token{
		ID:           fmt.Sprintf("token-%08d", n),
		Provider:     "zoho",
		AccountsURL:  "https://accounts.zoho.eu",
		UserName:     fmt.Sprintf("user%08d@example.com:60001234567", n),
		ClientID:     "1000.5Q8ZK2VHXW9CDA1FJ3LMN7PRSTUVWX",
		ClientSecret: bellwether.NewSecret("5f0d9c1b2a3e4d5c6b7a8990a1b2c3d4e5f6a7b8c9"),
		RefreshToken: secret("rr"),
		AccessToken:  secret("aa"),
		TokenType:    "Bearer",
		Scopes:       []string{"ZohoCRM.modules.ALL", "ZohoCRM.settings.READ"},
		APIDomain:    "https://www.zohoapis.eu",
		IssuedAt:     now,
		ExpiresAt:    now.Add(time.Hour),
	}, nil
}
