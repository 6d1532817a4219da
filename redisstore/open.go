package redisstore

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/bellwether-go/bellwether"
)

// Times that Open sets. A provider call waits for no Redis command, and a dead
// server must be noticed before a lease runs out.
const (
	dialTimeout   = time.Second
	ioTimeout     = time.Second
	stateReload   = time.Second // Cluster: a dead master alone never triggers a reload
	poolSize      = 64
	retries       = 2 // every script is idempotent
	minRetryPause = 10 * time.Millisecond
	maxRetryPause = 200 * time.Millisecond
)

// Open connects to Redis and returns a Store that owns the connections.
//
//	redis://user:password@host:6379/0           one server (rediss:// with TLS, unix:// for a socket)
//	redis://host:6379?addr=host2:6379           Cluster, the addresses are seeds
//	redis://sentinel:26379?master_name=mymaster Sentinel, with more ?addr= for more sentinels
//
// Other query parameters are those of go-redis. Errors are those of New; a URL
// that does not parse matches bellwether.ErrInvalid. No error holds the password.
func Open(ctx context.Context, rawURL string, cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	client, err := Dial(rawURL)
	if err != nil {
		return nil, err
	}
	sub, err := Dial(rawURL)
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	s, err := newStore(ctx, client, cfg)
	if err != nil {
		_ = client.Close()
		_ = sub.Close()
		return nil, err
	}
	s.owned, s.pubsub = true, sub
	return s, nil
}

func badURL(detail string) error {
	return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "open", Detail: detail,
		Hint: "write the Redis URL as redis://user:password@host:6379/0; see the documentation of redisstore.Open"}
}

// Dial returns the client that Open makes of a URL, with the settings that notice a
// failure soon: for New, when the client has to carry hooks or is used for more. It
// does no I/O. A URL that does not parse matches bellwether.ErrInvalid; no error holds
// the password.
func Dial(rawURL string) (redis.UniversalClient, error) {
	// The errors of the parsers are not passed on: they quote the URL, password included.
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, badURL("the Redis URL does not parse")
	}
	switch u.Scheme {
	case "redis", "rediss", "unix":
	default:
		return nil, badURL("the Redis URL begins with neither redis://, rediss:// nor unix://")
	}
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch q := u.Query(); {
	case q.Has("master_name"):
		o, err := redis.ParseFailoverURL(rawURL)
		if err != nil {
			return nil, badURL("the Sentinel parameters of the Redis URL are not understood")
		}
		o.ContextTimeoutEnabled = true
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTimeout, ioTimeout, ioTimeout, ioTimeout
		o.PoolSize, o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff = poolSize, retries, minRetryPause, maxRetryPause
		o.DialerRetries = 1
		o.Dialer = dialer(o.TLSConfig)
		return redis.NewFailoverClient(o), nil
	case q.Has("addr"):
		o, err := redis.ParseClusterURL(rawURL)
		if err != nil {
			return nil, badURL("the Cluster parameters of the Redis URL are not understood")
		}
		o.ContextTimeoutEnabled = true
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTimeout, ioTimeout, ioTimeout, ioTimeout
		o.PoolSize, o.MinRetryBackoff, o.MaxRetryBackoff = poolSize, minRetryPause, maxRetryPause
		o.ClusterStateReloadInterval = stateReload
		o.DialerRetries, o.MaintNotificationsConfig = 1, quiet
		o.Dialer = dialer(o.TLSConfig)
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(rawURL)
		if err != nil {
			return nil, badURL("the Redis URL is not understood")
		}
		o.ContextTimeoutEnabled = true
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTimeout, ioTimeout, ioTimeout, ioTimeout
		o.PoolSize, o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff = poolSize, retries, minRetryPause, maxRetryPause
		o.DialerRetries, o.MaintNotificationsConfig = 1, quiet
		o.Dialer = dialer(o.TLSConfig)
		return redis.NewClient(o), nil
	}
}

// dialer obeys the ctx during the TLS handshake too, which the client's own does
// not.
func dialer(conf *tls.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if conf == nil {
			return d.DialContext(ctx, network, addr)
		}
		c := conf.Clone()
		if host, _, err := net.SplitHostPort(addr); err == nil && c.ServerName == "" {
			c.ServerName = host
		}
		return (&tls.Dialer{NetDialer: d, Config: c}).DialContext(ctx, network, addr)
	}
}

// warnClient tells of settings of a foreign client that make failures slow to
// notice.
func warnClient(log *slog.Logger, client redis.UniversalClient) {
	switch c := client.(type) {
	case *redis.ClusterClient:
		if o := c.Options(); o.ClusterStateReloadInterval > 5*time.Second {
			log.Warn("bellwether: a dead master stays unnoticed for long",
				"ClusterStateReloadInterval", o.ClusterStateReloadInterval, "hint", "set it to 1s, or use redisstore.Open")
		}
	case *redis.Client:
		if o := c.Options(); !o.ContextTimeoutEnabled {
			log.Warn("bellwether: deadlines of callers do not reach Redis",
				"ContextTimeoutEnabled", false, "hint", "set it to true, or use redisstore.Open")
		}
	}
}
