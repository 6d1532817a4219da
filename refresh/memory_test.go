package refresh

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

func TestSteadyStateAsksNothing(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, func(c *Config) { c.MaxStale = -1 }, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		src := fl.replicas[0].Source(tok.ID)
		fl.mustGet(tok.ID)
		before := fl.replicas[0].store.total()
		for range 1000 {
			fl.mustGet(tok.ID)
			if _, err := src.Token(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(40 * time.Minute) // the window begins after 45 minutes
		fl.mustGet(tok.ID)
		if n := fl.replicas[0].store.total() - before; n != 0 {
			t.Errorf("%d store operations on hits", n)
		}
		fl.wantCalls(0)
	})
}

func TestRevalidation(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		store := fl.replicas[0].store
		store.setDeaf(true) // messages are dropped without a sign
		had := fl.mustGet(tok.ID)
		g := fl.srv.Issue("bob")
		g.Token.ID = tok.ID
		fl.save(g.Token)
		time.Sleep(5*time.Minute - second)
		if got := fl.mustGet(tok.ID); !got.Token.Equal(had.Token) || store.did("peek") != 1 {
			t.Errorf("%d reads before MaxStale, want 1", store.did("peek"))
		}
		time.Sleep(second)
		if got := fl.mustGet(tok.ID); !got.Token.Equal(g.Token.AccessToken) {
			t.Error("the stale token is served beyond MaxStale")
		}
	})
}

func TestEventsReachMemory(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		other := func() (Access, error) { return fl.replicas[1].Get(t.Context(), tok.ID, Want{}) }
		_, err := other()
		unexpected(t, err)

		g := fl.srv.Issue("bob")
		g.Token.ID = tok.ID
		fl.save(g.Token)
		got, err := other()
		unexpected(t, err)
		if !got.Token.Equal(g.Token.AccessToken) {
			t.Error("a saved token is not seen")
		}

		unexpected(t, fl.replicas[0].store.MarkRevoking(t.Context(), tok.ID))
		synctest.Wait()
		for range 3 { // the second finds what the first has read
			_, err = other()
			wantKind(t, err, bellwether.ErrRevoking)
		}

		unexpected(t, fl.replicas[0].store.Delete(t.Context(), tok.ID))
		synctest.Wait()
		_, err = other()
		wantKind(t, err, bellwether.ErrNotFound)

		back := fl.srv.Issue("bob")
		back.Token.ID = tok.ID
		fl.save(back.Token)
		got, err = other()
		unexpected(t, err)
		if !got.Token.Equal(back.Token.AccessToken) {
			t.Error("the row saved again is not seen")
		}
	})
}

func TestResyncReadsBeforeServing(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		store := fl.replicas[0].store
		fl.mustGet(tok.ID)
		store.setDeaf(true)
		g := fl.srv.Issue("bob")
		g.Token.ID = tok.ID
		fl.save(g.Token)
		store.tell(bellwether.Event{Kind: bellwether.EventResync})
		if got := fl.mustGet(tok.ID); !got.Token.Equal(g.Token.AccessToken) {
			t.Error("the token from before the gap is served")
		}
		fl.wantSeen(EventResynced, 2) // one when the subscription stood
	})
}

// A store that hangs is no reason to wait when a token lives.
func TestSlowStoreDelaysLittle(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		store := fl.replicas[0].store
		fl.mustGet(tok.ID)
		store.setBefore(func(string) error { time.Sleep(4 * second); return errAway })
		store.tell(bellwether.Event{Kind: bellwether.EventResync})
		for i, want := range []time.Duration{rereadWait, 0, 0} {
			start := time.Now()
			fl.mustGet(tok.ID)
			if took := time.Since(start); took != want {
				t.Errorf("call %d waited %v, want %v", i, took, want)
			}
			time.Sleep(2 * second)
		}
	})
}

// After a suspend the monotonic clock is late: what it was thought to live on may
// have ended long ago.
func TestClockJumpVoidsMemory(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		store := fl.replicas[0].store
		fl.mustGet(tok.ID)
		store.tell(bellwether.Event{Kind: bellwether.EventClock})
		defer store.away("peek")()
		_, err := fl.get(tok.ID, Want{})
		wantKind(t, err, bellwether.ErrUnavailable)
		fl.wantSeen(EventClockJumped, 1)
	})
}

func TestSource(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{Dialect: oauthtest.Zoho, Latency: second}, func(c *Config) { c.L1Size = 4 }, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		src := fl.replicas[0].Source(tok.ID)
		got, err := src.Token()
		unexpected(t, err)
		if got.Type() != "Zoho-oauthtoken" || got.RefreshToken != "" || !got.Valid() {
			t.Errorf("scheme %q, valid %v", got.Type(), got.Valid())
		}
		again, err := src.Token()
		unexpected(t, err)
		if again != got {
			t.Error("a hit makes a new oauth2.Token")
		}
		// Its place in memory is taken by others; it comes back.
		for range 20 {
			other, _ := fl.lively("kim")
			fl.mustGet(other.ID)
		}
		for range 3 {
			if _, err := src.Token(); err != nil {
				t.Fatal(err)
			}
		}
		fl.wantCalls(1)
		// A deletion reaches it.
		unexpected(t, fl.replicas[0].store.Delete(t.Context(), tok.ID))
		synctest.Wait()
		_, err = src.Token()
		wantKind(t, err, bellwether.ErrNotFound)
		_, err = fl.replicas[0].Source("").Token()
		wantKind(t, err, bellwether.ErrInvalid)
		var _ oauth2.TokenSource = src
	})
	t.Run("waits at most MaxWait", func(t *testing.T) {
		srv := oauthtest.Config{Latency: 10 * second}
		inBubble(t, 1, srv, func(c *Config) { c.MaxWait = 2 * second }, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			start := time.Now()
			_, err := fl.replicas[0].Source(tok.ID).Token()
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
	})
}

func TestL1Off(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, func(c *Config) { c.L1Size = -1 }, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		for range 5 {
			fl.mustGet(tok.ID)
		}
		if n := fl.replicas[0].store.did("peek"); n != 5 {
			t.Errorf("%d reads for 5 calls", n)
		}
		defer fl.replicas[0].store.away("peek")()
		fl.mustGet(tok.ID)
	})
}
