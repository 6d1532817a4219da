// Package turns lets goroutines that want the same thing go one after the other.
package turns

import (
	"context"
	"sync"
)

// Turns are kept by key. Those who write rows would get by without: each compares before
// it writes. But of many at once all but one would have to start over, again and again.
// The zero Turns is ready.
type Turns struct {
	mu      sync.Mutex
	waiting map[string]*turn
}

type turn struct {
	free  chan struct{} // holds one value while nobody has the turn
	users int           // those who have it or wait for it
}

// Take waits until nobody else has the turn of key, or ctx ends.
func (t *Turns) Take(ctx context.Context, key string) (done func(), err error) {
	t.mu.Lock()
	if t.waiting == nil {
		t.waiting = make(map[string]*turn)
	}
	mine := t.waiting[key]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		t.waiting[key] = mine
	}
	mine.users++
	t.mu.Unlock()

	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.users--; mine.users == 0 {
			delete(t.waiting, key)
		}
	}
	select {
	case <-mine.free:
		return func() { mine.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
