// Package bellwether holds the words and contracts of a Redis-backed OAuth
// token cache in which one replica refreshes a token and all others reuse the
// result.
//
// # What holds
//
// However many replicas and callers want an expired token at once, the provider
// sees one refresh call per expiry, every waiter gets its outcome by push, and
// no fault of the infrastructure deletes or empties a token, or condemns one but
// in the case told next.
//
// # What does not
//
// No lock over Redis can promise exactly one call when a holder is paused beyond
// its lease or a failover loses the lock: the provider cannot check a fence. The
// store can. So the lock saves calls, the compare on the credential nonce keeps
// the data right, and the intent written before each call covers the gap between
// provider and store. In that gap, a process that dies can still lose the grant
// of a provider that rotates refresh tokens strictly; Bellwether reports that as
// [ReasonRotationLost] and never as a revocation.
//
// # Rooms
//
// This package imports only the standard library. Tokens live in a [Store]:
// package redisstore keeps them in Redis, package memstore in memory, packages
// csvstore and sqlstore where Zoho's SDKs keep theirs. Package tier puts one of those, a
// [Durable], behind Redis, so that a flushed Redis costs no sign-in. Package refresh runs
// the protocol over a store that is also a backend. A [Provider]
// (packages provider/zoho and provider/oauth) turns a token into a request and
// an answer into a token, without I/O. Package seal seals what is stored.
//
//	keys, err := seal.Open("keyset.json")
//	store, err := redisstore.Open(ctx, url, redisstore.Config{Namespace: "crm", Sealer: keys})
//	r, err := refresh.New(store, refresh.Config{Providers: []bellwether.Provider{zoho.New(zoho.EU)}})
//	resp, err := r.Client(id, nil).Get(crmURL)
package bellwether
