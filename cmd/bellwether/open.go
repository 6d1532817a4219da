package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/embedded"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/tier"
)

// An opened store, and what has to be closed after it, the last first.
type opened struct {
	store   refresh.Backend
	closers []func() error
}

func (o *opened) onClose(f func() error) { o.closers = append(o.closers, f) }

func (o *opened) close() error {
	var errs []error
	for _, f := range slices.Backward(o.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// ready reports which setting is missing or wrong. It opens no connection and makes no
// file.
func (s *settings) ready() error {
	durable, named, err := s.durable()
	if err != nil {
		return err
	}
	if s.redisURL() != "" {
		if s.state != "" {
			return errRedisAndState
		}
		_, err = s.sealer()
		return err
	}
	if named && durable.mysql != nil {
		return errSharedDurable
	}
	if s.stateWait < 0 {
		return &usageError{"--state-wait is negative", "write it like 5s"}
	}
	if _, err := s.statePath(); err != nil {
		return err
	}
	if s.plaintext || s.keysetPath() != "" {
		_, err = s.sealer()
	}
	return err
}

var (
	errRedisAndState = &usageError{"a Redis and --state are given",
		"the state folder is for running without Redis: drop one of them; $" + envRedis + " counts too"}
	errSharedDurable = &usageError{"a MySQL database is given, and no Redis",
		"others reach the database, and only a Redis makes them take turns: export " + envRedis + " or give --redis"}
)

// durable is the durable store of the settings, if they name one.
func (s *settings) durable() (d durableURL, named bool, err error) {
	rawURL := cmp.Or(s.durableFlag, os.Getenv(envDurable))
	if rawURL == "env" {
		if rawURL = os.Getenv(envDurable); rawURL == "" {
			return d, false, &usageError{"--durable env, and $" + envDurable + " is not set", "export it, or leave --durable out"}
		}
	}
	if rawURL == "" {
		return d, false, nil
	}
	d, err = parseDurable(rawURL)
	return d, err == nil, err
}

// withStore calls f with the store that the settings name.
func (s *settings) withStore(cmd *cobra.Command, f func(refresh.Backend) error) (err error) {
	if err := s.ready(); err != nil {
		return err
	}
	log := s.logger(cmd.ErrOrStderr())
	redis.SetLogger(redisLog{log})
	o := &opened{}
	defer func() { err = errors.Join(err, o.close()) }()
	if s.redisURL() != "" {
		err = s.openShared(cmd.Context(), o, log)
	} else {
		err = s.openEmbedded(cmd.Context(), o, log, cmd.ErrOrStderr())
	}
	if err != nil {
		return err
	}
	return f(o.store)
}

func (s *settings) redisConfig(sealer bellwether.Sealer, log *slog.Logger) redisstore.Config {
	return redisstore.Config{Namespace: s.namespaceName(), Sealer: sealer, Logger: log}
}

// openShared opens the Redis of the settings, and the durable store behind it if they
// name one.
func (s *settings) openShared(ctx context.Context, o *opened, log *slog.Logger) error {
	sealer, err := s.sealer()
	if err != nil {
		return err
	}
	front, err := redisstore.Open(ctx, s.redisURL(), s.redisConfig(sealer, log))
	if err != nil {
		return err
	}
	o.store = front
	o.onClose(front.Close)
	d, named, err := s.durable()
	if err != nil || !named {
		return err
	}
	_, err = o.stack(ctx, front, d, sealer, log)
	return err
}

// stack puts a durable store behind front.
func (o *opened) stack(ctx context.Context, front *redisstore.Store, d durableURL, sealer bellwether.Sealer, log *slog.Logger) (*tier.Store, error) {
	back, closeBack, err := d.open(ctx, sealer, log)
	if err != nil {
		return nil, err
	}
	o.onClose(closeBack)
	both := tier.New(front, back, tier.Config{Logger: log})
	o.onClose(both.Close)
	o.store = both
	return both, nil
}

// openEmbedded opens a Redis inside this process, over the durable store of the settings
// or else a database in the state folder. The folder is this process's alone meanwhile.
func (s *settings) openEmbedded(ctx context.Context, o *opened, log *slog.Logger, stderr io.Writer) error {
	dir, err := s.statePath()
	if err != nil {
		return err
	}
	unlock, err := lockState(ctx, dir, s.stateWait)
	if err != nil {
		return err
	}
	o.onClose(unlock)
	sealer, err := s.stateSealer(dir, stderr)
	if err != nil {
		return err
	}
	d, named, err := s.durable()
	if err != nil {
		return err
	}
	namespace := s.namespaceName()
	if !named {
		d = durableURL{scheme: "sqlite", path: stateDatabase(dir, namespace)}
	}
	srv, err := embedded.Local()
	if err != nil {
		return err
	}
	o.onClose(func() error { srv.Close(); return nil })
	last := memoryOf(dir, namespace, sealer, d)
	if err := last.take(srv, d.path, log); err != nil {
		return err
	}
	client := srv.Client()
	o.onClose(client.Close)
	front, err := redisstore.New(ctx, client, s.redisConfig(sealer, log))
	if err != nil {
		return err
	}
	o.onClose(func() error { last.leave(srv, log); return nil })
	o.onClose(front.Close)
	both, err := o.stack(ctx, front, d, sealer, log)
	if err != nil {
		return err
	}
	o.onClose(func() error { return settle(both, settleTime) })
	return nil
}

const settleTime = 10 * time.Second

// settle waits until the durable store has every row, which the embedded Redis has for no
// longer than to the next command.
func settle(s interface{ Pending() int }, patience time.Duration) error {
	for deadline := time.Now().Add(patience); s.Pending() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "close",
				Detail: fmt.Sprintf("the durable store does not take the new tokens of %d rows", s.Pending()),
				Hint:   "see whether its disk is full; then run bellwether refresh for each of them at once"}
		}
	}
	return nil
}
