package redisstore

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/seal"
)

func TestClockIsNeverBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		if _, ok := c.now(); ok {
			t.Fatal("a clock without a sample tells the time")
		}
		// The server is an hour ahead; each answer is read somewhere within its trip.
		ahead := time.Hour
		for _, trip := range []time.Duration{40, 3, 90, 10, 2, 70} {
			trip *= time.Millisecond
			asked := time.Now()
			time.Sleep(trip / 2)
			server := time.Now().Add(ahead)
			time.Sleep(trip / 2)
			c.sample(asked, server)
			got, ok := c.now()
			if late := got.Sub(time.Now().Add(ahead)); !ok || late < 0 || late > 45*time.Millisecond {
				t.Errorf("after a trip of %v: now is %v off, ok %v", trip, late, ok)
			}
		}
		// The tightest sample is the one that is kept.
		if got, _ := c.now(); got.Sub(time.Now().Add(ahead)) > time.Millisecond {
			t.Errorf("now is %v late, want the error of the tightest sample, 1ms", got.Sub(time.Now().Add(ahead)))
		}
	})
}

func TestClockFollowsASteppedServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, step := range []time.Duration{-time.Minute, time.Minute} {
			var c clock
			c.sample(time.Now(), time.Now())
			asked := time.Now()
			time.Sleep(10 * time.Millisecond)
			c.sample(asked, time.Now().Add(step))
			if got, _ := c.now(); got.Sub(time.Now().Add(step)).Abs() > 20*time.Millisecond {
				t.Errorf("step %v: now is %v off", step, got.Sub(time.Now().Add(step)))
			}
		}
	})
}

func TestClockForgets(t *testing.T) {
	var c clock
	c.sample(time.Now(), time.Now())
	c.forget()
	if _, ok := c.now(); ok {
		t.Error("a voided clock tells the time")
	}
}

func TestJumped(t *testing.T) {
	before := time.Now()
	if jumped(elapsed(before, before.Add(time.Second))) {
		t.Error("a second that passed on both clocks is taken for a jump")
	}
	for _, wall := range []time.Duration{time.Hour, -time.Hour} {
		if !jumped(wall, time.Second) {
			t.Errorf("a wall clock that ran %v in a second is not noticed", wall)
		}
	}
}

// After a suspend Redis's clock is unknown, and the listeners are told.
func TestSuspend(t *testing.T) {
	tests := []struct {
		name       string
		wall, mono time.Duration
		void       bool
	}{
		{"a second on both", time.Second, time.Second, false},
		{"a slow tick", 5 * time.Second, 5 * time.Second, false},
		{"suspended for an hour", time.Hour, time.Second, true},
		{"wall clock stepped back", -time.Hour, time.Second, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []bellwether.EventKind
			s := &Store{}
			s.events.listeners = map[int]func(bellwether.Event){0: func(ev bellwether.Event) { got = append(got, ev.Kind) }}
			s.clock.sample(time.Now(), time.Now())
			s.voidIfJumped(tt.wall, tt.mono)
			if _, ok := s.Now(); ok == tt.void {
				t.Errorf("Redis's clock is known: %v, want %v", ok, !tt.void)
			}
			var want []bellwether.EventKind
			if tt.void {
				want = append(want, bellwether.EventClock)
			}
			if !slices.Equal(got, want) {
				t.Errorf("events %v, want %v", got, want)
			}
		})
	}
}

// suspend is a machine that slept for d: the mapping is behind by it, and only the wall
// clock knows.
func (s *Store) suspend(d time.Duration) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.server, s.clock.wall = s.clock.server.Add(-d), s.clock.wall.Add(-d)
}

// miniStore is a store on a miniredis of its own, to which nobody has subscribed.
func miniStore(t *testing.T) *Store {
	t.Helper()
	_, client := redistest.Mini(t)
	keys, err := seal.New()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), client, Config{Sealer: keys, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A save after a suspend meets the insert of a process that died long ago. It must not
// take it for a recent one and wait.
func TestSaveAfterASuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := miniStore(t)
		tok := bellwether.Token{ID: "row", RefreshToken: bellwether.NewSecret("r")}
		if _, err := s.Save(t.Context(), tok); err != nil {
			t.Fatal(err)
		}
		if err := s.client.HSet(t.Context(), s.keys.row("row"), "st", stPending).Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * s.cfg.ClaimGrace)
		s.suspend(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got, err := s.Save(ctx, bellwether.Token{ID: "row", UserName: "u"})
		if err != nil || !got.RefreshToken.Equal(tok.RefreshToken) {
			t.Errorf("Save = generation %d, %v; want the dead insert completed", got.Generation, err)
		}
	})
}

// Each save tells the time: a store without a subscription follows a server whose clock
// was stepped.
func TestSaveSamplesTheClock(t *testing.T) {
	tests := []struct {
		name string
		tok  bellwether.Token
	}{
		{"with claims", bellwether.Token{UserName: "u", RefreshToken: bellwether.NewSecret("r")}},
		{"without", bellwether.Token{ID: "row", ClientID: "c", ClientSecret: bellwether.NewSecret("s")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := miniStore(t)
				s.clock.sample(time.Now(), time.Now().Add(-time.Hour))
				if _, err := s.Save(t.Context(), tt.tok); err != nil {
					t.Fatal(err)
				}
				if got, ok := s.Now(); !ok || time.Until(got).Abs() > time.Millisecond {
					t.Errorf("Now is %v off, known %v", time.Until(got), ok)
				}
			})
		})
	}
}

func TestParseEvent(t *testing.T) {
	for _, payload := range []string{"", "c", "c 1", "c 1 ", "c x id", "z 1 id", "hello world"} {
		if ev, ok := parseEvent(payload); ok {
			t.Errorf("parseEvent(%q) = %+v", payload, ev)
		}
	}
	ev, ok := parseEvent("c 12 an id with spaces")
	if !ok || ev.ID != "an id with spaces" || ev.Generation != 12 {
		t.Errorf("parseEvent = %+v, %v", ev, ok)
	}
}

func FuzzDecode(f *testing.F) {
	var e encoder
	e.bytes(1, "token")
	e.list(5, []string{"", "a"})
	f.Add([]byte(e))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		err := decode(b, func(_ byte, v []byte) error { n += len(v); return nil })
		if n > len(b) {
			t.Errorf("decoded %d bytes out of %d, %v", n, len(b), err)
		}
		var c credentials
		_ = decodeExtra(&c.extra, b)
	})
}
