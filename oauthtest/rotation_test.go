package oauthtest_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// bubble runs f in a synctest bubble against a server that is closed at its end.
func bubble(t *testing.T, cfg oauthtest.Config, f func(t *testing.T, srv *oauthtest.Server, c *caller)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := oauthtest.New(cfg)
		t.Cleanup(srv.Close)
		f(t, srv, pipeCaller(t, srv))
	})
}

func TestStrictReplayKillsTheGrant(t *testing.T) {
	bubble(t, oauthtest.Config{}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		g := srv.Issue("bob")
		first, err := c.refresh(g.Token)
		if err != nil {
			t.Fatal(err)
		}
		if first.RefreshToken.IsZero() || first.RefreshToken.Equal(g.Token.RefreshToken) {
			t.Fatal("the refresh token was not rotated")
		}
		if !srv.Accepts(first.AccessToken) {
			t.Fatal("the new access token is not accepted")
		}
		_, err = c.refresh(g.Token)
		if got := class(t, err); got != bellwether.ClassRefused {
			t.Errorf("replay: class %q, want %q", got, bellwether.ClassRefused)
		}
		if srv.GrantAlive(g.ID) || srv.Accepts(first.AccessToken) || srv.Accepts(g.Token.AccessToken) {
			t.Error("the replay left something alive")
		}
		if _, err := c.refresh(merged(g.Token, first)); class(t, err) != bellwether.ClassRefused {
			t.Errorf("successor after the replay: %v, want refused", err)
		}
		if srv.Calls() != 3 || srv.Replays() != 1 {
			t.Errorf("%d calls, %d replays, want 3 and 1", srv.Calls(), srv.Replays())
		}
	})
}

func TestConcurrentUseOfOneRefreshToken(t *testing.T) {
	const callers = 100
	for _, tc := range []struct {
		rotation  bellwether.Rotation
		grace     time.Duration
		successes int64
		alive     bool
	}{
		{bellwether.RotationStrict, 0, 1, false},
		{bellwether.RotationGrace, time.Minute, callers, true},
		{bellwether.RotationUntilSuccessorUsed, 0, callers, true},
		{bellwether.RotationReusable, 0, callers, true},
	} {
		t.Run(string(tc.rotation), func(t *testing.T) {
			cfg := oauthtest.Config{Rotation: tc.rotation, Grace: tc.grace, Latency: time.Second}
			bubble(t, cfg, func(t *testing.T, srv *oauthtest.Server, c *caller) {
				g := srv.Issue("bob")
				var wg sync.WaitGroup
				var ok atomic.Int64
				for range callers {
					wg.Go(func() {
						if _, err := c.refresh(g.Token); err == nil {
							ok.Add(1)
						}
					})
				}
				wg.Wait()
				st := srv.Stats()
				if ok.Load() != tc.successes || st.Issued != int(tc.successes) {
					t.Errorf("%d successes, %d issued, want %d", ok.Load(), st.Issued, tc.successes)
				}
				if want := callers - int(tc.successes); st.Replays != want {
					t.Errorf("%d replays, want %d", st.Replays, want)
				}
				if st.Calls != callers || st.MaxInFlight != callers || st.InFlight != 0 {
					t.Errorf("calls %d, most at once %d, in flight %d; want %d, %d, 0",
						st.Calls, st.MaxInFlight, st.InFlight, callers, callers)
				}
				if srv.GrantAlive(g.ID) != tc.alive {
					t.Errorf("grant alive: %v, want %v", !tc.alive, tc.alive)
				}
			})
		})
	}
}

func TestGraceEnds(t *testing.T) {
	cfg := oauthtest.Config{Rotation: bellwether.RotationGrace, Grace: time.Minute}
	bubble(t, cfg, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		g := srv.Issue("bob")
		for _, pause := range []time.Duration{0, time.Minute - time.Millisecond} {
			time.Sleep(pause)
			if _, err := c.refresh(g.Token); err != nil {
				t.Fatalf("after %v: %v", pause, err)
			}
		}
		time.Sleep(time.Millisecond)
		if _, err := c.refresh(g.Token); class(t, err) != bellwether.ClassRefused {
			t.Errorf("past the grace: %v, want refused", err)
		}
		if srv.GrantAlive(g.ID) || srv.Replays() != 1 {
			t.Errorf("alive %v, %d replays, want false and 1", srv.GrantAlive(g.ID), srv.Replays())
		}
	})
}

func TestUntilSuccessorUsed(t *testing.T) {
	cfg := oauthtest.Config{Rotation: bellwether.RotationUntilSuccessorUsed}
	bubble(t, cfg, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		g := srv.Issue("bob")
		var second bellwether.Token
		for range 2 {
			time.Sleep(time.Hour)
			var err error
			if second, err = c.refresh(g.Token); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.refresh(merged(g.Token, second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.refresh(g.Token); class(t, err) != bellwether.ClassRefused {
			t.Errorf("after its successor was used: %v, want refused", err)
		}
		if srv.GrantAlive(g.ID) {
			t.Error("the grant outlived a replay")
		}
	})
}

func TestReusableKeepsTheRefreshToken(t *testing.T) {
	cfg := oauthtest.Config{Rotation: bellwether.RotationReusable}
	bubble(t, cfg, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		g := srv.Issue("bob")
		for range 3 {
			got, err := c.refresh(g.Token)
			if err != nil {
				t.Fatal(err)
			}
			if !got.RefreshToken.IsZero() {
				t.Error("a refresh token came back")
			}
		}
	})
}

func TestOtherClientCannotUseTheToken(t *testing.T) {
	bubble(t, oauthtest.Config{}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		secret := bellwether.NewSecret("other-secret")
		srv.AddClient("other", secret)
		g := srv.Issue("bob")
		stolen := g.Token
		stolen.ClientID, stolen.ClientSecret = "other", secret
		if _, err := c.refresh(stolen); class(t, err) != bellwether.ClassRefused {
			t.Errorf("another client: %v, want refused", err)
		}
		if _, err := c.refresh(srv.IssueTo("other", "eve").Token); err != nil {
			t.Errorf("its own grant: %v", err)
		}
		wrong := g.Token
		wrong.ClientSecret = bellwether.NewSecret("wrong")
		if _, err := c.refresh(wrong); class(t, err) != bellwether.ClassConfig {
			t.Errorf("wrong client secret: %v, want config", err)
		}
		if _, err := c.refresh(g.Token); err != nil || srv.Replays() != 0 {
			t.Errorf("none of that spent the token: %v, %d replays", err, srv.Replays())
		}
	})
}

func TestRefreshTokenEnds(t *testing.T) {
	bubble(t, oauthtest.Config{RefreshLife: time.Hour}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		g := srv.Issue("bob")
		if want := time.Now().Add(time.Hour); !g.Token.RefreshExpiresAt.Equal(want) {
			t.Errorf("RefreshExpiresAt %v, want %v", g.Token.RefreshExpiresAt, want)
		}
		time.Sleep(time.Hour)
		if _, err := c.refresh(g.Token); class(t, err) != bellwether.ClassRefused {
			t.Errorf("an ended refresh token: %v, want refused", err)
		}
		if !srv.GrantAlive(g.ID) {
			t.Error("an ended token is no replay")
		}
	})
}
