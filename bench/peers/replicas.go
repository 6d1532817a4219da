package main

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/caddyserver/certmagic"
	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/internal/sample"
	"github.com/bellwether-go/bellwether/bench/internal/sharedrow"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
)

// A replica stands for one process of a fleet: its own cache, its own connections.
type replica struct {
	token func(context.Context) (string, error)
	close func()
}

// An opener stores the ended token of an expiry and returns what opens one replica, and
// what ends all that replicas have shared.
type opener func(context.Context, *expiry) (openOne func(context.Context) (replica, error), end func(), err error)

var openers = []struct {
	name string
	open opener
	ours bool
}{
	{"bellwether", openBellwether, true},
	{"certmagic FileStorage lock", openCertmagic, false},
	{"x/oauth2 ReuseTokenSource", openPeer(func(ctx context.Context, renew renewFunc) func(context.Context) (string, error) {
		return oauth2Token(newOAuth2Cache(ctx, renew))
	}), false},
	{"google auth cached provider", openPeer(func(_ context.Context, renew renewFunc) func(context.Context) (string, error) {
		c := newGoogleCache(renew)
		return func(ctx context.Context) (string, error) {
			t, err := c.Token(ctx)
			if err != nil {
				return "", err
			}
			return t.Value, nil
		}
	}), false},
	{"aws CredentialsCache", openPeer(func(_ context.Context, renew renewFunc) func(context.Context) (string, error) {
		c := newAWSCache(renew)
		return func(ctx context.Context) (string, error) {
			got, err := c.Retrieve(ctx)
			return got.SecretAccessKey, err
		}
	}), false},
	{"sturdyc GetOrFetch", openPeer(func(_ context.Context, renew renewFunc) func(context.Context) (string, error) {
		c := newSturdyCache()
		return func(ctx context.Context) (string, error) {
			t, err := c.GetOrFetch(ctx, "token", renew)
			if err != nil {
				return "", err
			}
			return t.AccessToken, nil
		}
	}), false},
}

// openBellwether opens a Refresher in each replica, with its defaults.
func openBellwether(ctx context.Context, e *expiry) (func(context.Context) (replica, error), func(), error) {
	const namespace = "refresh"
	store, err := e.openStore(ctx, namespace)
	if err != nil {
		return nil, nil, err
	}
	defer store.Close()
	t := e.grant.Token
	t.IssuedAt, t.ExpiresAt = t.IssuedAt.Add(-2*time.Hour), t.IssuedAt.Add(-time.Hour)
	saved, err := store.Save(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) (replica, error) {
		store, err := e.openStore(ctx, namespace)
		if err != nil {
			return replica{}, err
		}
		r, err := sample.Refresher(ctx, store, refresh.Config{Providers: []bellwether.Provider{e.provider.Provider()}})
		if err != nil {
			_ = store.Close()
			return replica{}, err
		}
		return replica{
			token: func(ctx context.Context) (string, error) {
				a, err := r.Get(ctx, saved.ID, refresh.Want{})
				return a.Token.Reveal(), err
			},
			close: func() {
				_ = r.Close()
				_ = store.Close()
			},
		}, nil
	}, func() {}, nil
}

// openPeer opens replicas that keep a token in a cache and share a row in Redis. It is the
// same for all peers, so that they differ in their coordination alone.
func openPeer(cache func(context.Context, renewFunc) func(context.Context) (string, error)) opener {
	return func(ctx context.Context, e *expiry) (func(context.Context) (replica, error), func(), error) {
		if err := e.keep(ctx); err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) (replica, error) {
			row, end, err := e.openShared(ctx)
			if err != nil {
				return replica{}, err
			}
			return replica{token: cache(ctx, row.Renew), close: end}, nil
		}, func() {}, nil
	}
}

// openCertmagic opens replicas that refresh under the lock of a shared folder. Callers of
// a replica share one wait by a ReuseTokenSource, as those of certmagic do by its own
// cache.
func openCertmagic(ctx context.Context, e *expiry) (func(context.Context) (replica, error), func(), error) {
	dir, err := os.MkdirTemp("", "peers-")
	if err != nil {
		return nil, nil, err
	}
	openOne, _, err := openPeer(func(ctx context.Context, renew renewFunc) func(context.Context) (string, error) {
		return oauth2Token(newOAuth2Cache(ctx, underLock(&certmagic.FileStorage{Path: dir}, "token", renew)))
	})(ctx, e)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, nil, err
	}
	return openOne, func() { _ = os.RemoveAll(dir) }, nil
}

func oauth2Token(s oauth2.TokenSource) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		t, err := s.Token()
		if err != nil {
			return "", err
		}
		return t.AccessToken, nil
	}
}

// openShared connects one replica to the shared row.
func (e *expiry) openShared(ctx context.Context) (*sharedrow.Row, func(), error) {
	client, err := redisstore.Dial(e.srv.URL())
	if err != nil {
		return nil, nil, err
	}
	if err := client.Ping(ctx).Err(); err != nil {
		_ = client.Close()
		return nil, nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	row := &sharedrow.Row{
		Client: client,
		Key:    e.key,
		HTTP:   &http.Client{Transport: transport},
		Conf: oauth2.Config{
			ClientID:     e.grant.Token.ClientID,
			ClientSecret: e.grant.Token.ClientSecret.Reveal(),
			Endpoint:     oauth2.Endpoint{TokenURL: e.provider.TokenURL(), AuthStyle: oauth2.AuthStyleInParams},
		},
	}
	return row, func() {
		transport.CloseIdleConnections()
		_ = client.Close()
	}, nil
}
