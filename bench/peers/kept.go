package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddyserver/certmagic"
	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"
)

// A keptToken is the row in Redis that the replicas of a peer share, as teams keep it
// who build on such a library: JSON in clear. It is the same for all peers, so that they
// differ in their coordination alone.
type keptToken struct {
	client redis.UniversalClient
	key    string
	conf   oauth2.Config // with an explicit auth style: looking for it sends a refresh token twice
	http   *http.Client
}

// renew returns the shared token while it lives. Otherwise it refreshes, stores the
// result, and when the provider refuses its refresh token looks once more whether another
// replica was faster.
func (k *keptToken) renew(ctx context.Context) (*oauth2.Token, error) {
	t, err := k.load(ctx)
	if err != nil || t.Valid() {
		return t, err
	}
	fresh, err := k.conf.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, k.http), t).Token()
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "invalid_grant" {
		if t, err := k.load(ctx); err == nil && t.Valid() {
			return t, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return fresh, k.save(ctx, fresh)
}

func (k *keptToken) load(ctx context.Context) (*oauth2.Token, error) {
	b, err := k.client.Get(ctx, k.key).Bytes()
	if err != nil {
		return nil, err
	}
	t := new(oauth2.Token)
	return t, json.Unmarshal(b, t)
}

func (k *keptToken) save(ctx context.Context, t *oauth2.Token) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return k.client.Set(ctx, k.key, b, 0).Err()
}

// underLock is renew under the lock of a certmagic storage, as
// https://pkg.go.dev/github.com/caddyserver/certmagic#Locker asks: who has obtained the
// lock looks whether the work is still needed, which renew does first. FileStorage in a
// folder that all replicas share is its default for a fleet
// (https://github.com/caddyserver/certmagic#behind-a-load-balancer-or-in-a-cluster). It
// is made for certificates, whose renewal takes minutes and is due weeks ahead: a waiter
// looks once a second, and all waiters obtain the lock in turn.
func underLock(storage certmagic.Storage, name string, renew renewFunc) renewFunc {
	return func(ctx context.Context) (t *oauth2.Token, err error) {
		if err := storage.Lock(ctx, name); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, storage.Unlock(context.WithoutCancel(ctx), name)) }()
		return renew(ctx)
	}
}
