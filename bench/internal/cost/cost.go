// Package cost measures what one call of a function takes: time and allocations.
package cost

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrMissed is a call that did not do what it is measured for.
var ErrMissed = errors.New("bench: a call gave no token")

// PerCall is the time in ns that one call takes of the whole, as testing.B.RunParallel
// counts, when as many callers as processors call without pause for at least a time. f
// reports whether it did its work. The cost of calling a func value is in it. GOMAXPROCS
// is procs meanwhile, so nothing else may be measured at the same time.
func PerCall(procs int, least time.Duration, f func() bool) (float64, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	for calls := 1000; ; {
		var missed atomic.Bool
		var wg sync.WaitGroup
		begun := time.Now()
		for range procs {
			wg.Go(func() {
				for range calls {
					if !f() {
						missed.Store(true)
						return
					}
				}
			})
		}
		wg.Wait()
		took := time.Since(begun)
		switch {
		case missed.Load():
			return 0, ErrMissed
		case took >= least:
			return float64(took) / float64(procs*calls), nil
		}
		calls = more(calls, took, least)
	}
}

// more is how many calls take a little longer than least, when so many took too little.
func more(calls int, took, least time.Duration) int {
	aim := 1.2 * float64(least) / float64(max(took, 1))
	return int(float64(calls) * min(100, max(1.2, aim)))
}

// Median measures functions in turn, each so often, and gives each the median of its
// samples: a moment in which the machine does something else meets all of them, and
// counts for none.
func Median(ctx context.Context, procs, times int, least time.Duration, fs ...func() bool) ([]float64, error) {
	samples := make([][]float64, len(fs))
	for range times {
		for i, f := range fs {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			ns, err := PerCall(procs, least, f)
			if err != nil {
				return nil, err
			}
			samples[i] = append(samples[i], ns)
		}
	}
	medians := make([]float64, len(fs))
	for i, s := range samples {
		slices.Sort(s)
		medians[i] = (s[(times-1)/2] + s[times/2]) / 2
	}
	return medians, nil
}

// Allocations is how many f makes in the mean, as a whole number, as
// testing.AllocsPerRun. Of some tries the least counts: other goroutines may allocate
// meanwhile.
func Allocations(f func()) float64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const tries, calls = 5, 1000
	least := -1.0
	for range tries {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range calls {
			f()
		}
		runtime.ReadMemStats(&after)
		mean := float64((after.Mallocs - before.Mallocs) / calls)
		if least < 0 || mean < least {
			least = mean
		}
	}
	return least
}
