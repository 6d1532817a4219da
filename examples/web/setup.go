package main

import (
	"context"
	"errors"

	"github.com/bellwether-go/bellwether"
)

// findToken finds a row by ID or user name.
func findToken(ctx context.Context, store bellwether.Store, name string) (bellwether.Token, error) {
	t, err := store.FindByID(ctx, name)
	if errors.Is(err, bellwether.ErrNotFound) {
		return store.Find(ctx, bellwether.Token{UserName: name})
	}
	return t, err
}
