package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/zoho"
	"github.com/bellwether-go/bellwether/refresh"
)

// Scenarios without replicas run in this process, over tokens that look like a Zoho
// customer's.

// loaders is how many goroutines load a server.
const loaders = 64

// sampleToken is token n: secrets of the usual lengths, an hour to live.
func (g *ground) sampleToken(n int) (bellwether.Token, error) {
	now, ok := g.store.Now()
	if !ok {
		return bellwether.Token{}, errors.New("bench: Redis's clock is not known")
	}
	secret := func(kind string) bellwether.Secret {
		return bellwether.NewSecret(fmt.Sprintf("1000.%s%030d.%032d", kind, n, n))
	}
	return bellwether.Token{
		ID:           sampleID(n),
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

func sampleID(n int) string { return fmt.Sprintf("token-%08d", n) }

// saveSamples stores tokens from to to-1.
func (g *ground) saveSamples(ctx context.Context, from, to int) error {
	return each(ctx, to-from, func(i int) error {
		t, err := g.sampleToken(from + i)
		if err == nil {
			_, err = g.store.Save(ctx, t)
		}
		return err
	})
}

// newRefresher is one in this process. It is returned with its subscription standing:
// what was read before that would be read again.
func (g *ground) newRefresher(ctx context.Context, cfg refresh.Config) (*refresh.Refresher, error) {
	if cfg.Providers == nil {
		cfg.Providers = []bellwether.Provider{zoho.New(zoho.EU)}
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	subscribed := make(chan struct{}, 1)
	cfg.Observer = func(rep refresh.Report) {
		if rep.Event == refresh.EventResynced {
			select {
			case subscribed <- struct{}{}:
			default:
			}
		}
	}
	r, err := refresh.New(g.store, cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-subscribed:
		return r, nil
	case <-ctx.Done():
		_ = r.Close()
		return nil, ended(ctx)
	}
}

// each calls f for 0 to n-1 from many goroutines; the first error ends it.
func each(ctx context.Context, n int, f func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, loaders) {
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
