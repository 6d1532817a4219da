package sqlstore

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/bellwether-go/bellwether"
)

// A slot is a row of the meta table that a writer locks on MySQL, so that two of us do
// not insert one identity: there is no unique key in the SDKs' table to do it. Identities
// share 256 slots; IDs are chosen under one more, whose name sorts last.
const (
	numSlots = 256
	idSlot   = "slot-id"
)

// slotOf returns the slot of an identity by its key or of a row by the digest of its ID.
func slotOf(digest []byte) string { return fmt.Sprintf("slot-%02x", digest[0]) }

func slotOfID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return slotOf(sum[:])
}

// slotsOf returns the slots that a write of t needs, as far as t tells.
func (s *Store) slotsOf(t bellwether.Token) []string {
	var slots []string
	if t.ID != "" {
		slots = append(slots, slotOfID(t.ID))
	}
	for _, k := range s.keyer.Lookup(t) {
		slots = append(slots, slotOf(k[:]))
	}
	return slots
}

// locksAtOnce is how many names the statement lock takes.
const locksAtOnce = 8

// lock takes the slots that it does not hold yet, in the order of their names. A slot
// that is taken later than others may deadlock; the database then ends one of the two,
// which begins again.
func (v *view) lock(slots []string) error {
	if v.s.dialect == SQLite { // one lock for all
		if len(v.slots) > 0 {
			return nil
		}
		v.slots[""] = true
		return v.exec("lock")
	}
	var missing []string
	for _, name := range slots {
		if !v.slots[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	for some := range slices.Chunk(slices.Compact(missing), locksAtOnce) {
		args := make([]any, locksAtOnce)
		for i := range args {
			args[i] = some[min(i, len(some)-1)]
		}
		got, err := v.texts("lock", args...)
		if err != nil {
			return err
		}
		if len(got) != len(some) {
			return misconfigured(fmt.Sprintf("table %s lacks rows", v.s.names.meta), "do not delete from it; open the store again to fill it")
		}
		for _, name := range some {
			v.slots[name] = true
		}
	}
	return nil
}

// lockAll takes every slot.
func (v *view) lockAll() error {
	if v.s.dialect == SQLite {
		return v.lock(nil)
	}
	_, err := v.texts("lock_all")
	return err
}
