// Package sample makes what measurements in one process stand on: tokens that look like a
// customer's of Zoho, a Refresher that is ready, the command by which a row is read.
package sample

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
)

// Life is how long a Token lives.
const Life = time.Hour

// ID is that of token n.
func ID(n int) string { return fmt.Sprintf("%s%08d", prefix, n) }

const prefix = "token-"

// Number is that of the token of an ID.
func Number(id string) (n int, ok bool) {
	digits, ok := strings.CutPrefix(id, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && ID(n) == id
}

// Token is number n, issued now: secrets of the usual lengths, Life to live.
func Token(n int, now time.Time) bellwether.Token {
	secret := func(kind string) bellwether.Secret {
		return bellwether.NewSecret(fmt.Sprintf("1000.%s%030d.%032d", kind, n, n))
	}
	return bellwether.Token{
		ID:           ID(n),
		Provider:     "zoho",
		AccountsURL:  "https://accounts.zoho.eu",
		UserName:     fmt.Sprintf("user%08d@example.com:60001234567", n),
		ClientID:     "1000.5Q8ZK2VHXW9CDA1FJ3LMN7PRSTUVWX",
		ClientSecret: bellwether.NewSecret("5f0d9c1b2a3e4d5c6b7a8990a1b2c3d4e5f6a7b8c9"),
		RefreshToken: secret("rr"),
		AccessToken:  secret("aa"),
		TokenType:    "Bearer",
		Scopes:       []string{"ZohoCRM.modules.ALL", "ZohoCRM.settings.READ"},
		APIDomain:    "https://www.zohoapis.eu",
		IssuedAt:     now,
		ExpiresAt:    now.Add(Life),
	}
}

// Refresher opens one whose subscription stands: what it reads before that it reads
// again. It logs nothing; Observer of cfg is not used.
func Refresher(ctx context.Context, backend refresh.Backend, cfg refresh.Config) (*refresh.Refresher, error) {
	subscribed := make(chan struct{}, 1)
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Observer = func(rep refresh.Report) {
		if rep.Event == refresh.EventResynced {
			select {
			case subscribed <- struct{}{}:
			default:
			}
		}
	}
	r, err := refresh.New(backend, cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-subscribed:
		return r, nil
	case <-ctx.Done():
		_ = r.Close()
		return nil, context.Cause(ctx)
	}
}

// Reads returns the command, as its words, that a read of each row sends.
func Reads(ctx context.Context, url string, cfg redisstore.Config, ids []string) ([][]any, error) {
	client, err := redisstore.Dial(url)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	rec := &recorder{}
	client.AddHook(rec)
	store, err := redisstore.New(ctx, client, cfg)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	rec.sent = nil
	for _, id := range ids {
		if _, err := store.Peek(ctx, id, ""); err != nil {
			return nil, err
		}
	}
	if len(rec.sent) != len(ids) {
		return nil, fmt.Errorf("bench: %d reads sent %d HMGETs", len(ids), len(rec.sent))
	}
	return rec.sent, nil
}

// A recorder keeps the words of the HMGETs that pass, from one goroutine at a time.
type recorder struct{ sent [][]any }

var _ redis.Hook = (*recorder)(nil)

// DialHook implements redis.Hook.
func (*recorder) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (*recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook implements redis.Hook.
func (r *recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "hmget" {
			r.sent = append(r.sent, cmd.Args())
		}
		return next(ctx, cmd)
	}
}
