// Package redistest is the ground on which tests meet Redis: real redis-server
// processes on loopback ports, an in-process miniredis for fast tests, and a
// proxy that breaks the wire in known ways.
//
// Every test that needs a real server calls [Need] first, or a function of this
// package that does. It is the only gate of the project: with
// BELLWETHER_TEST_SERVERS=require a missing redis-server fails the test, else
// the test is skipped.
//
//	srv := redistest.Single(t, redistest.Config{})
//	client := srv.Client(t)
//
// Inside a testing/synctest bubble only [Mini], [CrossSlot] and a [Proxy] that is
// dialled in memory may be used: sockets and processes do not live on a bubble's
// clock. Clients there are made from [MiniOptions] or [DialOptions].
//
// What is started ends with its test, by process id. On Linux a server also dies
// with the test binary, however that ends; elsewhere a killed test binary leaves
// its servers behind, and everywhere their folders under os.TempDir.
package redistest

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// quiet drops what go-redis logs: tests break connections on purpose.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(quiet{}) }
