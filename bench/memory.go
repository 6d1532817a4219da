package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/refresh"
)

var memoryScenario = Scenario{
	Name:       "memory",
	About:      "memory in Redis of a token, sealed and with its index entries, by Redis's own MEMORY USAGE",
	Sources:    []Source{SourceBellwether},
	Usual:      []Source{SourceBellwether},
	Defaults:   Settings{Tokens: 256},
	OwnServers: true, // of two configurations
	run:        runMemory,
}

const (
	memoryRotations = 16
	freshBytesBar   = 2048 // a token that was never rotated
	rotatedBytesBar = 3072 // after memoryRotations

	// listpack is the line of redis.conf that the bars are for: rows stay compact.
	listpack = "hash-max-listpack-value 2048"

	// shortestLife is the life of all access tokens but the last. The index entry of an
	// access token ends with it; in life, where a rotation takes an hour, there is one.
	shortestLife = 2 * time.Second
	lastLife     = time.Hour
)

func runMemory(ctx context.Context, b *bout) ([]report.Run, error) {
	run := b.newRun(SourceBellwether)
	run.Parameters.Redis = "single"
	begun := time.Now()
	for _, config := range []struct {
		name       string
		directives []string
	}{{"listpack", []string{listpack}}, {"default", nil}} {
		for _, m := range []struct {
			name      string
			rotations int
		}{{"fresh", 0}, {"rotated", memoryRotations}} {
			bytes, err := bytesPerToken(ctx, config.directives, b.Tokens, m.rotations)
			if err != nil {
				return nil, err
			}
			run.Add(m.name+"_"+config.name, "bytes", report.Less, bytes)
			b.say("memory, %s, %s configuration: %.0f bytes a token", m.name, config.name, bytes)
		}
	}
	run.Seconds = time.Since(begun).Seconds()
	checkMemory(&run)
	return []report.Run{run}, nil
}

// checkMemory: the bytes do not depend on how busy the machine is, but they do on the
// version of Redis and its allocator.
func checkMemory(run *report.Run) {
	medianAtMost(run, "fresh_listpack", "a token that was never rotated, "+listpack, freshBytesBar)
	medianAtMost(run, "rotated_listpack", fmt.Sprintf("after %d rotations, %s", memoryRotations, listpack), rotatedBytesBar)
}

func bytesPerToken(ctx context.Context, directives []string, rows, rotations int) (_ float64, err error) {
	srv, err := redistest.StartSingle(redistest.Config{Directives: directives})
	if err != nil {
		return 0, err
	}
	defer srv.Close()
	g, err := openGround(ctx, srv.URL())
	if err != nil {
		return 0, err
	}
	g.disposable = true
	defer func() { err = errors.Join(err, g.close(ctx)) }()
	provider := oauthtest.New(oauthtest.Config{Name: "zoho", Rotation: bellwether.RotationStrict})
	defer provider.Close()
	if _, err := provider.Start(); err != nil {
		return 0, err
	}
	ids := make([]string, rows)
	for i := range ids {
		t, err := g.sampleToken(i)
		if err != nil {
			return 0, err
		}
		grant := provider.Issue(t.UserName, t.Scopes...).Token
		t.ClientID, t.ClientSecret, t.AccountsURL = grant.ClientID, grant.ClientSecret, grant.AccountsURL
		t.RefreshToken, t.AccessToken = grant.RefreshToken, grant.AccessToken
		if rotations > 0 {
			t.ExpiresAt = t.IssuedAt.Add(shortestLife)
		}
		if t, err = g.store.Save(ctx, t); err != nil {
			return 0, err
		}
		ids[i] = t.ID
	}
	if rotations > 0 {
		if err := rotateAll(ctx, g, provider, ids, rotations); err != nil {
			return 0, err
		}
	}
	total, err := keyspaceBytes(ctx, g.client)
	return float64(total) / float64(rows), err
}

// rotateAll refreshes every row so many times.
func rotateAll(ctx context.Context, g *ground, provider *oauthtest.Server, ids []string, rotations int) error {
	r, err := g.newRefresher(ctx, refresh.Config{Providers: []bellwether.Provider{provider.Provider()}, ForcedInterval: -1})
	if err != nil {
		return err
	}
	defer r.Close()
	provider.SetAccessLife(shortestLife)
	for n := range rotations {
		if n == rotations-1 {
			provider.SetAccessLife(lastLife)
		}
		err := each(ctx, len(ids), func(i int) error {
			_, err := r.Refresh(ctx, ids[i])
			return err
		})
		if err != nil {
			return err
		}
	}
	// Index entries are written behind the callers; Close waits for them.
	if err := errors.Join(r.Close(), g.store.Close()); err != nil {
		return err
	}
	return dropEnded(ctx, g.client, len(ids))
}

// dropEnded deletes the index entries of access tokens that have ended or are about to,
// as time would, so that one a row is left.
func dropEnded(ctx context.Context, c redis.UniversalClient, rows int) error {
	left := 0
	keys := c.Scan(ctx, 0, "*:at", 1000).Iterator()
	for keys.Next(ctx) {
		ttl, err := c.PTTL(ctx, keys.Val()).Result()
		if err != nil {
			return err
		}
		if ttl > lastLife/2 {
			left++
		} else if err := c.Unlink(ctx, keys.Val()).Err(); err != nil {
			return err
		}
	}
	if keys.Err() == nil && left != rows {
		return fmt.Errorf("bench: %d index entries of access tokens that live, for %d rows", left, rows)
	}
	return keys.Err()
}

// keyspaceBytes adds up MEMORY USAGE of all keys of a server; those that have expired
// are gone by being looked at.
func keyspaceBytes(ctx context.Context, c redis.UniversalClient) (int64, error) {
	total := int64(0)
	keys := c.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		n, err := c.MemoryUsage(ctx, keys.Val(), 0).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, keys.Err()
}
