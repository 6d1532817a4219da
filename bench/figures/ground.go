package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// workers is how many goroutines load a server.
const workers = 64

var discard = slog.New(slog.DiscardHandler)

// A ground is one redis-server with a store on it and a client beside.
type ground struct {
	srv    *redistest.Server
	client redis.UniversalClient
	store  *redisstore.Store
}

func openGround(ctx context.Context, keys *seal.Keys, directives ...string) (*ground, error) {
	srv, err := redistest.StartSingle(redistest.Config{Directives: directives})
	if err != nil {
		return nil, err
	}
	g := &ground{srv: srv}
	if g.client, err = redisstore.Dial(srv.URL()); err == nil {
		g.store, err = openStore(ctx, srv.URL(), keys)
	}
	if err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func openStore(ctx context.Context, url string, keys *seal.Keys) (*redisstore.Store, error) {
	return redisstore.Open(ctx, url, redisstore.Config{Namespace: "figures", Sealer: keys, Logger: discard})
}

func (g *ground) close() {
	if g.store != nil {
		_ = g.store.Close()
	}
	if g.client != nil {
		_ = g.client.Close()
	}
	g.srv.Close()
}

// token is one as a customer of Zoho's has it, with secrets of the usual lengths, that
// lives for an hour.
func (g *ground) token(n int) (bellwether.Token, error) {
	now, ok := g.store.Now()
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

// save stores tokens 0 to n-1.
func (g *ground) save(ctx context.Context, n int) error {
	return each(ctx, n, func(i int) error {
		t, err := g.token(i)
		if err == nil {
			_, err = g.store.Save(ctx, t)
		}
		return err
	})
}

// each calls f for 0 to n-1 from many goroutines; the first error ends it.
func each(ctx context.Context, n int, f func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
