package bench

import (
	"context"
	"errors"
	"sync"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/internal/sample"
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
	return sample.Token(n, now), nil
}

// saveSamples stores tokens from to to-1; see fill for very many.
func (g *ground) saveSamples(ctx context.Context, from, to int) error {
	return each(ctx, to-from, func(i int) error {
		t, err := g.sampleToken(from + i)
		if err == nil {
			_, err = g.store.Save(ctx, t)
		}
		return err
	})
}

// newRefresher is one in this process, with its subscription standing.
func (g *ground) newRefresher(ctx context.Context, cfg refresh.Config) (*refresh.Refresher, error) {
	if cfg.Providers == nil {
		cfg.Providers = []bellwether.Provider{zoho.New(zoho.EU)}
	}
	return sample.Refresher(ctx, g.store, cfg)
}

// each calls f for 0 to n-1 from many goroutines; the first error ends it.
func each(ctx context.Context, n int, f func(i int) error) error {
	return eachOf(ctx, loaders, n, f)
}

// eachOf is each with a number of goroutines.
func eachOf(ctx context.Context, workers, n int, f func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, workers) {
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
