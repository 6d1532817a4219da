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

	"github.com/bellwether-go/bellwether"
)

// callerPatience is how long a caller of a replica waits for its token.
const callerPatience = 30 * time.Second

// progressEvery is how often a replica says how many callers have returned.
const progressEvery = 100 * time.Millisecond

// A source is what the callers of a replica ask for a token.
type source interface {
	// warm opens connections and reads what can be cached; it refreshes nothing. With
	// errLate the replica does not hold what was saved for it.
	warm(ctx context.Context) error
	token(ctx context.Context) (bellwether.Secret, error)
	close()
}

var errLate = errors.New("bench: the token that was saved does not arrive")

// RunWorker is the main of a replica: it reads a setup and orders from in, and writes
// news to out, until in ends or ctx does.
func RunWorker(ctx context.Context, in io.Reader, out io.Writer) error {
	redis.SetLogger(quiet{})
	slog.SetDefault(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	w := &worker{out: json.NewEncoder(out)}
	w.meter.calling = func() { w.say(news{Word: newsCalling}) }
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
	switch w.setup.Source {
	case SourceShared:
		return openShared(w.setup, &w.meter)
	case SourceBellwether:
		return openBellwether(ctx, w.setup, &w.meter)
	case SourceBare:
		return openBare(ctx, w.setup, &w.meter)
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
			token, err := w.source.token(ctx)
			w.answer[i] = answer{time.Since(release), token, err}
			returned.Add(1)
		})
	}
	stop := w.progress(&returned)
	time.Sleep(time.Until(release))
	close(gate)
	wg.Wait()
	stop()
	n := news{Word: newsDone, Commit: w.meter.committed()}
	for _, a := range w.answer {
		n.Took = max(n.Took, a.wait)
	}
	return n
}

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

// errTokenDead is what a caller meets who got a token of a grant that was revoked.
var errTokenDead = errors.New("the provider's API refuses the token")

// collect sorts the answers of the last herd and counts their times.
func (w *worker) collect(ctx context.Context, o order) (news, error) {
	n := news{Word: newsCollected, Failures: map[string]int{}, Commands: w.meter.snapshot()}
	good := map[string]bool{}
	for _, a := range w.answer {
		text := a.token.Reveal()
		if _, known := good[text]; !known && a.err == nil {
			ok, err := w.accepts(ctx, a.token)
			if err != nil {
				return news{}, err
			}
			good[text] = ok
		}
		if a.err == nil && !good[text] {
			a.err = errTokenDead
		}
		extra := a.wait
		if a.err == nil {
			extra -= o.Service
		} else {
			n.Failures[a.err.Error()]++
		}
		if err := n.ExtraWait.Record(extra); err != nil {
			return news{}, fmt.Errorf("extra wait: %w", err)
		}
		if text != "" && o.Commit >= 0 {
			if err := n.Handover.Record(a.wait - o.Commit); err != nil {
				return news{}, fmt.Errorf("hand-over: %w", err)
			}
		}
	}
	return n, nil
}

// accepts asks the provider's API whether it takes a token.
func (w *worker) accepts(ctx context.Context, token bellwether.Secret) (bool, error) {
	p, err := w.setup.Provider.provider()
	if err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.setup.Provider.APIURL, nil)
	if err != nil {
		return false, err
	}
	scheme := p.Profile().HeaderScheme
	if scheme == "" {
		scheme = "Bearer"
	}
	req.Header.Set("Authorization", scheme+" "+token.Reveal())
	c := newHTTPClient()
	defer c.CloseIdleConnections()
	resp, err := c.Do(req)
	if err != nil {
		return false, err
	}
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusUnauthorized:
		return false, nil
	}
	return false, fmt.Errorf("bench: the provider's API answered %s", resp.Status)
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
