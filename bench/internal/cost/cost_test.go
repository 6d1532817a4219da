package cost

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestPerCall(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	var calls atomic.Int64
	begun := time.Now()
	got, err := PerCall(3, 20*time.Millisecond, func() bool {
		calls.Add(1)
		return true
	})
	if err != nil || got <= 0 || calls.Load()%3 != 0 || time.Since(begun) < 20*time.Millisecond {
		t.Errorf("%v, %v after %d calls in %v", got, err, calls.Load(), time.Since(begun))
	}
	calls.Store(10)
	if _, err := PerCall(3, time.Millisecond, func() bool { return calls.Add(-1) >= 0 }); !errors.Is(err, ErrMissed) {
		t.Errorf("a call without a token: %v", err)
	}
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("GOMAXPROCS is %d, was %d", got, before)
	}
}

// TestMore: the number of calls grows to what takes the time, by no more than a hundred at
// once, and always.
func TestMore(t *testing.T) {
	for _, c := range []struct {
		took, least time.Duration
		want        int
	}{{10, 100, 12_000}, {0, 1000, 100_000}, {99, 100, 1212}, {100, 100, 1200}} {
		if got := more(1000, c.took, c.least); got != c.want {
			t.Errorf("1000 calls in %v of %v: next %d, want %d", c.took, c.least, got, c.want)
		}
	}
}

func TestMedian(t *testing.T) {
	var order []string
	note := func(name string) func() bool {
		return func() bool {
			if len(order) == 0 || order[len(order)-1] != name {
				order = append(order, name)
			}
			return true
		}
	}
	got, err := Median(t.Context(), 1, 3, time.Microsecond, note("a"), note("b"))
	if err != nil || len(got) != 2 || got[0] <= 0 || got[1] <= 0 {
		t.Errorf("%v, %v", got, err)
	}
	if want := []string{"a", "b", "a", "b", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Median(ctx, 1, 3, time.Hour, note("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

var escaped *int

func TestAllocations(t *testing.T) {
	if got := Allocations(func() {}); got != 0 {
		t.Errorf("nothing makes %v allocations", got)
	}
	if got := Allocations(func() { escaped = new(int); escaped = new(int) }); got != 2 {
		t.Errorf("two allocations are counted as %v", got)
	}
}
