package bench

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
)

// A baselineReplica gets tokens as teams build it by hand on x/oauth2, with explicit
// auth style: detecting the style would send a refresh token twice. Each replica keeps
// a row's token behind a mutex, as oauth2.ReuseTokenSource does, but lets go of a
// caller that gives up. What it does when that token has ended is its strategy.
type baselineReplica struct {
	conf   oauth2.Config
	http   *http.Client
	client redis.UniversalClient
	keys   []string
	meter  *meter
	rows   []baselineRow
	renew  func(ctx context.Context, r *baselineReplica, row int, last *oauth2.Token) (*oauth2.Token, error)
}

// A baselineRow is what a replica keeps of a token.
type baselineRow struct {
	mutex chan struct{} // holds one value while locked
	last  *oauth2.Token
}

func openBaseline(renew func(context.Context, *baselineReplica, int, *oauth2.Token) (*oauth2.Token, error)) opener {
	return func(_ context.Context, s setup, m *meter) (source, error) {
		client, err := redisstore.Dial(s.Redis)
		if err != nil {
			return nil, err
		}
		client.AddHook(m)
		r := &baselineReplica{
			conf: oauth2.Config{
				ClientID:     s.ClientID,
				ClientSecret: s.Secret,
				Endpoint:     oauth2.Endpoint{TokenURL: s.Provider.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
			},
			http:   newHTTPClient(),
			client: client,
			keys:   s.Rows,
			meter:  m,
			rows:   make([]baselineRow, len(s.Rows)),
			renew:  renew,
		}
		for i := range r.rows {
			r.rows[i].mutex = make(chan struct{}, 1)
		}
		return r, nil
	}
}

func (r *baselineReplica) close() { _ = r.client.Close() }

// warm reads every token as it stands, as a replica does when it starts.
func (r *baselineReplica) warm(ctx context.Context) error {
	for i := range r.rows {
		t, err := r.load(ctx, i)
		if err != nil {
			return err
		}
		r.rows[i].last = t
	}
	return nil
}

func (r *baselineReplica) token(ctx context.Context, row int) (bellwether.Secret, error) {
	kept := &r.rows[row]
	select {
	case kept.mutex <- struct{}{}:
		defer func() { <-kept.mutex }()
	case <-ctx.Done():
		return bellwether.Secret{}, ctx.Err()
	}
	if !kept.last.Valid() {
		t, err := r.renew(ctx, r, row, kept.last)
		if err != nil {
			return bellwether.Secret{}, err
		}
		kept.last = t
	}
	return bellwether.NewSecret(kept.last.AccessToken), nil
}

// call is the token request.
func (r *baselineReplica) call(ctx context.Context, t *oauth2.Token) (*oauth2.Token, error) {
	r.meter.calling()
	return r.conf.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, r.http), t).Token()
}

func (r *baselineReplica) load(ctx context.Context, row int) (*oauth2.Token, error) {
	b, err := r.client.Get(ctx, r.keys[row]).Bytes()
	if err != nil {
		return nil, err
	}
	t := new(oauth2.Token)
	return t, json.Unmarshal(b, t)
}

func (r *baselineReplica) save(ctx context.Context, row int, t *oauth2.Token) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	r.meter.committing(time.Now())
	return r.client.Set(ctx, r.keys[row], b, 0).Err()
}

// renewEach shares nothing: each replica refreshes with the refresh token that it
// started with, or got last. It never looks at the store again.
func renewEach(ctx context.Context, r *baselineReplica, row int, last *oauth2.Token) (*oauth2.Token, error) {
	if last == nil {
		t, err := r.load(ctx, row)
		if err != nil || t.Valid() {
			return t, err
		}
		last = t
	}
	return r.call(ctx, last)
}

// renewShared reads the store that all replicas share before it refreshes, writes it
// afterwards, and when the provider refuses its refresh token looks once more whether
// another replica was faster. There is no lock.
func renewShared(ctx context.Context, r *baselineReplica, row int, _ *oauth2.Token) (*oauth2.Token, error) {
	t, err := r.load(ctx, row)
	if err != nil || t.Valid() {
		return t, err
	}
	fresh, err := r.call(ctx, t)
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "invalid_grant" {
		if t, err := r.load(ctx, row); err == nil && t.Valid() {
			return t, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return fresh, r.save(ctx, row, fresh)
}

// The settings of locks as they stand in redislock's own examples and in tutorials. No
// such lock is renewed: the library has no renewal of its own.
const (
	baselineLockTTL   = 2 * time.Second
	baselineLockLimit = 5 * time.Second
	baselinePoll      = 50 * time.Millisecond
)

// renewLocked lets every waiting replica obtain the lock in turn, each to find that the
// first has done the work.
func renewLocked(retry func() redislock.RetryStrategy) func(context.Context, *baselineReplica, int, *oauth2.Token) (*oauth2.Token, error) {
	return func(ctx context.Context, r *baselineReplica, row int, _ *oauth2.Token) (*oauth2.Token, error) {
		limited, cancel := context.WithTimeout(ctx, baselineLockLimit)
		defer cancel()
		lock, err := redislock.Obtain(limited, r.client, baselineLockKey(r.keys[row]), baselineLockTTL, &redislock.Options{RetryStrategy: retry()})
		if err != nil {
			return nil, err
		}
		defer func() { _ = lock.Release(context.WithoutCancel(ctx)) }() // it may have ended
		return r.underLock(ctx, row)
	}
}

// renewPolling tries the lock once; while another replica holds it, it polls the store.
func renewPolling(ctx context.Context, r *baselineReplica, row int, _ *oauth2.Token) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, baselineLockLimit)
	defer cancel()
	for {
		t, err := r.load(ctx, row)
		if err != nil || t.Valid() {
			return t, err
		}
		lock, err := redislock.Obtain(ctx, r.client, baselineLockKey(r.keys[row]), baselineLockTTL, nil)
		if err == nil {
			defer func() { _ = lock.Release(context.WithoutCancel(ctx)) }() // it may have ended
			return r.underLock(ctx, row)
		}
		if !errors.Is(err, redislock.ErrNotObtained) {
			return nil, err
		}
		if err := sleep(ctx, baselinePoll); err != nil {
			return nil, err
		}
	}
}

// underLock reads again and refreshes when that is still needed.
func (r *baselineReplica) underLock(ctx context.Context, row int) (*oauth2.Token, error) {
	t, err := r.load(ctx, row)
	if err != nil || t.Valid() {
		return t, err
	}
	fresh, err := r.call(ctx, t)
	if err != nil {
		return nil, err
	}
	return fresh, r.save(ctx, row, fresh)
}

// baselineLockKey lies in the slot of the token's key, which is a hash tag.
func baselineLockKey(key string) string { return key + ":lock" }
