package redisstore

import (
	"cmp"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/bellwether-go/bellwether"
)

// Config is the configuration of a Store. Zero values mean the defaults.
type Config struct {
	// Namespace separates installations on one Redis: lower-case letters, digits
	// and '-'. Default "default".
	Namespace string

	// Sealer seals what is stored; required. seal.Open makes one, seal.Plaintext
	// is the one that does not seal.
	Sealer bellwether.Sealer

	// Tombstone is how long a deleted row stops a refresh in flight from bringing
	// it back, and keeps its generation for a save under the same ID. Default 24 h.
	Tombstone time.Duration

	// ClaimGrace is how long an unfinished insert of another process is waited
	// for before it is taken for dead. The clocks of the masters of a Cluster may
	// differ by half of it. Default 4 s.
	ClaimGrace time.Duration

	// Watchdog is the interval at which a silent subscription is probed; two
	// unanswered probes replace it. Default 500 ms, so that a half-open connection
	// is noticed within 2 s.
	Watchdog time.Duration

	// Logger receives warnings (an unsafe Redis setting) and debug lines, none
	// with a secret. Default slog.Default.
	Logger *slog.Logger
}

var namespaceRE = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

func (c Config) withDefaults() (Config, error) {
	c.Namespace = cmp.Or(c.Namespace, "default")
	c.Tombstone = cmp.Or(c.Tombstone, 24*time.Hour)
	c.ClaimGrace = cmp.Or(c.ClaimGrace, 4*time.Second)
	c.Watchdog = cmp.Or(c.Watchdog, 500*time.Millisecond)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	invalid := func(detail, hint string) error {
		return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "open", Detail: detail, Hint: hint}
	}
	switch {
	case !namespaceRE.MatchString(c.Namespace):
		return c, invalid(fmt.Sprintf("namespace %q", c.Namespace), "use 1 to 64 of a-z, 0-9 and '-'")
	case c.Sealer == nil:
		return c, invalid("no Sealer", "pass seal.Open's keys")
	case c.Tombstone < 0 || c.ClaimGrace < 0 || c.Watchdog < 0:
		return c, invalid("a negative duration", "leave it zero for the default")
	}
	return c, nil
}
