package memstore

import (
	"time"

	"github.com/bellwether-go/bellwether"
)

// Condemn does to the row id what a refused refresh does in a store that runs one.
func (s *Store) Condemn(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[id].Token.State = bellwether.StateReauthRequired
	s.rows[id].Token.Failure = &bellwether.Failure{
		Reason: bellwether.ReasonRevoked, Class: bellwether.ClassRefused, Code: "invalid_grant",
		Count: 1, At: time.UnixMilli(time.Now().UnixMilli()).UTC(),
	}
}

// Tombstones counts the deleted rows that are remembered.
func (s *Store) Tombstones() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rows) - len(s.order)
}
