package oauthtest_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

func TestDropAfterCommitSpendsTheToken(t *testing.T) {
	bubble(t, oauthtest.Config{}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		g := srv.Issue("bob")
		srv.Inject(oauthtest.DropBeforeCommit())
		if _, err := c.refresh(g.Token); !errors.Is(err, errNoAnswer) {
			t.Fatalf("dropped before: %v, want no answer", err)
		}
		srv.Inject(oauthtest.DropAfterCommit())
		if _, err := c.refresh(g.Token); !errors.Is(err, errNoAnswer) {
			t.Fatalf("dropped after: %v, want no answer", err)
		}
		if !srv.GrantAlive(g.ID) {
			t.Fatal("the grant died of a lost answer")
		}
		if _, err := c.refresh(g.Token); class(t, err) != bellwether.ClassRefused {
			t.Errorf("blind second try: %v, want refused", err)
		}
		if srv.GrantAlive(g.ID) || srv.Replays() != 1 {
			t.Errorf("alive %v, %d replays, want false and 1", srv.GrantAlive(g.ID), srv.Replays())
		}
		var got []string
		for _, call := range srv.Log() {
			got = append(got, call.Outcome)
		}
		want := []string{"drop_before_commit", "issued", "replay"}
		if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("outcomes %q, want %q", got, want)
		}
	})
}

func TestAnswersByScript(t *testing.T) {
	for _, tc := range []struct {
		fault     oauthtest.Fault
		class     bellwether.Class
		committed bool
	}{
		{oauthtest.Throttle(30 * time.Second), bellwether.ClassThrottled, false},
		{oauthtest.ServerError(503), bellwether.ClassUnknown, false},
		{oauthtest.HTML(200), bellwether.ClassUnknown, false},
		{oauthtest.Redirect("https://evil.example/"), bellwether.ClassUnknown, false},
		{oauthtest.ErrorBody(200, "invalid_grant"), bellwether.ClassRefused, false},
		{oauthtest.ErrorBody(400, "invalid_client"), bellwether.ClassConfig, false},
		{oauthtest.Garbage(), bellwether.ClassUnusable, true},
		{oauthtest.CutAfterCommit(), bellwether.ClassUnknown, true},
		{oauthtest.EditAnswer(func(f map[string]any) { f["expires_in"] = "soon" }), bellwether.ClassUnknown, true},
		{oauthtest.EditAnswer(func(f map[string]any) { delete(f, "access_token") }), bellwether.ClassUnusable, true},
		{oauthtest.Fault{}, "", true},
	} {
		t.Run(tc.fault.Name+"/"+string(tc.class), func(t *testing.T) {
			bubble(t, oauthtest.Config{}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
				g := srv.Issue("bob")
				srv.Inject(tc.fault)
				got, err := c.refresh(g.Token)
				if class(t, err) != tc.class {
					t.Errorf("%v, want class %q", err, tc.class)
				}
				call := srv.Log()[0]
				if call.Committed != tc.committed {
					t.Errorf("committed: %v, want %v", call.Committed, tc.committed)
				}
				if tc.fault.Edit != nil && got.RefreshToken.IsZero() {
					t.Error("the refresh token of an edited answer was lost")
				}
				_, err = c.refresh(g.Token)
				if spent := class(t, err) == bellwether.ClassRefused; spent != tc.committed {
					t.Errorf("spent: %v (%v), want %v", spent, err, tc.committed)
				}
			})
		})
	}
}

func TestThrottleTellsWhen(t *testing.T) {
	bubble(t, oauthtest.Config{}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		srv.Inject(oauthtest.Throttle(30 * time.Second))
		_, err := c.refresh(srv.Issue("bob").Token)
		e, ok := errors.AsType[*bellwether.ProviderError](err)
		if !ok || e.RetryAfter != 30*time.Second {
			t.Errorf("error %v, want a pause of 30s", err)
		}
	})
}

func TestHold(t *testing.T) {
	for _, afterCommit := range []bool{false, true} {
		bubble(t, oauthtest.Config{}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
			g := srv.Issue("bob")
			hold := srv.HoldNext(afterCommit)
			done := make(chan error, 1)
			go func() {
				_, err := c.refresh(g.Token)
				done <- err
			}()
			<-hold.Arrived()
			synctest.Wait()
			st := srv.Stats()
			if st.InFlight != 1 || len(srv.Log()) != 0 {
				t.Errorf("in flight %d, log %d; want 1 and 0", st.InFlight, len(srv.Log()))
			}
			hold.Release()
			if err := <-done; err != nil {
				t.Errorf("after the hold: %v", err)
			}
		})
	}
}

func TestCallerLeaves(t *testing.T) {
	for _, tc := range []struct {
		name      string
		script    func(*oauthtest.Server)
		committed bool
	}{
		{"during the latency", func(s *oauthtest.Server) { s.SetLatency(time.Minute) }, false},
		{"held before the commit", func(s *oauthtest.Server) { s.HoldNext(false) }, false},
		{"held after the commit", func(s *oauthtest.Server) { s.HoldNext(true) }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, oauthtest.Config{}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
				g := srv.Issue("bob")
				tc.script(srv)
				req, err := c.p.Request(g.Token)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := c.do(req.WithContext(ctx)); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("%v, want a deadline", err)
				}
				synctest.Wait()
				log := srv.Log()
				if len(log) != 1 || log[0].Committed != tc.committed || log[0].Status != 0 {
					t.Fatalf("log %+v, want one unanswered call, committed %v", log, tc.committed)
				}
				if log[0].Duration != time.Second {
					t.Errorf("service time %v, want 1s", log[0].Duration)
				}
				if !srv.GrantAlive(g.ID) {
					t.Error("the grant died")
				}
			})
		})
	}
}

func TestRefusedDialSendsNothing(t *testing.T) {
	bubble(t, oauthtest.Config{}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		srv.RefuseDials(1)
		g := srv.Issue("bob")
		if _, err := c.refresh(g.Token); !errors.Is(err, errNoAnswer) {
			t.Fatalf("%v, want no answer", err)
		}
		if srv.Calls() != 0 {
			t.Errorf("%d calls, want 0", srv.Calls())
		}
		if _, err := c.refresh(g.Token); err != nil {
			t.Errorf("second dial: %v", err)
		}
	})
}

func TestCloseEndsHeldCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := oauthtest.New(oauthtest.Config{})
		c := pipeCaller(t, srv)
		hold := srv.HoldNext(false)
		done := make(chan error, 1)
		go func() {
			_, err := c.refresh(srv.Issue("bob").Token)
			done <- err
		}()
		<-hold.Arrived()
		srv.Close()
		srv.Close()
		if err := <-done; !errors.Is(err, errNoAnswer) {
			t.Errorf("%v, want no answer", err)
		}
		if _, err := srv.DialContext(t.Context(), "tcp", "x"); err == nil {
			t.Error("a closed server was dialled")
		}
		if _, err := srv.Start(); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Start after Close: %v", err)
		}
	})
}

// TestFaultEvery: injected faults come first, then the standing one, until it is ended.
func TestFaultEvery(t *testing.T) {
	bubble(t, oauthtest.Config{Rotation: bellwether.RotationReusable}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		g := srv.Issue("bob")
		down := oauthtest.ServerError(503)
		srv.FaultEvery(&down)
		srv.Inject(oauthtest.Fault{}, oauthtest.Throttle(time.Second))
		for range 4 {
			_, _ = c.refresh(g.Token)
		}
		srv.FaultEvery(nil)
		_, _ = c.refresh(g.Token)
		var got []string
		for _, call := range srv.Log() {
			got = append(got, call.Outcome)
		}
		if want := []string{"issued", "throttle", "server_error", "server_error", "issued"}; !slices.Equal(got, want) {
			t.Errorf("outcomes %q, want %q", got, want)
		}
	})
}
