package refresh

import (
	"sync"
	"sync/atomic"
)

// A reading is one re-read of a row for all callers who ask for it while it runs. It
// does not end with any of them.
type reading struct {
	e    *entry
	old  *value        // what the first of them has found wanting
	done chan struct{} // closed when v and err are set
	v    *value
	err  error
}

// mostIdle is how many goroutines stay for more readings when there are none.
const mostIdle = 64

// readers are the goroutines that run the readings. They stay for more: a new one would
// first have to grow its stack.
type readers struct {
	work chan *reading  // closed by Close, when nobody sends any more
	idle atomic.Int32   // how many wait for work
	wg   sync.WaitGroup // all of them
}

// startReading returns the reading of e that is under way, or a new one. The caller has
// e pinned; old is what a new reading may spare itself if something newer is there.
func (r *Refresher) startReading(e *entry, old *value) *reading {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reading != nil {
		return e.reading
	}
	rd := &reading{e: e, old: old, done: make(chan struct{})}
	if !r.enter() {
		rd.err = errClosed
		close(rd.done)
		return rd
	}
	e.pins.Add(1) // the caller may leave before the reading ends
	e.reading = rd
	select {
	case r.readers.work <- rd:
	default:
		r.readers.wg.Go(func() { r.serveReadings(rd) })
	}
	return rd
}

// serveReadings runs a reading, and those that come after it.
func (r *Refresher) serveReadings(rd *reading) {
	for ok := true; ok; {
		r.runReading(rd)
		if r.readers.idle.Add(1) > mostIdle {
			r.readers.idle.Add(-1)
			return
		}
		rd, ok = <-r.readers.work
		r.readers.idle.Add(-1)
	}
}

func (r *Refresher) runReading(rd *reading) {
	defer r.leave()
	e := rd.e
	defer e.unpin()
	if rd.v = r.newer(e, rd.old); rd.v == nil {
		_, rd.v, rd.err = r.read(r.ctx, e, "")
		rd.err = r.unlessClosed(rd.err)
	}
	e.mu.Lock()
	e.reading = nil
	e.mu.Unlock()
	close(rd.done)
}
