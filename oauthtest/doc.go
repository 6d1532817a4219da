// Package oauthtest is a strict OAuth provider to test against: an authorization
// server and a small protected API in one http.Handler, in memory.
//
// What holds: rotation is atomic, and a refresh token that was used where the
// rotation forbids it revokes its whole grant at once (RFC 9700 section 4.14.2)
// and is counted as a replay. Quotas are exact sliding windows. Every call is
// logged with its service time and with digests of tokens, never the tokens.
//
// What does not: nothing is checked that a cache of tokens cannot get wrong.
// There is no consent page, no TLS and no persistence. Do not run it where
// others can reach it.
//
// It serves over loopback, or without a network over net.Pipe, so that it works
// inside a testing/synctest bubble through a real http.Transport:
//
//	srv := oauthtest.New(oauthtest.Config{Rotation: bellwether.RotationStrict})
//	defer srv.Close()
//	client := &http.Client{Transport: &http.Transport{DialContext: srv.DialContext}}
//	grant := srv.Issue("bob")
//
// What goes wrong is scripted call by call:
//
//	srv.Inject(oauthtest.Throttle(30*time.Second), oauthtest.DropAfterCommit())
package oauthtest
