package redisstore

import (
	"github.com/bellwether-go/bellwether"
)

// For tests of the index.

// IndexKey names the entry of a refresh, grant or access token ("rt", "gt", "at") or
// of a user name ("user").
func (s *Store) IndexKey(kind, value string) string { return s.keys.index(kind, value) }

// UserMember is the member of a row in the entry of its user name.
func (s *Store) UserMember(t bellwether.Token) string { return s.keys.narrowing(t) + t.ID }

// DueKey names the due set of a row.
func (s *Store) DueKey(id string) string { return s.keys.due(id) }

// Idle waits for the work that is left after commits.
func (s *Store) Idle() { s.tails.done.Wait() }
