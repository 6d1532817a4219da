// Package tier puts a durable store behind Redis.
//
// Redis coordinates and caches; the durable tier, a [bellwether.Durable], holds what must
// survive it. A flushed, lost or restored Redis then costs nobody a new sign-in.
//
//	redis, err := redisstore.Open(ctx, url, redisstore.Config{Sealer: keys})
//	db, err := sqlstore.Open(ctx, sqlDB, sqlstore.Config{})
//	store := tier.New(redis, db, tier.Config{})
//	defer store.Close()
//	r, err := refresh.New(store, refresh.Config{Providers: providers})
//
// What holds, as long as not both tiers lose the same write:
//
//   - What Save and Delete have answered with success is in both tiers. An answer of a
//     provider is in both too, unless the durable write failed: then it is in Redis, and
//     in the memory of its process, which copies it when the durable tier is back.
//   - A row that Redis does not have is brought back from the durable tier by whoever asks
//     for it first; others wait for it. While the durable tier is away such a row is
//     ErrUnavailable, not ErrNotFound.
//   - Before a refresh token is presented, the two tiers are compared under the row's lock,
//     and the one that has the newer credentials wins; so does an end of the row, or an
//     attempt under way, that the durable tier alone knows of. While it is away, a refresh
//     token that must not be presented twice is not presented, and one that may be is.
//   - What another program writes into the durable tier is adopted before a refresh, and
//     within seconds by a reader of a row that needs a sign-in. Current tokens are served
//     as Redis has them.
//   - A durable tier that hangs takes a bounded part of each refresh: see Config.FillTimeout.
//
// What does not hold:
//
//   - While Redis is away there is no lock, and nothing is refreshed.
//   - A Redis that is lost together with a refresh under way loses the lock and its intent.
//     For providers that rotate, the durable tier keeps the intent; a token that may be
//     presented again may then be presented twice.
//   - An answer that only Redis has is lost if Redis and the process lose it before it is
//     copied. For a provider that rotates, the row then needs a sign-in.
//   - A row that was deleted comes back if Redis is restored from a dump that still has it:
//     a row that the durable tier does not have is taken for one that it lost. It is copied
//     there at its next refresh. The exception is a row whose user name or tokens another
//     row has by then: it goes. Delete a row again after a restore.
//   - A durable tier restored from a backup is corrected row by row, at each row's next
//     refresh or Save. A backup that is older than the row's last sign-in, and whose
//     credentials Redis does not remember (it keeps the last 15, and the first of each of
//     16 sign-ins), wins over Redis.
//   - A program that writes an older refresh token over a row while Redis does not have the
//     row ends it: ReasonRotationLost.
//   - Save, Delete and the bringing back of a row wait for each other by a lock in Redis. A
//     process that dies with it holds the others up for a quarter of Config.FillTimeout.
package tier
