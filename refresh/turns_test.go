package refresh

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// Turns of an attempt that no healthy store takes.

// ended is a script over a row whose token has ended, with a provider that answers
// through dial. Its commit stores what comes.
func ended(t *testing.T) (*script, func(context.Context, string, string) (net.Conn, error), *atomic.Int32) {
	t.Helper()
	row := living(time.Now().Add(-2 * time.Hour))
	s := &script{}
	s.peek = func(string) (bellwether.Snapshot, error) { return row, nil }
	s.begin = func(bellwether.Attempt) (bellwether.BeginAnswer, error) { return s.goes(row), nil }
	s.commit = func(c bellwether.Commit) (bellwether.CommitAnswer, error) {
		row = living(c.Token.IssuedAt)
		row.AccessToken, row.Cred, row.Generation = c.Token.AccessToken, c.Attempt.Nonce, 2
		return bellwether.CommitAnswer{Word: bellwether.CommitOK, Generation: 2}, nil
	}
	calls := new(atomic.Int32)
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) })}
	ln := newPipes()
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return s, ln.dial, calls
}

// goes is begin's go for a row.
func (s *script) goes(row bellwether.Snapshot) bellwether.BeginAnswer {
	now, _ := s.Now()
	return bellwether.BeginAnswer{Word: bellwether.BeginGo, Now: now, Generation: row.Generation,
		Token: bellwether.Token{ID: row.ID, Provider: row.Provider, RefreshToken: bellwether.NewSecret("r")}}
}

// pipes is a listener whose connections are net.Pipes.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func TestBeginLostWithdrawsAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dial, calls := ended(t)
		begun := 0
		goes := s.begin
		s.begin = func(a bellwether.Attempt) (bellwether.BeginAnswer, error) {
			if begun++; begun == 1 {
				return bellwether.BeginAnswer{Word: bellwether.BeginLost, Now: time.Now()}, nil
			}
			return goes(a)
		}
		var withdrawn []bellwether.Fail
		s.fail = func(f bellwether.Fail) (bellwether.FailAnswer, error) {
			withdrawn = append(withdrawn, f)
			return bellwether.FailAnswer{}, nil
		}
		r := newRefresher(t, s, Config{DialContext: dial})
		if _, err := r.Get(t.Context(), "row", Want{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(withdrawn) != 1 || withdrawn[0].Outcome != bellwether.OutcomeUnspent || withdrawn[0].Sent || withdrawn[0].Class != "" {
			t.Errorf("withdrawn: %+v", withdrawn)
		}
		if calls.Load() != 1 {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

func TestRegressedForgetsTheHigherGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dial, _ := ended(t)
		var asked []int64
		s.begin = func(a bellwether.Attempt) (bellwether.BeginAnswer, error) {
			asked = append(asked, a.MinGeneration)
			if a.MinGeneration > 1 {
				return bellwether.BeginAnswer{Word: bellwether.BeginRegressed, Now: time.Now(), Generation: 1}, nil
			}
			row, _ := s.peek("")
			return s.goes(row), nil
		}
		seen := newSightings()
		r := newRefresher(t, s, Config{DialContext: dial, Observer: seen.add})
		e := r.l1.pin("row")
		defer e.unpin()
		s.hear(bellwether.Event{ID: "row", Generation: 7, Kind: bellwether.EventCommitted})
		if _, err := r.Get(t.Context(), "row", Want{}); err != nil {
			t.Fatal(err)
		}
		if len(asked) != 2 || asked[0] != 7 || asked[1] != 1 {
			t.Errorf("begin was asked for generations %v, want [7 1]", asked)
		}
		if len(seen.of(EventRegressed)) != 1 {
			t.Error("nobody was told")
		}
	})
}

func TestEndlessTurnsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dial, calls := ended(t)
		s.begin = func(bellwether.Attempt) (bellwether.BeginAnswer, error) {
			return bellwether.BeginAnswer{Word: bellwether.BeginChanged, Now: time.Now()}, nil
		}
		r := newRefresher(t, s, Config{DialContext: dial})
		_, err := r.Get(t.Context(), "row", Want{})
		wantKind(t, err, bellwether.ErrUnavailable)
		if n := s.count("begin"); n != maxTurns || calls.Load() != 0 {
			t.Errorf("%d begins and %d calls", n, calls.Load())
		}
	})
}

// The event of our own commit may overtake its reply: the row is not read again.
func TestOwnEventIsNoNews(t *testing.T) {
	for _, early := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s, dial, _ := ended(t)
			own := bellwether.Event{ID: "row", Generation: 2, Kind: bellwether.EventCommitted}
			stores := s.commit
			s.commit = func(c bellwether.Commit) (bellwether.CommitAnswer, error) {
				if early {
					s.hear(own)
				}
				return stores(c)
			}
			r := newRefresher(t, s, Config{DialContext: dial})
			if _, err := r.Get(t.Context(), "row", Want{}); err != nil {
				t.Fatal(err)
			}
			if !early {
				s.hear(own)
			}
			reads := s.count("peek")
			if _, err := r.Get(t.Context(), "row", Want{}); err != nil {
				t.Fatal(err)
			}
			if n := s.count("peek") - reads; n != 0 {
				t.Errorf("early %v: %d reads after our own event", early, n)
			}
		})
	}
}

// A read that was under way when the row changed is not believed.
func TestReadOvertakenByAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		row := living(time.Now())
		s := &script{}
		s.peek = func(string) (bellwether.Snapshot, error) {
			old := row
			if row.Generation == 1 {
				row.Generation, row.Cred, row.AccessToken = 2, "cred-2", bellwether.NewSecret("token-2")
				s.hear(bellwether.Event{ID: "row", Generation: 2, Kind: bellwether.EventSaved})
			}
			return old, nil
		}
		r := newRefresher(t, s, Config{})
		a, err := r.Get(t.Context(), "row", Want{})
		if err != nil || a.Token.Reveal() != "token-2" {
			t.Errorf("generation %d, %v", a.Generation, err)
		}
	})
}

// An answer with a refresh token and nothing else that can be used: the refresh
// token is kept, and the next attempt presents it.
func TestAnswerWithoutAnAccessToken(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, grant := fl.expired("bob")
		fl.srv.Inject(oauthtest.EditAnswer(func(f map[string]any) { delete(f, "access_token") }))
		_, err := fl.get(tok.ID, Want{})
		wantKind(t, err, bellwether.ErrProvider)
		got, err := fl.replicas[0].store.FindByID(t.Context(), tok.ID)
		unexpected(t, err)
		if got.RefreshToken.Equal(tok.RefreshToken) {
			t.Error("the rotated refresh token was not kept")
		}
		for range 20 { // told from memory for one slow poll
			_, err := fl.get(tok.ID, Want{})
			wantKind(t, err, bellwether.ErrProvider)
		}
		fl.wantCalls(1)
		time.Sleep(second + 10*time.Millisecond)
		fl.mustGet(tok.ID)
		fl.wantCalls(2)
		if !fl.srv.GrantAlive(grant.ID) {
			t.Error("the grant is dead")
		}
	})
}

// A token whose life is shorter than the way it comes.
func TestTokenThatEndsOnTheWay(t *testing.T) {
	srv := oauthtest.Config{AccessLife: second, Latency: 2 * second}
	inBubble(t, 2, srv, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		for _, o := range fl.herd(8, tok.ID, Want{}) {
			wantKind(t, o.err, bellwether.ErrProvider)
		}
		if n := fl.srv.Calls(); n > len(fl.replicas) {
			t.Errorf("%d calls for one want", n)
		}
	})
}

// A row that was made by another client id than the provider knows, and so on: the
// provider's own hint reaches the caller.
func TestHintsReachTheCaller(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{Dialect: oauthtest.Zoho}, nil, func(t *testing.T, fl *fleet) {
		g := fl.srv.Issue("bob")
		g.Token.ClientSecret = bellwether.NewSecret("wrong")
		g.Token.ExpiresAt = time.Now().Add(-second)
		tok := fl.save(g.Token)
		_, err := fl.get(tok.ID, Want{})
		e := wantKind(t, err, bellwether.ErrProvider)
		pe, ok := e.Err.(*bellwether.ProviderError)
		if !ok || pe.Code != "invalid_client_secret" || pe.Hint == "" {
			t.Errorf("cause is %v", e.Err)
		}
		// Another data centre: not even asked.
		other := fl.srv.Issue("eve")
		other.Token.AccountsURL = "http://accounts.elsewhere.test"
		other.Token.ExpiresAt = time.Now().Add(-second)
		tok = fl.save(other.Token)
		calls := fl.srv.Calls()
		_, err = fl.get(tok.ID, Want{})
		wantKind(t, err, bellwether.ErrInvalid)
		fl.wantCalls(calls)
	})
}

// What is read is believed for no longer than it could have been written for: a
// clock that was stepped back lengthens nothing.
func TestWhatIsReadIsClamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		row := living(time.Now())
		s := &script{peek: func(string) (bellwether.Snapshot, error) { return row, nil }}
		s.now = func() (time.Time, bool) { return time.Now().Round(0).Add(-10 * time.Hour), true }
		r := newRefresher(t, s, Config{MaxStale: -1})
		a, err := r.Get(t.Context(), "row", Want{})
		if left := time.Until(a.ExpiresAt).Round(time.Second); err != nil || left != time.Hour {
			t.Errorf("%v left of a life of an hour, %v", left, err)
		}
		row.AccessToken = bellwether.Secret{}
		row.Cooldown = bellwether.Cooldown{Until: time.Now().Add(1000 * time.Hour), Class: bellwether.ClassThrottled}
		_, err = r.Get(t.Context(), "other", Want{})
		if e := wantKind(t, err, bellwether.ErrThrottled); time.Until(e.Until) > r.cfg.longestCooldown() {
			t.Errorf("a cooldown of %v is believed", time.Until(e.Until))
		}
	})
}
