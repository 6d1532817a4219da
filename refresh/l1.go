package refresh

import (
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
)

// forever is a monotonic deadline that never comes.
const forever = math.MaxInt64

// A value is a row as this replica last read or wrote it. It does not change,
// but for the deadline next. Deadlines are nanoseconds on the Refresher's
// monotonic clock.
type value struct {
	// next is the deadline until which a plain caller is served without a second
	// look: the earliest of the start of a window, the end, and the time to read
	// the row again. Written under entry.mu.
	next  atomic.Int64
	stale atomic.Bool // the row may have changed: read it before serving

	access Access
	oauth  *oauth2.Token // shared by every Source, as by oauth2.ReuseTokenSource
	snap   bellwether.Snapshot
	prov   *provider // nil when the row names one that is not configured

	former    bellwether.Secret // the access token that this one replaced, when known
	advisory  int64             // start of the window
	mandatory int64
	ends      int64
	life      time.Duration // 0 when unknown
	readAt    int64         // under entry.mu
}

// lives reports whether the access token can be served.
func (v *value) lives(now int64) bool {
	return v != nil && now < v.ends && v.snap.State != bellwether.StateRevoking
}

// An entry is the place of one row in the L1. A Source keeps it; an entry that
// was evicted is empty and stays so.
type entry struct {
	cur  atomic.Pointer[value] // nil: nothing known
	used atomic.Bool           // since the clock hand came by

	id   string
	hash uint64
	next atomic.Pointer[entry] // in its bucket
	pins atomic.Int32          // flights and callers that need events for it

	mu      sync.Mutex
	evicted bool
	marks   int64                              // changes heard of: a read that began before the last one is stale
	high    int64                              // highest generation seen
	client  string                             // Snapshot.Client
	denials map[bellwether.AttemptKind]*denial // why no attempt is made just now
	kept    *kept                              // an answer that is not stored yet
	heard   chan struct{}
	reading *reading      // under way
	fresh   time.Duration // life of the newest token seen to be made by a refresh
	// committed is the newest generation heard of that a refresh has made: a save may
	// bring a token that has less than its whole life left.
	committed int64
	away      bool // the last re-read failed
}

// hit returns the value when a plain caller may have it as it is.
func (e *entry) hit(now int64) *value {
	v := e.cur.Load()
	if v == nil || now >= v.next.Load() {
		return nil
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return v
}

// knownClient is what a read needs to bring the client's cooldown along; blank before the
// first read of the row.
func (e *entry) knownClient() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.client
}

// watch returns a channel that is closed at the next event for the row. Register
// before reading the row, or the event may be missed.
func (e *entry) watch() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.heard == nil {
		e.heard = make(chan struct{})
	}
	return e.heard
}

func (e *entry) wakeLocked() {
	if e.heard != nil {
		close(e.heard)
		e.heard = nil
	}
}

// markLocked makes the next caller read the row before it is served.
func (e *entry) markLocked() {
	e.marks++
	clear(e.denials)
	if v := e.cur.Load(); v != nil {
		v.stale.Store(true)
		v.next.Store(0)
	}
}

// dropLocked forgets the token.
func (e *entry) dropLocked() {
	e.markLocked()
	e.cur.Store(nil)
}

// The l1 maps ids to entries. Reading takes no lock: a bucket is a chain of
// atomic pointers. It is bounded by second-chance eviction.
type l1 struct {
	seed    maphash.Seed
	buckets []atomic.Pointer[entry]
	size    int

	mu   sync.Mutex // guards what follows, and every write to a chain
	ring []*entry
	hand int
}

func newL1(size int) *l1 {
	n := 1 << bits.Len(uint(max(size, 16)-1))
	return &l1{seed: maphash.MakeSeed(), buckets: make([]atomic.Pointer[entry], n), size: max(size, 1)}
}

func (c *l1) lookup(id string) *entry {
	h := maphash.String(c.seed, id)
	for e := c.buckets[h&uint64(len(c.buckets)-1)].Load(); e != nil; e = e.next.Load() {
		if e.hash == h && e.id == id {
			return e
		}
	}
	return nil
}

// pin returns the entry of id, made when it is missing, and keeps it from being
// evicted until it is unpinned.
func (c *l1) pin(id string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.lookup(id)
	if e == nil {
		for len(c.ring) >= c.size && c.evictLocked() {
		}
		e = &entry{id: id, hash: maphash.String(c.seed, id)}
		bucket := c.bucket(e)
		e.next.Store(bucket.Load())
		bucket.Store(e)
		c.ring = append(c.ring, e)
	} else {
		e.used.Store(true) // only now: rows asked for once make way first
	}
	e.pins.Add(1)
	return e
}

func (e *entry) unpin() { e.pins.Add(-1) }

func (c *l1) bucket(e *entry) *atomic.Pointer[entry] {
	return &c.buckets[e.hash&uint64(len(c.buckets)-1)]
}

// mostSpared bounds the second chances of one eviction: where all rows are in use, the
// clock hand would go round all of them while others wait for a place.
const mostSpared = 128

// evictLocked removes one entry that was not used lately. It reports false when
// every entry is pinned: callers under way may exceed the bound.
func (c *l1) evictLocked() bool {
	spared := 0
	for range 2 * len(c.ring) {
		c.hand %= len(c.ring)
		e := c.ring[c.hand]
		if e.pins.Load() > 0 {
			c.hand++
			continue
		}
		if e.used.Swap(false) && spared < mostSpared {
			spared++
			c.hand++
			continue
		}
		if !e.retire() {
			c.hand++
			continue
		}
		last := len(c.ring) - 1
		c.ring[c.hand], c.ring[last] = c.ring[last], nil
		c.ring = c.ring[:last]
		for p := c.bucket(e); p.Load() != nil; p = &p.Load().next {
			if p.Load() == e {
				p.Store(e.next.Load())
				break
			}
		}
		return true
	}
	return false
}

// retire empties an entry for good, unless it keeps an answer that is not stored.
func (e *entry) retire() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kept != nil {
		return false
	}
	e.evicted = true
	e.cur.Store(nil)
	return true
}

// each calls f for every entry that there is when it begins. It holds up nobody who needs
// a place meanwhile.
func (c *l1) each(f func(*entry)) {
	c.mu.Lock()
	ring := slices.Clone(c.ring)
	c.mu.Unlock()
	for _, e := range ring {
		f(e)
	}
}

func (c *l1) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ring)
}
