// Package wire reads the answers of OAuth token endpoints and builds the
// requests to them. It holds what the providers have in common: a reader that
// keeps what stands before the first fault of a body, the order in which an
// answer is judged, and checks of URLs.
//
// It does no I/O. Nothing here panics, whatever the bytes, and no error holds
// any part of a body beyond a cleaned error code.
package wire
