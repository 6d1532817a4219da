package main

import (
	"context"
	"errors"

	"github.com/caddyserver/certmagic"
	"golang.org/x/oauth2"
)

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
