package refresh

import (
	"errors"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// The rows of the failure matrix, one by one.

func TestFailureIsShared(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault oauthtest.Fault
		kind  error
		event Event
		state bellwether.State
	}{
		{"throttled", oauthtest.Throttle(40 * second), bellwether.ErrThrottled, EventThrottled, bellwether.StateActive},
		{"refused", oauthtest.ErrorBody(400, "invalid_grant"), bellwether.ErrReauthRequired, EventRefused, bellwether.StateReauthRequired},
		{"wrong client", oauthtest.ErrorBody(401, "invalid_client"), bellwether.ErrProvider, EventUnspent, bellwether.StateActive},
		{"5xx", oauthtest.ServerError(503), bellwether.ErrProvider, EventUnknown, bellwether.StateActive},
		{"HTML", oauthtest.HTML(200), bellwether.ErrProvider, EventUnknown, bellwether.StateActive},
		{"redirect", oauthtest.Redirect("http://evil.test/token"), bellwether.ErrProvider, EventUnknown, bellwether.StateActive},
		{"dropped", oauthtest.DropBeforeCommit(), bellwether.ErrProvider, EventUnknown, bellwether.StateActive},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := oauthtest.Config{Rotation: bellwether.RotationReusable}
			inBubble(t, 3, srv, nil, func(t *testing.T, fl *fleet) {
				tok, _ := fl.expired("bob")
				hold := oauthtest.NewHold()
				tt.fault.Hold = hold
				fl.srv.Inject(tt.fault)
				go func() { <-hold.Arrived(); time.Sleep(second); hold.Release() }()
				for _, o := range fl.herd(16, tok.ID, Want{}) {
					wantKind(t, o.err, tt.kind)
					if o.took > second+5*time.Millisecond {
						t.Fatalf("a caller waited %v for the failure", o.took)
					}
				}
				fl.wantCalls(1)
				fl.wantSeen(tt.event, 1)
				if s := fl.peek(tok.ID); s.State != tt.state {
					t.Errorf("the row is %s, want %s", s.State, tt.state)
				}
				// Who comes later is told from what is stored.
				for _, o := range fl.herd(4, tok.ID, Want{}) {
					e := wantKind(t, o.err, tt.kind)
					if pe, ok := errors.AsType[*bellwether.ProviderError](o.err); !ok || pe.Class == "" {
						t.Errorf("no cause in %v", o.err)
					}
					if tt.state == bellwether.StateActive && !e.Until.After(time.Now()) {
						t.Errorf("%v says no time", o.err)
					}
				}
				fl.wantCalls(1)
			})
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{Rotation: bellwether.RotationReusable}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		fl.srv.Inject(oauthtest.Redirect("http://evil.test/token?secret=1"))
		_, err := fl.get(tok.ID, Want{})
		pe, ok := errors.AsType[*bellwether.ProviderError](err)
		if !ok || pe.Hint != `the token endpoint redirects to "evil.test", which is not followed: check AccountsURL` {
			t.Errorf("error is %v", err)
		}
		fl.wantCalls(1)
	})
}

func TestCooldownEndsAndGrows(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{Rotation: bellwether.RotationReusable}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		fl.srv.Inject(oauthtest.ServerError(500), oauthtest.ServerError(500), oauthtest.ServerError(500))
		for i, want := range []time.Duration{second, 2 * second, 4 * second} {
			_, err := fl.get(tok.ID, Want{})
			e := wantKind(t, err, bellwether.ErrProvider)
			if got := time.Until(e.Until).Round(10 * time.Millisecond); got != want {
				t.Errorf("cooldown %d is %v, want %v", i+1, got, want)
			}
			fl.wantCalls(i + 1)
			time.Sleep(want + 10*time.Millisecond)
		}
		fl.mustGet(tok.ID)
		fl.wantCalls(4)
		if s := fl.peek(tok.ID); s.Failure != nil || !s.Cooldown.Until.IsZero() {
			t.Errorf("a success leaves %+v, %+v", s.Failure, s.Cooldown)
		}
	})
}

// A dead grant is reported once and not hammered; a new sign-in cures it.
func TestDeadGrantAndNewSignIn(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, grant := fl.expired("bob")
		fl.srv.Kill(grant.ID)
		for range 3 {
			for _, o := range fl.herd(8, tok.ID, Want{}) {
				if e := wantKind(t, o.err, bellwether.ErrReauthRequired); e.Reason != bellwether.ReasonRevoked {
					t.Errorf("reason %q, want revoked", e.Reason)
				}
			}
			time.Sleep(time.Minute)
		}
		fl.wantCalls(1)
		again := fl.srv.Issue("bob")
		again.Token.ID = tok.ID
		fl.save(again.Token)
		one(t, fl, fl.herd(8, tok.ID, Want{}), 5*time.Millisecond)
	})
}

func TestClientCooldownConcernsItsOtherRows(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{Rotation: bellwether.RotationReusable}, nil, func(t *testing.T, fl *fleet) {
		bob, _ := fl.expired("bob")
		eve, _ := fl.expired("eve")
		fl.srv.AddClient("other", bellwether.NewSecret("other-secret"))
		g := fl.srv.IssueTo("other", "kim")
		g.Token.ExpiresAt = time.Now().Add(-second)
		kim := fl.save(g.Token)
		fl.srv.Inject(oauthtest.Throttle(40 * second))
		_, err := fl.get(bob.ID, Want{})
		wantKind(t, err, bellwether.ErrThrottled)
		_, err = fl.replicas[1].Get(t.Context(), eve.ID, Want{})
		e := wantKind(t, err, bellwether.ErrThrottled)
		if d := time.Until(e.Until).Round(second); d != 40*second {
			t.Errorf("the other row of the client waits %v, want 40s", d)
		}
		fl.wantCalls(1)
		if _, err := fl.get(kim.ID, Want{}); err != nil {
			t.Errorf("a row of another client: %v", err)
		}
		fl.wantCalls(2)
		time.Sleep(41 * second)
		fl.mustGet(eve.ID)
	})
}

// A replica has read the row, and takes the lock after another's call was throttled for
// the whole client. Begin does not look at the client's cooldown: the row's own keeps it
// from calling, and the client's holds when that has ended.
func TestThrottledBetweenReadAndLock(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{Rotation: bellwether.RotationReusable}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		fl.srv.Inject(oauthtest.Throttle(40 * second))
		var first error
		late := fl.replicas[1]
		late.store.setBefore(func(op string) error {
			if op == "lock" {
				late.store.setBefore(nil)
				_, first = fl.get(tok.ID, Want{})
			}
			return nil
		})
		_, err := late.Get(t.Context(), tok.ID, Want{})
		wantKind(t, first, bellwether.ErrThrottled)
		wantKind(t, err, bellwether.ErrThrottled)
		time.Sleep(2 * second)
		_, err = late.Get(t.Context(), tok.ID, Want{})
		e := wantKind(t, err, bellwether.ErrThrottled)
		if d := time.Until(e.Until).Round(second); d != 38*second {
			t.Errorf("the client waits %v, want 38s", d)
		}
		fl.wantCalls(1)
	})
}

func TestAnswerLost(t *testing.T) {
	for _, tt := range []struct {
		rotation bellwether.Rotation
		fault    oauthtest.Fault
		alive    bool
		reason   bellwether.Reason
	}{
		{bellwether.RotationReusable, oauthtest.DropAfterCommit(), true, ""},
		{bellwether.RotationReusable, oauthtest.Garbage(), true, ""},
		{bellwether.RotationStrict, oauthtest.DropBeforeCommit(), true, ""},
		{bellwether.RotationStrict, oauthtest.DropAfterCommit(), false, bellwether.ReasonRotationLost},
		{bellwether.RotationStrict, oauthtest.Garbage(), false, bellwether.ReasonRotationLost},
	} {
		t.Run(string(tt.rotation)+" "+tt.fault.Name, func(t *testing.T) {
			inBubble(t, 2, oauthtest.Config{Rotation: tt.rotation}, nil, func(t *testing.T, fl *fleet) {
				tok, _ := fl.expired("bob")
				fl.srv.Inject(tt.fault)
				for range 60 {
					_, err := fl.get(tok.ID, Want{})
					if err == nil || errors.Is(err, bellwether.ErrReauthRequired) {
						break
					}
					time.Sleep(second)
				}
				out := fl.herd(4, tok.ID, Want{})
				if tt.alive {
					one(t, fl, out, 5*time.Millisecond)
					fl.wantCalls(2)
					return
				}
				for _, o := range out {
					if e := wantKind(t, o.err, bellwether.ErrReauthRequired); e.Reason != tt.reason {
						t.Errorf("reason %q, want %q", e.Reason, tt.reason)
					}
				}
			})
		})
	}
}

func TestNotSentIsNoHarm(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, grant := fl.expired("bob")
		fl.srv.RefuseDials(1)
		_, err := fl.get(tok.ID, Want{})
		wantKind(t, err, bellwether.ErrProvider)
		fl.wantCalls(0)
		rep := fl.replicas[0].seen.of(EventUnspent)
		if len(rep) != 1 || rep[0].Sent || rep[0].Class != bellwether.ClassTransport {
			t.Errorf("unspent reports: %+v", rep)
		}
		if fl.peek(tok.ID).Intent {
			t.Error("the intent stayed though nothing was sent")
		}
		time.Sleep(second + 10*time.Millisecond) // the cooldown, not the intent's until
		fl.mustGet(tok.ID)
		if !fl.srv.GrantAlive(grant.ID) {
			t.Error("the grant is dead")
		}
	})
}
