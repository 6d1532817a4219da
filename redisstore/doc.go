// Package redisstore keeps tokens in Redis and lets replicas coordinate over it.
//
// A *Store is a bellwether.Store and a refresh.Backend. What holds: all that one
// refresh touches lies in one slot and changes by one script, so a crash, a
// repeated script or a lost reply leaves a row whole; a result is written only
// over the credentials that it was made from, whoever holds the lock by then.
// What does not: Redis replicates asynchronously, so a failover can undo the last
// write; and an evicted or flushed row is gone, so Redis must run with
// maxmemory-policy noeviction and should persist.
//
// Redis 7.0 or newer, or Valkey 7.2 or newer: single, Sentinel or Cluster; and
// miniredis, as the embedded default and in tests.
//
//	store, err := redisstore.Open(ctx, "redis://localhost:6379", redisstore.Config{Namespace: "crm", Sealer: keys})
//	if err != nil { … }
//	defer store.Close()
//
// Key names are in keys.go and docs/redis-keys.md, one script a file in *.lua.
package redisstore
