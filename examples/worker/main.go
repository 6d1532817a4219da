// Command worker runs jobs that call a CRM with one OAuth credential, which all
// workers share.
//
//	export BELLWETHER_REDIS=redis://localhost:6379 BELLWETHER_KEYSET=keyset.json
//	export BELLWETHER_TOKEN=bot@example.com   # user name, from `bellwether add`
//	worker &
//	worker &
//	redis-cli LPUSH {example}:jobs /crm/v8/Contacts/1 /crm/v8/Contacts/2
//
// A job is the path of an API call. However many workers run, an expired token is
// refreshed once. BELLWETHER_NAMESPACE and BELLWETHER_PROVIDERS are those of the
// command. A worker that is told to end finishes its job and a refresh under way.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/providerfile"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

// The lists of jobs: those that wait, and those that a worker has taken. A job of a
// worker that was killed stays among the taken.
const (
	waiting = "{example}:jobs"
	taken   = "{example}:jobs:taken"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		slog.Error("worker failed", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	keys, err := seal.Open(os.Getenv("BELLWETHER_KEYSET"))
	if err != nil {
		return err
	}
	url := os.Getenv("BELLWETHER_REDIS")
	store, err := redisstore.Open(ctx, url, redisstore.Config{Namespace: os.Getenv("BELLWETHER_NAMESPACE"), Sealer: keys})
	if err != nil {
		return err
	}
	defer store.Close()
	providers, err := providerfile.Open(os.Getenv("BELLWETHER_PROVIDERS"))
	if err != nil {
		return err
	}
	r, err := refresh.New(store, refresh.Config{Providers: providers})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }() // stores an answer that is on its way
	t, err := store.Find(ctx, bellwether.Token{UserName: os.Getenv("BELLWETHER_TOKEN")})
	if err != nil {
		return err
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		return errors.New("the job queue needs a Redis URL of one server")
	}
	jobs := redis.NewClient(options)
	defer jobs.Close()

	slog.Info("worker is ready", "token", t.ID)
	client := r.Client(t.ID, nil)
	client.Timeout = 20 * time.Second
	return work(ctx, jobs, func(ctx context.Context, path string) error {
		access, err := r.Get(ctx, t.ID, refresh.Want{}) // where the API is
		if err != nil {
			return err
		}
		return call(client, access.APIDomain+path)
	})
}

// errHopeless: the API will give the same answer to the same job.
var errHopeless = errors.New("it will not get better")

// work takes jobs and does them until ctx ends. A job that fails is put back, unless
// that is hopeless; after a throttle or a cooldown the worker rests until it makes
// sense to try again.
func work(ctx context.Context, jobs *redis.Client, do func(context.Context, string) error) error {
	for ctx.Err() == nil {
		job, err := jobs.BLMove(ctx, waiting, taken, "RIGHT", "LEFT", time.Second).Result()
		if errors.Is(err, redis.Nil) || ctx.Err() != nil && err != nil {
			continue
		}
		if err != nil {
			slog.Warn("no job can be taken", "err", err)
			rest(ctx, err)
			continue
		}
		begun := context.WithoutCancel(ctx) // what is begun is finished
		err = do(begun, job)
		_, lost := jobs.TxPipelined(begun, func(p redis.Pipeliner) error {
			if err != nil && !errors.Is(err, errHopeless) {
				p.LPush(begun, waiting, job)
			}
			p.LRem(begun, taken, 1, job)
			return nil
		})
		if errors.Is(err, errHopeless) && lost == nil {
			slog.Error("a job is dropped", "job", job, "err", err)
			continue
		}
		if err = errors.Join(err, lost); err == nil {
			slog.Info("done", "job", job)
			continue
		}
		slog.Warn("a job failed", "job", job, "err", err)
		rest(ctx, err)
	}
	return nil
}

func call(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // a real worker reads it
	switch code := resp.StatusCode; {
	case code < 400:
		return nil
	case code >= 500 || code == http.StatusUnauthorized || code == http.StatusTooManyRequests:
		return fmt.Errorf("the API answered %s", resp.Status)
	}
	return fmt.Errorf("the API answered %s: %w", resp.Status, errHopeless)
}

// rest waits until it makes sense to try again.
func rest(ctx context.Context, err error) {
	pause := time.Second
	if e, ok := errors.AsType[*bellwether.Error](err); ok && !e.Until.IsZero() {
		pause = max(pause, time.Until(e.Until))
	}
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
}
