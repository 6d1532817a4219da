// Package lock gives leases on Redis keys, for one attempt each, on top of
// github.com/bsm/redislock. The lock saves calls to the provider; it does not
// keep the data right. A holder that is paused, or whose lock a failover loses,
// can act beside the next holder, and the provider cannot check a fence. What
// keeps the data right is the compare on the credential nonce in the store.
//
// # What holds
//
// While Redis keeps the key and its clock runs at the rate of ours, at most one
// lease on a key is trusted at a time. Trust is counted on the local monotonic
// clock from before each request was sent, less a margin, so it ends before the
// key does. A lease is a context that ends with the trust:
//
//	l, err := lock.Obtain(ctx, client, key, rand.Text(), lock.Options{})
//	if err != nil {
//		return err // *bellwether.LockedError when somebody else holds it
//	}
//	defer l.Release(ctx)
//	work(l.Context())
//
// # What does not
//
// There is no waiting, no queue and no fairness: Obtain tries once. Whoever
// checks the context just before a long pause acts without a lock after it; a
// suspended machine stops the monotonic clock and extends trust by as long.
package lock
