package refresh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/singleflight"

	"github.com/bellwether-go/bellwether"
)

// A Refresher hands out access tokens and refreshes them together with all other
// Refreshers on the same backend. It is safe for concurrent use. Make one per
// process with New and end it with Close.
type Refresher struct {
	store     Backend
	cfg       Config
	providers map[string]*provider
	wire      *wire
	base      time.Time // zero of the monotonic clock
	l1        *l1

	flights singleflight.Group // refreshes, by id
	readers readers            // re-reads
	epoch   atomic.Int64       // events that concern every row

	ctx     context.Context // ends with Close: nothing waits any longer
	cancel  context.CancelCauseFunc
	unhear  func()
	closing sync.Once
	result  error // of Close
	wg      sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	unsaved int                     // answers that Close could not store
	steady  context.Context         // ends when the local clock jumps
	jump    context.CancelCauseFunc // of steady
}

// Access is an access token as callers get it. It is shared between callers:
// Extra must not be changed.
type Access struct {
	Token     bellwether.Secret
	Type      string // token_type as the provider gave it
	APIDomain string // base URL of the API this token is for
	// ExpiresAt is on the local wall clock; zero when the life is not known.
	ExpiresAt  time.Time
	Generation int64
	Extra      map[string]bellwether.Secret // what else came with the token
}

// Want says what a caller needs beyond a token that lives. The zero Want needs
// nothing more.
type Want struct {
	// MinTTL is the least remaining life. A token issued after the call began meets
	// it, as long as its whole life does.
	MinTTL time.Duration
	// Rejected is an access token that an API has refused: another one is wanted.
	Rejected bellwether.Secret
}

// New returns a Refresher over store. It checks cfg (bellwether.ErrInvalid) and
// does no I/O beyond opening the store's event subscription.
func New(store Backend, cfg Config) (*Refresher, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if store == nil {
		return nil, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "configure", Detail: "no store"}
	}
	r := &Refresher{
		store:     store,
		cfg:       cfg,
		providers: make(map[string]*provider),
		wire:      newWire(cfg),
		base:      time.Now(),
		l1:        newL1(cfg.L1Size),
		readers:   readers{work: make(chan *reading)},
	}
	for _, p := range cfg.Providers {
		r.providers[p.Name()] = newProvider(p)
	}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	r.steady, r.jump = context.WithCancelCause(context.Background())
	r.unhear = store.Subscribe(r.hear)
	return r, nil
}

// now is the Refresher's monotonic clock, in nanoseconds.
func (r *Refresher) now() int64 { return int64(time.Since(r.base)) }

// Get returns an access token of row id that meets w, refreshing it when needed.
// A token that lives and meets w costs no I/O and is returned whatever the ctx
// says.
//
// Errors are *bellwether.Error; match their Kind: ErrNotFound; ErrReauthRequired
// (with Reason); ErrThrottled, ErrRecovering and ErrRejected (with Until);
// ErrProvider; ErrUnavailable; ErrRevoking; ErrUnknownProvider; ErrClosed;
// ErrMinTTL, with which the token is returned all the same. The end of ctx
// matches ctx.Err(). Without a deadline in ctx, Get waits for an unresolved
// earlier refresh (at most CallTimeout + CommitBudget); with one it returns
// ErrRecovering at once when that would be too late.
func (r *Refresher) Get(ctx context.Context, id string, w Want) (Access, error) {
	if e := r.l1.lookup(id); e != nil && w.Rejected.IsZero() {
		now := r.now()
		if v := e.hit(now); v != nil && (w.MinTTL <= 0 || now+int64(w.MinTTL) <= v.ends) {
			return v.access, nil
		}
	}
	v, err := r.get(ctx, id, wish{kind: bellwether.AttemptMandatory, minTTL: w.MinTTL, rejected: w.Rejected})
	if v == nil {
		return Access{}, err
	}
	return v.access, err
}

// Refresh makes a new access token though the current one may live, as an
// operator asks for. It is one forced refresh: at most one per
// Config.ForcedInterval fleet-wide, else ErrThrottled with the time; callers at
// once share it. Other errors are those of Get.
func (r *Refresher) Refresh(ctx context.Context, id string) (Access, error) {
	v, err := r.get(ctx, id, wish{kind: bellwether.AttemptForced, anew: true})
	if v == nil {
		return Access{}, err
	}
	return v.access, err
}

// Close ends the Refresher. Callers that wait get ErrClosed and no call begins
// any more; a call under way is read to its end, and answers are stored, for at
// most CallTimeout + CommitBudget. An error says that answers could not be
// stored (bellwether.ErrUnavailable). Close again returns the same.
func (r *Refresher) Close() error {
	r.closing.Do(func() {
		r.mu.Lock()
		r.closed = true
		r.mu.Unlock()
		r.cancel(errClosed)
		r.wg.Wait()
		close(r.readers.work)
		r.readers.wg.Wait()
		r.unhear()
		r.wire.close()
		r.l1.each(func(e *entry) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.dropLocked()
			e.wakeLocked()
		})
		if r.unsaved > 0 {
			r.result = &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "close",
				Detail: fmt.Sprintf("%d answers of providers could not be stored", r.unsaved),
				Hint:   "with a rotating provider these rows may need a new sign-in"}
		}
	})
	return r.result
}

// enter registers work that Close waits for; it reports false after Close.
func (r *Refresher) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.wg.Add(1)
	return true
}

func (r *Refresher) leave() { r.wg.Done() }

func (r *Refresher) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// hear takes an event of the backend. It does no I/O and waits for nothing.
func (r *Refresher) hear(ev bellwether.Event) {
	switch ev.Kind {
	case bellwether.EventResync:
		r.epoch.Add(1)
		r.l1.each(func(e *entry) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.markLocked()
			e.wakeLocked()
		})
		r.note(EventResynced, Report{})
		return
	case bellwether.EventClock:
		r.epoch.Add(1)
		r.mu.Lock()
		r.jump(errClockJumped)
		r.steady, r.jump = context.WithCancelCause(context.Background())
		r.mu.Unlock()
		r.l1.each(func(e *entry) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.dropLocked()
			e.wakeLocked()
		})
		r.note(EventClockJumped, Report{})
		return
	}
	e := r.l1.lookup(ev.ID)
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch ev.Kind {
	case bellwether.EventDeleted, bellwether.EventRevoking:
		if ev.Generation == 0 || ev.Generation >= e.high {
			e.high = max(e.high, ev.Generation)
			e.dropLocked()
		} else {
			e.markLocked()
		}
	default:
		switch {
		case ev.Kind == bellwether.EventCommitted:
			e.committed = ev.Generation
			e.learnLocked(e.cur.Load())
		case ev.Kind == bellwether.EventSaved && ev.Generation == e.committed:
			e.committed = 0 // the store had lost that commit
		}
		if ev.Generation != e.high { // a lower one: late, or the store has lost writes
			e.high = max(e.high, ev.Generation)
			e.markLocked()
		}
	}
	e.wakeLocked()
}

// untilJump is a ctx that ends when the local clock jumps: then a deadline
// counted before cannot be trusted.
func (r *Refresher) untilJump() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.steady
}

// local turns a time of the backend's clock into one of the local wall clock;
// zero when there is none or the mapping is unknown.
func (r *Refresher) local(t time.Time) time.Time {
	now, ok := r.store.Now()
	if t.IsZero() || !ok {
		return time.Time{}
	}
	return time.Now().Round(0).Add(t.Sub(now))
}

// mono turns a time of the local wall clock, as local gave it, into a deadline.
func (r *Refresher) mono(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return r.now() + int64(min(time.Until(t), maxLife))
}

// pause waits until an event came, d passed or ctx ended.
func pause(ctx context.Context, heard <-chan struct{}, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-heard:
	case <-t.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

func checkID(id string) error {
	if id == "" || len(id) > 255 || !utf8.ValidString(id) {
		return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "get", Detail: "an id is 1 to 255 bytes of UTF-8"}
	}
	return nil
}

var (
	errClosed      = &bellwether.Error{Kind: bellwether.ErrClosed, Op: "get", Detail: "the Refresher was closed"}
	errClockJumped = errors.New("the local clock jumped")
)
