package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/providerfile"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

// The environment, which a flag overrides.
const (
	envRedis     = "BELLWETHER_REDIS"
	envKeyset    = "BELLWETHER_KEYSET"
	envNamespace = "BELLWETHER_NAMESPACE"
	envProviders = "BELLWETHER_PROVIDERS"
	envDurable   = "BELLWETHER_DURABLE"
)

// settings are the flags that commands share.
type settings struct {
	redis, keyset, namespace, providers string
	durableFlag                         string
	state                               string
	stateWait                           time.Duration

	plaintext bool
	json      bool
	verbose   bool
}

const keysetUsage = "keyset `file`, else $" + envKeyset

// registerStore adds the flags of a command that uses a store.
func (s *settings) registerStore(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.keyset, "keyset", "", keysetUsage)
	f.StringVar(&s.redis, "redis", "", "`URL` of Redis, else $"+envRedis+", where a password is safer")
	f.StringVar(&s.durableFlag, "durable", "", "`URL` of the durable store behind Redis, or env: that of $"+envDurable+", where a password is safer")
	f.StringVar(&s.state, "state", "", "`folder` for tokens without a Redis (default $XDG_STATE_HOME/bellwether or ~/.local/state/bellwether)")
	f.DurationVar(&s.stateWait, "state-wait", 5*time.Second, "how long to wait for another process that uses this folder")
	f.StringVar(&s.namespace, "namespace", "", "`name` that separates installations on one Redis, else $"+envNamespace+`, else "default"`)
	f.StringVar(&s.providers, "providers", "", "JSON `file` of providers beside Zoho, else $"+envProviders)
	f.BoolVar(&s.plaintext, "insecure-plaintext", false, "store tokens unsealed: whoever reads Redis reads every token")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "log what happens to standard error, without secrets")
}

func (s *settings) redisURL() string      { return cmp.Or(s.redis, os.Getenv(envRedis)) }
func (s *settings) keysetPath() string    { return cmp.Or(s.keyset, os.Getenv(envKeyset)) }
func (s *settings) namespaceName() string { return cmp.Or(s.namespace, os.Getenv(envNamespace)) }
func (s *settings) providersPath() string { return cmp.Or(s.providers, os.Getenv(envProviders)) }

var (
	errNoKeyset = &usageError{"no keyset is given",
		"make one with `bellwether keys new --keyset keyset.json`, then export BELLWETHER_KEYSET=keyset.json or give --keyset; " +
			"all replicas share that file (--insecure-plaintext stores tokens unsealed)"}
	errBothSealers = &usageError{"a keyset and --insecure-plaintext are given",
		"drop --insecure-plaintext, or take the keyset out of the command line and $" + envKeyset}
)

// sealer returns what seals the rows: the keyset's keys, or by its own flag alone
// nothing.
func (s *settings) sealer() (bellwether.Sealer, error) {
	path := s.keysetPath()
	switch {
	case s.plaintext && path != "":
		return nil, errBothSealers
	case s.plaintext:
		return seal.Plaintext{}, nil
	case path == "":
		return nil, errNoKeyset
	}
	keys, err := seal.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &usageError{fmt.Sprintf("the keyset %s does not exist", path),
			"make one with `bellwether keys new`, or copy the file that the other replicas use"}
	}
	if err != nil {
		return nil, err
	}
	return keys, nil
}

func (s *settings) logger(stderr io.Writer) *slog.Logger {
	level := slog.LevelWarn
	if s.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
}

// redisLog takes the lines of the Redis client, which repeat what errors say.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, v...))
}

// withRefresher calls f with the store and a Refresher on it. However f ends, an
// answer that is on its way from a provider is stored first.
func (s *settings) withRefresher(cmd *cobra.Command, f func(refresh.Backend, *refresh.Refresher) error) error {
	file, err := s.readProviders()
	if err != nil {
		return err
	}
	providers, err := file.Providers()
	if err != nil {
		return err
	}
	return s.withStore(cmd, func(store refresh.Backend) error {
		cfg := refresh.Config{Providers: providers, Logger: s.logger(cmd.ErrOrStderr())}
		if isTerminal(cmd.ErrOrStderr()) {
			cfg.Observer = progress(cmd.ErrOrStderr())
		}
		r, err := refresh.New(store, cfg)
		if err != nil {
			return err
		}
		err = f(store, r)
		return errors.Join(err, finish(cmd, r))
	})
}

// finish closes r and says why that takes its time.
func finish(cmd *cobra.Command, r *refresh.Refresher) error {
	told := make(chan struct{})
	timer := time.AfterFunc(300*time.Millisecond, func() {
		defer close(told)
		fmt.Fprintln(cmd.ErrOrStderr(), "bellwether: a refresh is under way and its answer is stored first (30 s at most); interrupt again to give it up")
	})
	err := r.Close()
	if !timer.Stop() {
		<-told
	}
	return err
}

// readProviders reads the providers file; without one it is the zero File.
func (s *settings) readProviders() (providerfile.File, error) {
	path := s.providersPath()
	if path == "" {
		return providerfile.File{}, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return providerfile.File{}, &usageError{"the providers file cannot be read: " + err.Error(), "check --providers or $" + envProviders}
	}
	return providerfile.Parse(data)
}
