package embedded

import (
	"encoding/gob"
	"fmt"
	"io"
	"time"
)

// MostKeys is how many keys a server may hold to be saved.
const MostKeys = 20_000

// A snapshot is what Save writes.
type snapshot struct {
	At   time.Time
	Keys []entry
}

// An entry is a key of one of the types that redisstore uses.
type entry struct {
	Key    string
	TTL    time.Duration // 0: none
	Kind   string
	String string
	Hash   map[string]string
	Set    map[string]float64 // sorted
}

// Save writes what a server holds, for Load: strings, hashes and sorted sets. A server of
// more than MostKeys keys, or with another type, is an error. Nobody may write meanwhile.
func (s *Server) Save(w io.Writer) error {
	keys := s.mini.Keys()
	if len(keys) > MostKeys {
		return fmt.Errorf("embedded: %d keys are too many to save", len(keys))
	}
	snap := snapshot{At: time.Now()}
	for _, key := range keys {
		e := entry{Key: key, TTL: s.mini.TTL(key)}
		if err := s.read(&e); err != nil {
			return err
		}
		snap.Keys = append(snap.Keys, e)
	}
	return gob.NewEncoder(w).Encode(snap)
}

func (s *Server) read(e *entry) error {
	var err error
	switch e.Kind = s.mini.Type(e.Key); e.Kind {
	case "": // it has expired meanwhile
	case "string":
		e.String, err = s.mini.Get(e.Key)
	case "hash":
		var fields []string
		fields, err = s.mini.HKeys(e.Key)
		e.Hash = make(map[string]string, len(fields))
		for _, f := range fields {
			e.Hash[f] = s.mini.HGet(e.Key, f)
		}
	case "zset":
		e.Set, err = s.mini.SortedSet(e.Key)
	default:
		err = fmt.Errorf("embedded: a key of type %s cannot be saved", e.Kind)
	}
	return err
}

// Load puts what Save has written into an empty server. Time has passed for the TTLs
// meanwhile. After an error the server is as it was.
func (s *Server) Load(r io.Reader) error {
	var snap snapshot
	if err := gob.NewDecoder(r).Decode(&snap); err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	passed := max(time.Since(snap.At), 0)
	for _, e := range snap.Keys {
		if e.TTL != 0 && e.TTL <= passed {
			continue
		}
		switch e.Kind {
		case "string":
			if err := s.mini.Set(e.Key, e.String); err != nil {
				return err
			}
		case "hash":
			for f, v := range e.Hash {
				s.mini.HSet(e.Key, f, v)
			}
		case "zset":
			for member, score := range e.Set {
				if _, err := s.mini.ZAdd(e.Key, score, member); err != nil {
					return err
				}
			}
		}
		if e.TTL != 0 {
			s.mini.SetTTL(e.Key, e.TTL-passed)
		}
	}
	return nil
}
