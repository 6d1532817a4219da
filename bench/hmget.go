package bench

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/internal/sample"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// An hmgetReplica sends the command that redisstore sends for a read, and looks at
// nothing: no unsealing, no cache.
type hmgetReplica struct {
	client redis.UniversalClient
	reads  [][]any
}

func openHMGet(ctx context.Context, s setup, m *meter) (source, error) {
	reads, err := recordReads(ctx, s.Redis, s.Namespace, s.Keyset, s.Rows)
	if err != nil {
		return nil, err
	}
	client, err := redisstore.Dial(s.Redis)
	if err != nil {
		return nil, err
	}
	client.AddHook(m)
	return &hmgetReplica{client, reads}, nil
}

func (r *hmgetReplica) warm(ctx context.Context) error { return r.client.Ping(ctx).Err() }

func (r *hmgetReplica) token(ctx context.Context, row int) (bellwether.Secret, error) {
	return bellwether.Secret{}, r.client.Do(ctx, r.reads[row]...).Err()
}

func (r *hmgetReplica) close() { _ = r.client.Close() }

// readOf returns what makes the command that a read of a sample sends. Very many need not
// be recorded one by one: they differ in the key alone.
func (g *ground) readOf(ctx context.Context) (func(id string) []any, error) {
	first := sample.ID(0)
	sent, err := recordReads(ctx, g.url, g.namespace, g.keyset, []string{first})
	if err != nil {
		return nil, err
	}
	if sent[0][1] != any(g.rowKey("t", first)) {
		return nil, fmt.Errorf("bench: a read of %s asks for key %v", first, sent[0][1])
	}
	return func(id string) []any {
		args := slices.Clone(sent[0])
		args[1] = g.rowKey("t", id)
		return args
	}, nil
}

// recordReads returns the command that a read of each row sends.
func recordReads(ctx context.Context, url, namespace string, keyset []byte, rows []string) ([][]any, error) {
	keys, err := seal.Parse(keyset)
	if err != nil {
		return nil, err
	}
	return sample.Reads(ctx, url, storeConfig(namespace, keys), rows)
}
