package redisstore

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
)

// events is one subscription for the whole store and those who listen to it.
// Messages can be lost: whoever waits for one must look again at an EventResync
// and, now and then, without any event.
type events struct {
	mu        sync.Mutex
	next      int
	listeners map[int]func(bellwether.Event)
	started   bool
}

// Subscribe implements refresh.Backend. The first call opens the subscription; an
// EventResync tells when it stands, and each time that it was renewed.
func (s *Store) Subscribe(fn func(bellwether.Event)) (stop func()) {
	e := &s.events
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listeners == nil {
		e.listeners = make(map[int]func(bellwether.Event))
	}
	n := e.next
	e.next++
	e.listeners[n] = fn
	if !e.started && s.ctx.Err() == nil {
		e.started = true
		s.wg.Go(s.listen)
		s.wg.Go(s.watchClock)
	}
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.listeners, n)
	}
}

func (s *Store) deliver(ev bellwether.Event) {
	s.events.mu.Lock()
	defer s.events.mu.Unlock()
	for _, fn := range s.events.listeners {
		fn(ev)
	}
}

// listen keeps a subscription until the store closes.
func (s *Store) listen() {
	for pause := time.Duration(0); s.ctx.Err() == nil; {
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-s.ctx.Done():
				return
			}
		}
		err := s.receive()
		if s.ctx.Err() != nil {
			return
		}
		s.cfg.Logger.Debug("bellwether: subscription lost", "err", unquoted(err))
		pause = min(max(2*pause, 50*time.Millisecond), time.Second)
		if errors.Is(err, errSilent) {
			pause = 0
		}
	}
}

var errSilent = errors.New("subscription is silent")

// receive runs one subscription until it fails. A connection that is half open
// gives no error at all, so silence is probed: two pings without an answer end it.
func (s *Store) receive() error {
	sub := s.subscriber().Subscribe(s.ctx, s.keys.channel())
	defer sub.Close()
	// Unblock a read that does not look at the ctx.
	stop := context.AfterFunc(s.ctx, func() { _ = sub.Close() })
	defer stop()
	unanswered := 0
	for {
		msg, err := sub.ReceiveTimeout(s.ctx, s.cfg.Watchdog)
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() && s.ctx.Err() == nil {
			if unanswered >= 2 {
				return errSilent
			}
			unanswered++
			if err := sub.Ping(s.ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		unanswered = 0
		switch msg := msg.(type) {
		case *redis.Subscription:
			if msg.Kind == "subscribe" {
				s.deliver(bellwether.Event{Kind: bellwether.EventResync})
			}
		case *redis.Message:
			if ev, ok := parseEvent(msg.Payload); ok {
				s.deliver(ev)
			}
		}
	}
}

var eventKinds = map[string]bellwether.EventKind{
	"c": bellwether.EventCommitted,
	"s": bellwether.EventSaved,
	"d": bellwether.EventDeleted,
	"f": bellwether.EventFailed,
	"r": bellwether.EventRevoking,
}

// parseEvent reads "<kind> <gen> <id>". A message of another form is not ours.
func parseEvent(payload string) (bellwether.Event, bool) {
	kind, rest, _ := strings.Cut(payload, " ")
	gen, id, ok := strings.Cut(rest, " ")
	n, err := strconv.ParseInt(gen, 10, 64)
	k, known := eventKinds[kind]
	if !ok || err != nil || !known || id == "" {
		return bellwether.Event{}, false
	}
	return bellwether.Event{ID: id, Generation: n, Kind: k}, true
}

// resample is how often Redis's clock is asked for when nothing else brings it.
const resample = 15 * time.Second

// watchClock keeps the mapping to Redis's clock, and voids it when the machine
// was suspended.
func (s *Store) watchClock() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before, sampled := time.Now(), time.Now()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		s.voidIfJumped(elapsed(before, now))
		before = now
		if _, ok := s.clock.now(); !ok || now.Sub(sampled) >= resample {
			sampled = now
			_ = s.askTime(s.ctx) // the next tick asks again while it is unknown
		}
	}
}

// voidIfJumped forgets Redis's clock, and tells the listeners, when the two local
// clocks have run apart since the last look.
func (s *Store) voidIfJumped(wall, mono time.Duration) {
	if !jumped(wall, mono) {
		return
	}
	s.clock.forget()
	s.deliver(bellwether.Event{Kind: bellwether.EventClock})
}

// soundClock samples Redis's clock if it is unknown, or if the machine may have been
// suspended: where nobody has subscribed, nobody watches for that.
func (s *Store) soundClock(ctx context.Context) error {
	if s.clock.sound() {
		return nil
	}
	s.clock.forget()
	return s.askTime(ctx)
}

// askTime samples Redis's clock.
func (s *Store) askTime(ctx context.Context) error {
	asked := time.Now()
	t, err := s.client.Time(ctx).Result()
	if err != nil {
		return err
	}
	s.clock.sample(asked, t)
	return nil
}
