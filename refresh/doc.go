// Package refresh runs the refresh protocol: of all replicas and callers that
// want an expired token at once, one leads and the others reuse what it brings.
//
// # Guarantee and limit
//
// One provider call per expiry, however many callers wait; every waiter gets the
// outcome, good or bad, by push. No lock over Redis can promise exactly one call
// when a holder is paused beyond its lease or a failover loses the lock, since
// the provider cannot check a fence. So the lock saves calls, the compare on the
// credential nonce keeps the stored data right, and the intent, written before
// each call, covers the gap between provider and store: a replica that finds one
// knows that the refresh token may have been spent. A process that dies in that
// gap can lose the grant of a strictly rotating provider; that is reported as
// bellwether.ReasonRotationLost.
//
// A token that lives is served from memory, without any I/O, until its advisory
// window begins. It is served to its end while refreshes fail, unless an API
// rejected it or it lives shorter than the caller asks.
//
//	r, err := refresh.New(store, refresh.Config{Providers: []bellwether.Provider{zoho.New(zoho.EU)}})
//	defer r.Close()
//	resp, err := r.Client(id, nil).Get(crmURL)
//
// A caller that gives up never cancels a refresh that others wait for. Close
// waits until answers in flight are stored.
package refresh
