package bench

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
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

// A recorder keeps the arguments of the HMGETs that pass.
type recorder struct{ sent [][]any }

var _ redis.Hook = (*recorder)(nil)

// DialHook implements redis.Hook.
func (*recorder) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (*recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook implements redis.Hook.
func (r *recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "hmget" {
			r.sent = append(r.sent, cmd.Args())
		}
		return next(ctx, cmd)
	}
}

// recordReads returns the command that a read of each row sends.
func recordReads(ctx context.Context, url, namespace string, keyset []byte, rows []string) ([][]any, error) {
	rec := &recorder{}
	client, store, err := openStore(ctx, url, namespace, keyset, rec)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	defer store.Close()
	rec.sent = nil
	for _, row := range rows {
		if _, err := store.Peek(ctx, row, ""); err != nil {
			return nil, err
		}
	}
	if len(rec.sent) != len(rows) {
		return nil, fmt.Errorf("bench: %d reads sent %d HMGETs", len(rows), len(rec.sent))
	}
	return rec.sent, nil
}
