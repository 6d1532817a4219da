package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/internal/sample"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/refresh"
)

var memoryScenario = Scenario{
	Name:       "memory",
	About:      "memory in Redis of a token, sealed and with its index entries, by Redis's own MEMORY USAGE (up to 1000 tokens also when rotated)",
	Sources:    []Source{SourceBellwether},
	Usual:      []Source{SourceBellwether},
	Defaults:   Settings{Tokens: 256},
	OwnServers: true, // of two configurations
	run:        runMemory,
}

const (
	memoryRotations = 16
	mostRotated     = 1000 // tokens: each rotation is a call to a provider
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
	run.Parameters.Redis = kindSingle
	begun := time.Now()
	for _, config := range []struct {
		name       string
		directives []string
	}{{"listpack", []string{listpack}}, {"default", nil}} {
		for _, m := range []struct {
			name      string
			rotations int
		}{{"fresh", 0}, {"rotated", memoryRotations}} {
			if m.rotations > 0 && b.Tokens > mostRotated {
				continue
			}
			bytes, err := b.bytesPerToken(ctx, config.directives, m.rotations)
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
	if _, rotated := run.Metric("rotated_listpack"); !rotated {
		return
	}
	medianAtMost(run, "rotated_listpack", fmt.Sprintf("after %d rotations, %s", memoryRotations, listpack), rotatedBytesBar)
}

func (b *bout) bytesPerToken(ctx context.Context, directives []string, rotations int) (_ float64, err error) {
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
	token := func(i int) (bellwether.Token, error) {
		t, err := g.sampleToken(i)
		if err != nil {
			return t, err
		}
		grant := provider.Issue(t.UserName, t.Scopes...).Token
		t.ClientID, t.ClientSecret, t.AccountsURL = grant.ClientID, grant.ClientSecret, grant.AccountsURL
		t.RefreshToken, t.AccessToken = grant.RefreshToken, grant.AccessToken
		if rotations > 0 {
			t.ExpiresAt = t.IssuedAt.Add(shortestLife)
		}
		return t, nil
	}
	if err := g.fill(ctx, b.Tokens, token, b.tellSaved); err != nil {
		return 0, err
	}
	if rotations > 0 {
		if err := rotateAll(ctx, g, provider, b.Tokens, rotations); err != nil {
			return 0, err
		}
	}
	total, err := keyspaceBytes(ctx, g.client)
	return float64(total) / float64(b.Tokens), err
}

// rotateAll refreshes every row so many times.
func rotateAll(ctx context.Context, g *ground, provider *oauthtest.Server, tokens, rotations int) error {
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
		err := each(ctx, tokens, func(i int) error {
			_, err := r.Refresh(ctx, sample.ID(i))
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
	return dropEnded(ctx, g.client, tokens)
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
	err := scan(ctx, c, "*", func(keys []string) error {
		sizes := make([]*redis.IntCmd, len(keys))
		_, _ = c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, key := range keys {
				sizes[i] = p.MemoryUsage(ctx, key, 0)
			}
			return nil
		})
		for _, size := range sizes {
			n, err := size.Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			total += n
		}
		return nil
	})
	return total, err
}
