package refresh

import (
	"fmt"
	"sync"
	"testing"
)

func TestL1IsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	c := newL1(64)
	hot := c.pin("hot")
	hot.unpin()
	hot.used.Store(true)
	for i := range 10_000 {
		c.pin(fmt.Sprint(i)).unpin()
		if e := c.lookup("hot"); e != hot {
			t.Fatalf("after %d others the entry in use is gone", i+1)
		}
		hot.used.Store(true)
	}
	if n := c.len(); n != 64 {
		t.Errorf("%d entries, want 64", n)
	}
}

func TestL1KeepsPinned(t *testing.T) {
	c := newL1(8)
	var pinned []*entry
	for i := range 32 {
		pinned = append(pinned, c.pin(fmt.Sprint("p", i)))
	}
	for i := range 100 {
		c.pin(fmt.Sprint(i)).unpin()
	}
	for _, e := range pinned {
		if c.lookup(e.id) != e {
			t.Fatalf("pinned entry %s is gone", e.id)
		}
		e.unpin()
	}
	for i := range 1000 {
		c.pin(fmt.Sprint("q", i)).unpin()
	}
	if n := c.len(); n != 8 {
		t.Errorf("%d entries once nothing is pinned, want 8", n)
	}
}

func TestL1EvictedEntryIsEmpty(t *testing.T) {
	c := newL1(1)
	e := c.pin("a")
	e.cur.Store(&value{})
	e.unpin()
	c.pin("b").unpin()
	c.pin("c").unpin()
	if c.lookup("a") != nil || e.cur.Load() != nil || !e.evicted {
		t.Error("an evicted entry is still found, or still holds its token")
	}
}

func TestL1ReadersDuringEviction(t *testing.T) {
	c := newL1(16)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20_000 {
				id := fmt.Sprint((i * (g + 1)) % 200)
				e := c.pin(id)
				if c.lookup(id) != e || e.id != id {
					t.Errorf("lookup(%s) gives another entry", id)
				}
				e.unpin()
			}
		})
	}
	wg.Wait()
	if n := c.len(); n > 16+4 {
		t.Errorf("%d entries, bound 16", n)
	}
}

// Where every row is in use, few of them are looked at to find one that gives way.
func TestL1EvictionIsShortWhenAllIsInUse(t *testing.T) {
	c := newL1(10 * mostSpared)
	var used []*entry
	for i := range 10 * mostSpared {
		e := c.pin(fmt.Sprint(i))
		e.used.Store(true)
		e.unpin()
		used = append(used, e)
	}
	c.pin("new").unpin()
	if n := c.len(); n != 10*mostSpared {
		t.Errorf("%d entries, want %d", n, 10*mostSpared)
	}
	lost := 0
	for _, e := range used {
		if !e.used.Load() {
			lost++
		}
	}
	if lost > mostSpared+1 {
		t.Errorf("%d rows have lost their second chance for one new row, want at most %d", lost, mostSpared+1)
	}
}
