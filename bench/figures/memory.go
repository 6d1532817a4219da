package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

const (
	memoryRows      = 256
	memoryRotations = 16
	freshBar        = 2048.0 // bytes a token, never rotated
	rotatedBar      = 3072.0 // after 16 rotations
	listpack        = "hash-max-listpack-value 2048"
)

// memory asks Redis what all keys of a namespace take, and divides by the tokens.
func memory(ctx context.Context, e *env) error {
	for _, config := range []string{listpack, ""} {
		name, directives := "default config", []string(nil)
		if config != "" {
			name, directives = "listpack 2048", []string{config}
		}
		for _, m := range []struct {
			what      string
			rotations int
			bar       float64
		}{
			{"never rotated", 0, freshBar},
			{fmt.Sprintf("after %d rotations", memoryRotations), memoryRotations, rotatedBar},
		} {
			got, err := bytesPerToken(ctx, directives, m.rotations)
			if err != nil {
				return err
			}
			bar, ok := "-", true
			if config != "" {
				bar, ok = fmt.Sprintf("≤ %.0f bytes", m.bar), got <= m.bar
			}
			e.print(row{fmt.Sprintf("memory a token, %s, %s", m.what, name), bar, fmt.Sprintf("%.0f bytes", got), ok})
		}
	}
	return nil
}

// shortLife is the life of all access tokens but the last. The index entry of an access
// token ends with it; in life, where a rotation takes an hour, one is there at a time.
const shortLife = 2 * time.Second

func bytesPerToken(ctx context.Context, directives []string, rotations int) (float64, error) {
	keys, err := seal.New()
	if err != nil {
		return 0, err
	}
	g, err := openGround(ctx, keys, directives...)
	if err != nil {
		return 0, err
	}
	defer g.close()
	srv := oauthtest.New(oauthtest.Config{Name: "zoho", Rotation: bellwether.RotationStrict})
	defer srv.Close()
	if _, err := srv.Start(); err != nil {
		return 0, err
	}
	ids := make([]string, memoryRows)
	for i := range ids {
		t, err := g.token(i)
		if err != nil {
			return 0, err
		}
		grant := srv.Issue(t.UserName, t.Scopes...).Token
		t.ClientID, t.ClientSecret, t.AccountsURL = grant.ClientID, grant.ClientSecret, grant.AccountsURL
		t.RefreshToken, t.AccessToken = grant.RefreshToken, grant.AccessToken
		if rotations > 0 {
			t.ExpiresAt = t.IssuedAt.Add(shortLife)
		}
		if t, err = g.store.Save(ctx, t); err != nil {
			return 0, err
		}
		ids[i] = t.ID
	}
	if rotations > 0 {
		if err := rotate(ctx, g, srv, ids, rotations); err != nil {
			return 0, err
		}
	}
	total, err := namespaceBytes(ctx, g.client)
	return total / memoryRows, err
}

// rotate refreshes every row so many times, and waits until of the index entries of
// access tokens one a row is left.
func rotate(ctx context.Context, g *ground, srv *oauthtest.Server, ids []string, rotations int) error {
	r, err := newRefresher(g, refresh.Config{Providers: []bellwether.Provider{srv.Provider()}, ForcedInterval: -1})
	if err != nil {
		return err
	}
	defer r.Close()
	srv.SetAccessLife(shortLife)
	for n := range rotations {
		if n == rotations-1 {
			srv.SetAccessLife(time.Hour)
		}
		err := each(ctx, len(ids), func(i int) error {
			_, err := r.Refresh(ctx, ids[i])
			return err
		})
		if err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(3 * time.Minute); ; {
		left, err := g.client.Keys(ctx, "*:at").Result()
		if err != nil {
			return err
		}
		switch {
		case len(left) == len(ids):
			return nil
		case len(left) < len(ids) || time.Now().After(deadline):
			return fmt.Errorf("%d index entries of access tokens for %d rows", len(left), len(ids))
		}
		time.Sleep(time.Second)
	}
}

// namespaceBytes adds up MEMORY USAGE of all keys; those that have expired are gone by
// being looked at.
func namespaceBytes(ctx context.Context, c redis.UniversalClient) (float64, error) {
	total := int64(0)
	keys := c.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		n, err := c.MemoryUsage(ctx, keys.Val(), 0).Result()
		if err == redis.Nil {
			continue
		}
		if err != nil {
			return 0, err
		}
		total += n
	}
	return float64(total), keys.Err()
}
