package redisstore

import "github.com/redis/go-redis/v9"

// For tests that look at, or damage, what lies in Redis.

func (s *Store) RowKey(id string) string          { return s.keys.row(id) }
func (s *Store) LockKey(id string) string         { return s.keys.lock(id) }
func (s *Store) RawClient() redis.UniversalClient { return s.client }

var PeekFields = peekFields

// DeleteScript is the name by which the server knows the script.
func (s *Store) DeleteScript() string { return s.scripts.delete.Hash() }
