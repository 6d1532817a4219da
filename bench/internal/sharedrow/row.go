// Package sharedrow is a token that the replicas of a team share in Redis, as it is kept by
// those who build on x/oauth2 by hand: JSON in clear, read before a refresh, written
// after it. There is no lock in it and no fence.
package sharedrow

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"
)

// A Row is one token. Its fields are not changed while it is used, by any number of
// goroutines.
type Row struct {
	Client redis.UniversalClient
	Key    string
	Conf   oauth2.Config // with an explicit auth style: looking for it sends a refresh token twice
	HTTP   *http.Client

	// Calling is told before a token request is sent, and Saving when a new token is about
	// to be written. Each may be nil.
	Calling func()
	Saving  func(time.Time)
}

// Load reads the token.
func (r *Row) Load(ctx context.Context) (*oauth2.Token, error) {
	b, err := r.Client.Get(ctx, r.Key).Bytes()
	if err != nil {
		return nil, err
	}
	t := new(oauth2.Token)
	return t, json.Unmarshal(b, t)
}

// Save writes the token over whatever is there.
func (r *Row) Save(ctx context.Context, t *oauth2.Token) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if r.Saving != nil {
		r.Saving(time.Now())
	}
	return r.Client.Set(ctx, r.Key, b, 0).Err()
}

// Call is the token request for what follows t.
func (r *Row) Call(ctx context.Context, t *oauth2.Token) (*oauth2.Token, error) {
	if r.Calling != nil {
		r.Calling()
	}
	return r.Conf.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, r.HTTP), t).Token()
}

// RenewOnce returns the shared token while it lives. Otherwise it refreshes and stores the
// result: what is enough for who holds a lock.
func (r *Row) RenewOnce(ctx context.Context) (*oauth2.Token, error) {
	t, err := r.Load(ctx)
	if err != nil || t.Valid() {
		return t, err
	}
	fresh, err := r.Call(ctx, t)
	if err != nil {
		return nil, err
	}
	return fresh, r.Save(ctx, fresh)
}

// Renew is RenewOnce, and when the provider refuses the refresh token it looks once more
// whether another replica was faster.
func (r *Row) Renew(ctx context.Context) (*oauth2.Token, error) {
	fresh, err := r.RenewOnce(ctx)
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "invalid_grant" {
		if t, err := r.Load(ctx); err == nil && t.Valid() {
			return t, nil
		}
	}
	return fresh, err
}
