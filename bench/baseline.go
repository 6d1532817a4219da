package bench

import (
	"context"
	"errors"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/internal/sharedrow"
	"github.com/bellwether-go/bellwether/redisstore"
)

// A baselineReplica gets tokens as teams build it by hand on x/oauth2, with explicit
// auth style: detecting the style would send a refresh token twice. Each replica keeps
// a row's token behind a mutex, as oauth2.ReuseTokenSource does, but lets go of a
// caller that gives up. What it does when that token has ended is its strategy.
type baselineReplica struct {
	client redis.UniversalClient
	rows   []baselineRow
	renew  renewal
}

// A renewal gets another token for a row whose token has ended.
type renewal func(context.Context, *baselineRow) (*oauth2.Token, error)

// A baselineRow is what a replica keeps of a token.
type baselineRow struct {
	sharedrow.Row
	mutex chan struct{} // holds one value while locked
	last  *oauth2.Token
}

func openBaseline(renew renewal) opener {
	return func(_ context.Context, s setup, m *meter) (source, error) {
		client, err := redisstore.Dial(s.Redis)
		if err != nil {
			return nil, err
		}
		client.AddHook(m)
		r := &baselineReplica{client: client, rows: make([]baselineRow, len(s.Rows)), renew: renew}
		http := newHTTPClient()
		for i, key := range s.Rows {
			r.rows[i].mutex = make(chan struct{}, 1)
			r.rows[i].Row = sharedrow.Row{
				Client: client,
				Key:    key,
				Conf: oauth2.Config{
					ClientID:     s.ClientID,
					ClientSecret: s.Secret,
					Endpoint:     oauth2.Endpoint{TokenURL: s.Provider.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
				},
				HTTP:    http,
				Calling: m.calling,
				Saving:  m.committing,
			}
		}
		return r, nil
	}
}

func (r *baselineReplica) close() { _ = r.client.Close() }

// warm reads every token as it stands, as a replica does when it starts.
func (r *baselineReplica) warm(ctx context.Context) error {
	for i := range r.rows {
		t, err := r.rows[i].Load(ctx)
		if err != nil {
			return err
		}
		r.rows[i].last = t
	}
	return nil
}

func (r *baselineReplica) token(ctx context.Context, i int) (bellwether.Secret, error) {
	row := &r.rows[i]
	select {
	case row.mutex <- struct{}{}:
		defer func() { <-row.mutex }()
	case <-ctx.Done():
		return bellwether.Secret{}, ctx.Err()
	}
	if !row.last.Valid() {
		t, err := r.renew(ctx, row)
		if err != nil {
			return bellwether.Secret{}, err
		}
		row.last = t
	}
	return bellwether.NewSecret(row.last.AccessToken), nil
}

// renewEach shares nothing: each replica refreshes with the refresh token that it
// started with, or got last. It never looks at the store again.
func renewEach(ctx context.Context, row *baselineRow) (*oauth2.Token, error) {
	last := row.last
	if last == nil {
		t, err := row.Load(ctx)
		if err != nil || t.Valid() {
			return t, err
		}
		last = t
	}
	return row.Call(ctx, last)
}

// renewShared reads the store that all replicas share before it refreshes, writes it
// afterwards, and when the provider refuses its refresh token looks once more whether
// another replica was faster. There is no lock.
func renewShared(ctx context.Context, row *baselineRow) (*oauth2.Token, error) { return row.Renew(ctx) }

// The settings of locks as they stand in redislock's own examples and in tutorials. No
// such lock is renewed: the library has no renewal of its own.
const (
	baselineLockTTL   = 2 * time.Second
	baselineLockLimit = 5 * time.Second
	baselinePoll      = 50 * time.Millisecond
)

// renewLocked lets every waiting replica obtain the lock in turn, each to find that the
// first has done the work.
func renewLocked(retry func() redislock.RetryStrategy) renewal {
	return func(ctx context.Context, row *baselineRow) (*oauth2.Token, error) {
		limited, cancel := context.WithTimeout(ctx, baselineLockLimit)
		defer cancel()
		lock, err := redislock.Obtain(limited, row.Client, baselineLockKey(row.Key), baselineLockTTL, &redislock.Options{RetryStrategy: retry()})
		if err != nil {
			return nil, err
		}
		defer func() { _ = lock.Release(context.WithoutCancel(ctx)) }() // it may have ended
		return row.RenewOnce(ctx)
	}
}

// renewPolling tries the lock once; while another replica holds it, it polls the store.
func renewPolling(ctx context.Context, row *baselineRow) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, baselineLockLimit)
	defer cancel()
	for {
		t, err := row.Load(ctx)
		if err != nil || t.Valid() {
			return t, err
		}
		lock, err := redislock.Obtain(ctx, row.Client, baselineLockKey(row.Key), baselineLockTTL, nil)
		if err == nil {
			defer func() { _ = lock.Release(context.WithoutCancel(ctx)) }() // it may have ended
			return row.RenewOnce(ctx)
		}
		if !errors.Is(err, redislock.ErrNotObtained) {
			return nil, err
		}
		if err := sleep(ctx, baselinePoll); err != nil {
			return nil, err
		}
	}
}

// baselineLockKey lies in the slot of the token's key, which is a hash tag.
func baselineLockKey(key string) string { return key + ":lock" }
