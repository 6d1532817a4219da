package redistest

import (
	"context"
	"net"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Mini returns an in-process miniredis and a client of it; both end with the
// test. It works inside and outside a synctest bubble: connections are pipes,
// and keys expire on the clock of the caller. Expiry walks all keys at each
// command, so keep them few.
func Mini(t testing.TB) (*miniredis.Miniredis, *redis.Client) {
	t.Helper()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	// The first Dial starts the server; hooks can be set from here on.
	conn, err := m.Dial()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	t.Cleanup(m.Close)
	c := redis.NewClient(MiniOptions(m))
	t.Cleanup(func() { _ = c.Close() })
	return m, c
}

// MiniOptions returns fresh options of a client that reaches m in memory.
func MiniOptions(m *miniredis.Miniredis) *redis.Options {
	return DialOptions(func() (net.Conn, error) {
		conn, err := m.Dial()
		if err != nil {
			return nil, err
		}
		return pipeConn{conn}, nil
	})
}

// DialOptions returns fresh options of a client that gets its connections from
// dial, e.g. Proxy.Dial.
func DialOptions(dial func() (net.Conn, error)) *redis.Options {
	o := clientOptions(Config{}, "127.0.0.1:6379").Simple() // never dialled; a host name would be resolved
	// A caller that waits for a connection takes a timer that go-redis shares
	// among all clients: fatal when another synctest bubble has used it.
	o.PoolSize = 1 << 12
	o.Dialer = func(context.Context, string, string) (net.Conn, error) { return dial() }
	return o
}
