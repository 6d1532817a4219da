// Package rules decides what a write makes of a row, for stores that look at rows and
// write one in a single critical section: a mutex, a file lock, a transaction. It does
// no I/O, and keeps no superseded secret: the past of a row is digests.
//
// The rules themselves stand on bellwether.Store and bellwether.Durable.
package rules
