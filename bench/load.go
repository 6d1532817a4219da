package bench

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/report"
)

// Open-loop load: callers arrive on a schedule that is made before the first of them and
// waits for nobody. A subject that falls behind meets all the callers that life would
// send it, and each of them counts from the instant at which it should have come.

// A load is what a replica measured under orderLoad.
type load struct {
	// Waits are of all callers, from the arrival on the schedule to the return. A timer
	// fires late, by up to a millisecond when nothing else runs: no wait is better than
	// the schedule's own. Failed are the waits of those that failed.
	Waits  report.Histogram
	Failed report.Histogram
	// Calls are the same without that: from the start of the call. A hit in memory takes
	// less than half of the unit and is counted as 0.
	Calls report.Histogram

	Arrivals int // on the schedule
	Dropped  int // never began: too many were under way
	Late     int // began more than lateBy after their time: the machine is too slow
	// Failures are what failed callers were told; FailedRows how many they were, by row.
	Failures   map[string]int
	FailedRows map[int]int
	LastFailed time.Duration // since the release: when the last of them returned
}

const (
	// mostInFlight bounds the callers of a replica that are under way at once.
	mostInFlight = 10_000
	lateBy       = 10 * time.Millisecond
)

// An arrival is a caller that is to come.
type arrival struct {
	at  time.Duration // since the release
	row int
}

// schedule is the arrivals at a rate, as of independent callers: exponential gaps, rows
// drawn evenly. The same seed makes the same schedule.
func schedule(seed uint64, rate float64, length time.Duration, rows int) iter.Seq[arrival] {
	return func(yield func(arrival) bool) {
		r := rand.New(rand.NewPCG(seed, 0))
		for at := 0.0; ; {
			at += r.ExpFloat64() / rate
			d := time.Duration(at * float64(time.Second))
			if d >= length || !yield(arrival{d, r.IntN(rows)}) {
				return
			}
		}
	}
}

// A tally is a load that is being measured.
type tally struct {
	mu     sync.Mutex
	load   load
	tokens map[string]*served // by their text
	err    error
}

// served is how many callers got a token.
type served struct {
	token bellwether.Secret
	row   int
	count int
}

// load lets callers arrive as the order says, and waits for them.
func (w *worker) load(ctx context.Context, o order) (news, error) {
	now := time.Now()
	release := now.Add(time.Unix(0, o.At).Sub(now)) // on the monotonic clock from here on
	w.meter.reset(release)
	patience, cancel := context.WithDeadline(ctx, release.Add(o.For+callerPatience))
	defer cancel()

	arrivals := schedule(uint64(o.Round)<<32|uint64(w.setup.Number), o.Rate, o.For, len(w.setup.Rows))
	t := &tally{tokens: map[string]*served{}}
	slots := make(chan struct{}, mostInFlight)
	var wg sync.WaitGroup
	for a := range arrivals {
		t.load.Arrivals++
		due := release.Add(a.at)
		if d := time.Until(due); d > 0 && sleep(patience, d) != nil {
			break
		}
		select {
		case slots <- struct{}{}:
		default:
			t.load.Dropped++
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			begun := time.Now()
			token, err := w.source.token(patience, a.row)
			end := time.Now()
			t.add(a.row, begun.Sub(due), end.Sub(begun), end.Sub(release), token, err)
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return news{}, fmt.Errorf("bench: the load was cut off: %w", err)
	}
	n := news{Word: newsLoaded, Load: &t.load, Commands: w.meter.snapshot(), Marks: w.meter.marked()}
	if t.err != nil {
		return news{}, t.err
	}
	return n, w.checkTokens(ctx, t)
}

// add counts one caller.
func (t *tally) add(row int, late, took, at time.Duration, token bellwether.Secret, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	late = max(late, 0) // a timer that fires early by the clock's resolution
	if late > lateBy {
		t.load.Late++
	}
	t.record(&t.load.Waits, late+took)
	t.record(&t.load.Calls, took)
	if err != nil {
		t.record(&t.load.Failed, late+took)
		t.load.LastFailed = max(t.load.LastFailed, at)
		t.fail(row, err, 1)
		return
	}
	text := token.Reveal()
	if t.tokens[text] == nil {
		t.tokens[text] = &served{token: token, row: row}
	}
	t.tokens[text].count++
}

func (t *tally) record(h *report.Histogram, d time.Duration) {
	if err := h.Record(d); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *tally) fail(row int, err error, callers int) {
	if t.load.Failures == nil {
		t.load.Failures, t.load.FailedRows = map[string]int{}, map[int]int{}
	}
	t.load.Failures[failure(err)] += callers
	t.load.FailedRows[row] += callers
}

// checkTokens counts callers as failed who got a token that the provider's API refuses.
// All tokens of a scenario under load are ones whose life outlasts it.
func (w *worker) checkTokens(ctx context.Context, t *tally) error {
	if w.setup.Source.raw() {
		return nil
	}
	api := newAPIClient()
	defer api.CloseIdleConnections()
	for _, s := range t.tokens {
		ok, err := w.accepts(ctx, api, s.token)
		if err != nil {
			return err
		}
		if !ok {
			t.fail(s.row, errTokenDead, s.count)
		}
	}
	return nil
}
