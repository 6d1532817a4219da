package bench

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A scriptedSource answers as its function does.
type scriptedSource func(ctx context.Context, row int) (bellwether.Secret, error)

func (scriptedSource) warm(context.Context) error { return nil }
func (scriptedSource) close()                     {}
func (f scriptedSource) token(ctx context.Context, row int) (bellwether.Secret, error) {
	return f(ctx, row)
}

// underScript runs one load over a source on a clock of its own.
func underScript(t *testing.T, o order, f scriptedSource) *load {
	w := &worker{source: f, setup: setup{Source: SourceHMGet, Rows: []string{"a", "b", "c"}}}
	o.At = time.Now().Add(lead).UnixNano()
	n, err := w.load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return n.Load
}

func TestSchedule(t *testing.T) {
	first := slices.Collect(schedule(7, 1000, 10*time.Second, 4))
	if again := slices.Collect(schedule(7, 1000, 10*time.Second, 4)); !slices.Equal(first, again) {
		t.Error("the same seed makes another schedule")
	}
	if other := slices.Collect(schedule(8, 1000, 10*time.Second, 4)); slices.Equal(first, other) {
		t.Error("another seed makes the same schedule")
	}
	// 10,000 are expected; a Poisson process misses that by more than 5 standard
	// deviations in none of a million schedules.
	if n := len(first); n < 9_500 || n > 10_500 {
		t.Errorf("%d arrivals in 10 s at 1000 a second", n)
	}
	rows := map[int]int{}
	var last time.Duration
	for _, a := range first {
		if a.at < last || a.at >= 10*time.Second {
			t.Fatalf("an arrival at %v after one at %v", a.at, last)
		}
		last = a.at
		rows[a.row]++
	}
	for row := range 4 {
		if n := rows[row]; n < 2_200 || n > 2_800 {
			t.Errorf("%d of %d arrivals are for row %d of 4", n, len(first), row)
		}
	}
}

// TestLoadWaitsFromTheSchedule: one stop of the subject is met by all callers who come
// meanwhile, not by one of them.
func TestLoadWaitsFromTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := time.Now().Add(lead + time.Second)
		l := underScript(t, order{Rate: 1000, For: 2 * time.Second}, func(ctx context.Context, row int) (bellwether.Secret, error) {
			return bellwether.Secret{}, sleep(ctx, time.Until(busy))
		})
		if l.Dropped != 0 || l.Late != 0 || l.failed() != 0 || l.Waits.Count() != int64(l.Arrivals) {
			t.Fatalf("%+v", l)
		}
		// The callers of the first second wait for its end: half of all, 500 ms in the mean.
		if p := l.Waits.Percentiles(); p.P99 < 900 || p.Max > 1001 {
			t.Errorf("waits %+v, want a p99 of nearly a second", p)
		}
	})
}

func TestLoadCountsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		l := underScript(t, order{Rate: 300, For: time.Second}, func(ctx context.Context, row int) (bellwether.Secret, error) {
			if err := sleep(ctx, 20*time.Millisecond); row != 1 || err != nil {
				return bellwether.Secret{}, err
			}
			return bellwether.Secret{}, down
		})
		n := l.FailedRows[1]
		if n < 50 || len(l.FailedRows) != 1 || l.Failures["down"] != n || l.Failed.Count() != int64(n) {
			t.Errorf("failures %v, by row %v, %d waits", l.Failures, l.FailedRows, l.Failed.Count())
		}
		if p := l.Calls.Percentiles(); p.P50 < 19.9 || p.Max > 20.1 {
			t.Errorf("calls took %+v, want 20 ms", p)
		}
		if l.LastFailed < 900*time.Millisecond || l.LastFailed > 1020*time.Millisecond {
			t.Errorf("the last caller failed after %v", l.LastFailed)
		}
	})
}

// TestLoadIsBounded: callers who cannot begin are counted, not forgotten.
func TestLoadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := underScript(t, order{Rate: 30_000, For: time.Second}, func(ctx context.Context, row int) (bellwether.Secret, error) {
			return bellwether.Secret{}, sleep(ctx, 5*time.Second)
		})
		if l.Arrivals < 29_000 || l.Dropped != l.Arrivals-mostInFlight || l.Waits.Count() != mostInFlight {
			t.Errorf("%d arrivals, %d dropped, %d measured, want all but %d dropped", l.Arrivals, l.Dropped, l.Waits.Count(), mostInFlight)
		}
	})
}

// TestLoadPatience: a caller who gets no answer fails in the end.
func TestLoadPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := underScript(t, order{Rate: 10, For: time.Second}, func(ctx context.Context, row int) (bellwether.Secret, error) {
			<-ctx.Done()
			return bellwether.Secret{}, ctx.Err()
		})
		if l.failed() != l.Arrivals || l.LastFailed != time.Second+callerPatience {
			t.Errorf("%d of %d failed, the last after %v", l.failed(), l.Arrivals, l.LastFailed)
		}
	})
}

// TestLoadEnds: with its replica.
func TestLoadEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		w := &worker{setup: setup{Source: SourceHMGet, Rows: []string{"a"}}, source: scriptedSource(func(ctx context.Context, row int) (bellwether.Secret, error) {
			return bellwether.Secret{}, sleep(ctx, time.Minute)
		})}
		begun := time.Now()
		if _, err := w.load(ctx, order{At: begun.UnixNano(), Rate: 10, For: time.Minute}); !errors.Is(err, context.Canceled) || time.Since(begun) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(begun))
		}
	})
}
