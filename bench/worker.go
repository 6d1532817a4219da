package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
)

// callerPatience is how long a caller of a replica waits for its token.
const callerPatience = 30 * time.Second

// progressEvery is how often a replica says how many callers have returned.
const progressEvery = 100 * time.Millisecond

var errLate = errors.New("bench: the token that was saved does not arrive")

// RunWorker is the main of a replica: it reads a setup and orders from in, and writes
// news to out, until in ends or ctx does.
func RunWorker(ctx context.Context, in io.Reader, out io.Writer) error {
	redis.SetLogger(quiet{})
	slog.SetDefault(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	w := &worker{out: json.NewEncoder(out)}
	w.meter.calling = func() {
		w.meter.mark("calling", time.Now())
		w.say(news{Word: newsCalling})
	}
	lines := json.NewDecoder(in)
	if err := lines.Decode(&w.setup); err != nil {
		return fmt.Errorf("bench: setup of a replica: %w", err)
	}
	src, err := w.open(ctx)
	if err != nil {
		w.say(news{Word: newsFailed, Err: err.Error()})
		return nil
	}
	defer src.close()
	w.source = src

	orders := make(chan order)
	go func() {
		defer cancel()
		for {
			var o order
			if lines.Decode(&o) != nil {
				return
			}
			select {
			case orders <- o:
			case <-ctx.Done():
				return
			}
		}
	}()
	w.say(news{Word: newsReady})
	for {
		select {
		case o := <-orders:
			w.say(w.obey(ctx, o))
		case <-ctx.Done():
			return nil
		}
	}
}

// A worker is the state of a replica.
type worker struct {
	setup  setup
	source source
	meter  meter
	answer []answer
	held   []oauth2.TokenSource // after orderReadIn, one a row

	mu  sync.Mutex
	out *json.Encoder
}

// An answer is what one caller got.
type answer struct {
	wait  time.Duration // since the release
	token bellwether.Secret
	err   error
}

// say writes one line. When nobody listens any more the input ends too.
func (w *worker) say(n news) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.out.Encode(n)
}

func (w *worker) open(ctx context.Context) (source, error) {
	if open := openers[w.setup.Source]; open != nil {
		return open(ctx, w.setup, &w.meter)
	}
	return nil, fmt.Errorf("bench: unknown source %q", w.setup.Source)
}

func (w *worker) obey(ctx context.Context, o order) news {
	switch o.Do {
	case orderWarm:
		err := w.source.warm(ctx)
		if err != nil && !errors.Is(err, errLate) {
			return news{Word: newsFailed, Err: err.Error()}
		}
		return news{Word: newsWarmed, Late: err != nil}
	case orderHerd:
		return w.herd(ctx, o)
	case orderLoad:
		n, err := w.load(ctx, o)
		if err != nil {
			return news{Word: newsFailed, Err: err.Error()}
		}
		return n
	case orderList:
		n, err := w.list(ctx, o.Tokens)
		if err != nil {
			return news{Word: newsFailed, Err: err.Error()}
		}
		return n
	case orderReadIn:
		n, err := w.readIn(ctx)
		if err != nil {
			return news{Word: newsFailed, Err: err.Error()}
		}
		return n
	case orderHold:
		n, err := w.hold(ctx, o)
		if err != nil {
			return news{Word: newsFailed, Err: err.Error()}
		}
		return n
	case orderCollect:
		n, err := w.collect(ctx, o)
		if err != nil {
			return news{Word: newsFailed, Err: err.Error()}
		}
		return n
	}
	return news{Word: newsFailed, Err: fmt.Sprintf("bench: unknown order %q", o.Do)}
}

// herd releases all callers at the order's instant and waits for them.
func (w *worker) herd(ctx context.Context, o order) news {
	now := time.Now()
	release := now.Add(time.Unix(0, o.At).Sub(now)) // on the monotonic clock from here on
	w.meter.reset(release)
	w.answer = make([]answer, w.setup.Callers)
	ctx, cancel := context.WithDeadline(ctx, release.Add(callerPatience))
	defer cancel()

	var wg sync.WaitGroup
	var returned atomic.Int64
	gate := make(chan struct{})
	for i := range w.answer {
		wg.Go(func() {
			growStack()
			<-gate
			token, err := w.source.token(ctx, i%len(w.setup.Rows))
			w.answer[i] = answer{time.Since(release), token, err}
			returned.Add(1)
		})
	}
	leave := make(chan struct{})
	for range w.setup.Leavers {
		wg.Go(func() {
			<-leave
			ctx, cancel := context.WithTimeout(ctx, leaverPatience)
			defer cancel()
			_, _ = w.source.token(ctx, 0) // whatever it gets
		})
	}
	stop := w.progress(&returned)
	late := time.Now().After(release)
	time.Sleep(time.Until(release))
	close(leave)
	if w.setup.Leavers > 0 {
		time.Sleep(leaverLead)
	}
	close(gate)
	wg.Wait()
	stop()
	n := news{Word: newsDone, Late: late, Commit: w.meter.committed(), Marks: w.meter.marked()}
	for _, a := range w.answer {
		n.Took = max(n.Took, a.wait)
	}
	return n
}

// A leaver asks so much earlier than the other callers, so that it is one who begins
// what they wait for, and gives up after so long.
const (
	leaverLead     = 5 * time.Millisecond
	leaverPatience = 50 * time.Millisecond
)

// growStack gives the calling goroutine the stack that a caller in the depth of a
// handler has: growing it is no part of what is measured.
//
//go:noinline
func growStack() {
	var frame [16 << 10]byte
	runtime.KeepAlive(&frame)
}

// progress tells how many callers have returned until stop is called.
func (w *worker) progress(returned *atomic.Int64) (stop func()) {
	if !w.setup.Progress {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.say(news{Word: newsProgress, Returned: int(returned.Load())})
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// newHTTPClient is a client for loopback: no proxy, one connection a request.
func newHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true},
		Timeout:   callerPatience,
	}
}

// quiet drops what go-redis logs: a demo kills connections on purpose.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
