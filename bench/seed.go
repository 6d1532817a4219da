package bench

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
)

const (
	savers    = 512 // saves that are under way at once while a store is filled
	leastTold = 10 * savers
)

// fillSamples stores sample tokens 0 to b.Tokens-1.
func (b *bout) fillSamples(ctx context.Context, g *ground) error {
	return g.fill(ctx, b.Tokens, g.sampleToken, b.tellSaved)
}

// tellSaved tells how far a store is filled.
func (b *bout) tellSaved(saved int) {
	b.say("%s: %d of %d tokens are saved", b.scenario.Name, saved, b.Tokens)
}

// fill stores tokens 0 to n-1, each by Store.Save as any other, but with the commands of
// many saves in one pipeline: the system calls take half of the time otherwise. It tells
// say about each tenth of very many.
func (g *ground) fill(ctx context.Context, n int, token func(i int) (bellwether.Token, error), say func(saved int)) (err error) {
	p, err := openPipeliner(g.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	client, store, err := openStore(ctx, g.url, g.namespace, g.keyset, p)
	if err != nil {
		return err
	}
	defer client.Close()
	defer store.Close()
	for from := 0; from < n; {
		to := min(from+max(n/10, leastTold), n)
		err := eachOf(ctx, savers, to-from, func(i int) error {
			t, err := token(from + i)
			if err == nil {
				_, err = store.Save(ctx, t)
			}
			return err
		})
		if err != nil {
			return err
		}
		g.saved = max(g.saved, to)
		from = to
		if n > leastTold {
			say(to)
		}
	}
	return nil
}

// A pipeliner is a hook that sends the commands of a client through pipelines of another
// one.
type pipeliner struct {
	client redis.UniversalClient
	auto   *redis.AutoPipeliner
}

var _ redis.Hook = (*pipeliner)(nil)

func openPipeliner(url string) (*pipeliner, error) {
	client, err := redisstore.Dial(url)
	if err != nil {
		return nil, err
	}
	c, ok := client.(interface {
		AsyncAutoPipeline() (*redis.AutoPipeliner, error)
	})
	if !ok {
		return nil, errors.Join(errors.New("bench: a Redis client without pipelines of its own"), client.Close())
	}
	auto, err := c.AsyncAutoPipeline()
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return &pipeliner{client, auto}, nil
}

func (p *pipeliner) close() error { return errors.Join(p.auto.Close(), p.client.Close()) }

// DialHook implements redis.Hook.
func (*pipeliner) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (p *pipeliner) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return p.auto.Submit(ctx, cmd).Wait() }
}

// ProcessPipelineHook implements redis.Hook. A transaction stays one.
func (p *pipeliner) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "multi" {
			return next(ctx, cmds)
		}
		sent := make([]redis.AutoFuture, len(cmds))
		for i, cmd := range cmds {
			sent[i] = p.auto.Submit(ctx, cmd)
		}
		var first error
		for _, s := range sent {
			if err := s.Wait(); first == nil {
				first = err
			}
		}
		return first
	}
}
