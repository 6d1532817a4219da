package refresh

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

func TestBackgroundRefreshWaitsForNobody(t *testing.T) {
	inBubble(t, 3, oauthtest.Config{Latency: 2 * second}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		time.Sleep(44 * time.Minute)
		old := one(t, fl, fl.herd(4, tok.ID, Want{}), 5*time.Millisecond)
		fl.wantCalls(0)
		time.Sleep(4 * time.Minute) // jitter starts the window within 2¼ minutes
		for range 10 {              // all along the call
			if got := one(t, fl, fl.herd(4, tok.ID, Want{}), 5*time.Millisecond); !got.Token.Equal(old.Token) {
				t.Error("the new token came too early")
			}
			time.Sleep(150 * time.Millisecond)
		}
		time.Sleep(second)
		if got := one(t, fl, fl.herd(4, tok.ID, Want{}), 5*time.Millisecond); got.Token.Equal(old.Token) {
			t.Error("no new token after the call")
		}
		fl.wantCalls(1)
	})
}

func TestMandatoryWindowWaits(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{Latency: 2 * second}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		time.Sleep(59*time.Minute + 30*second)
		start := time.Now()
		got := fl.mustGet(tok.ID)
		if took := time.Since(start); took != 2*second || got.Token.Equal(tok.AccessToken) {
			t.Errorf("waited %v, old token %v", took, got.Token.Equal(tok.AccessToken))
		}
	})
}

// While refreshes fail the current token is served to its end, and not longer.
func TestFailedRefreshServesTheCurrentToken(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, grant := fl.lively("bob")
		fl.srv.Kill(grant.ID) // the access token lives on in this test's eyes
		time.Sleep(46 * time.Minute)
		for now := 46 * time.Minute; now < time.Hour-5*second; now += 10 * second {
			for _, o := range fl.herd(4, tok.ID, Want{}) {
				if o.err != nil || !o.access.Token.Equal(tok.AccessToken) || o.took > 5*time.Millisecond {
					t.Fatalf("%v before the end: %v after %v", time.Hour-now, o.err, o.took)
				}
			}
			time.Sleep(10 * second)
		}
		_, err := fl.get(tok.ID, Want{MinTTL: time.Minute})
		wantKind(t, err, bellwether.ErrReauthRequired)
		_, err = fl.get(tok.ID, Want{Rejected: tok.AccessToken})
		wantKind(t, err, bellwether.ErrReauthRequired)
		time.Sleep(10 * second)
		for _, o := range fl.herd(4, tok.ID, Want{}) {
			wantKind(t, o.err, bellwether.ErrReauthRequired)
		}
		fl.wantCalls(1)
	})
}

func TestRejected(t *testing.T) {
	inBubble(t, 3, oauthtest.Config{Latency: second}, nil, func(t *testing.T, fl *fleet) {
		tok, grant := fl.lively("bob")
		fl.mustGet(tok.ID)
		fl.srv.ExpireAccess(grant.ID)
		// The same everywhere: one forced refresh.
		fresh := one(t, fl, fl.herd(16, tok.ID, Want{Rejected: tok.AccessToken}), second+5*time.Millisecond)
		fl.wantCalls(1)
		// Another one is stored by now.
		got := one(t, fl, fl.herd(16, tok.ID, Want{Rejected: tok.AccessToken}), 5*time.Millisecond)
		if !got.Token.Equal(fresh.Token) {
			t.Error("the stored token was not returned")
		}
		fl.wantCalls(1)
		// The new one is rejected too, too soon.
		for _, o := range fl.herd(16, tok.ID, Want{Rejected: fresh.Token}) {
			e := wantKind(t, o.err, bellwether.ErrRejected)
			if d := time.Until(e.Until); d <= 28*second || d > 30*second {
				t.Errorf("until is %v away", d)
			}
		}
		if got := fl.mustGet(tok.ID); !got.Token.Equal(fresh.Token) {
			t.Error("others do not get the token any more")
		}
		fl.wantCalls(1)
		time.Sleep(31 * second)
		next := one(t, fl, fl.herd(16, tok.ID, Want{Rejected: fresh.Token}), second+5*time.Millisecond)
		if next.Token.Equal(fresh.Token) {
			t.Error("no other token after the interval")
		}
		fl.wantCalls(2)
	})
}

func TestForcedRefresh(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		had := fl.mustGet(tok.ID)
		got, err := fl.replicas[0].Refresh(t.Context(), tok.ID)
		unexpected(t, err)
		if got.Token.Equal(had.Token) || got.Generation != had.Generation+1 {
			t.Errorf("generation %d after %d", got.Generation, had.Generation)
		}
		_, err = fl.replicas[1].Refresh(t.Context(), tok.ID)
		e := wantKind(t, err, bellwether.ErrThrottled)
		if d := time.Until(e.Until).Round(second); d != 30*second {
			t.Errorf("until is %v away, want 30s", d)
		}
		fl.wantCalls(1)
	})
}

func TestMinTTL(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		time.Sleep(20 * time.Minute)
		old, err := fl.get(tok.ID, Want{MinTTL: 39 * time.Minute})
		unexpected(t, err)
		fl.wantCalls(0)
		fresh, err := fl.get(tok.ID, Want{MinTTL: 41 * time.Minute})
		unexpected(t, err)
		fl.wantCalls(1)
		if fresh.Token.Equal(old.Token) {
			t.Error("the old token")
		}
		// The whole life of a fresh token meets it, though a moment has passed.
		time.Sleep(10 * second)
		exact, err := fl.get(tok.ID, Want{MinTTL: time.Hour})
		unexpected(t, err)
		fl.wantCalls(2)
		// More than a fresh token can give: the best one, and no call for it.
		for range 5 {
			best, err := fl.get(tok.ID, Want{MinTTL: 2 * time.Hour})
			wantKind(t, err, bellwether.ErrMinTTL)
			if !best.Token.Equal(exact.Token) {
				t.Error("not the best token")
			}
		}
		fl.wantCalls(2)
	})
	t.Run("unknown reach costs one call", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.lively("bob")
			for range 5 {
				best, err := fl.get(tok.ID, Want{MinTTL: 2 * time.Hour})
				wantKind(t, err, bellwether.ErrMinTTL)
				if best.Token.IsZero() {
					t.Error("no token with the error")
				}
			}
			fl.wantCalls(1)
		})
	})
}

// Only what a refresh brought shows how long a fresh token lives: a save may import one
// that has little left.
func TestReachIsLearnedFromRefreshes(t *testing.T) {
	t.Run("not from a save", func(t *testing.T) {
		inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.lively("bob")
			one(t, fl, fl.herd(1, tok.ID, Want{}), 5*time.Millisecond)
			g := fl.srv.Issue("bob")
			g.Token.ID, g.Token.IssuedAt, g.Token.ExpiresAt = tok.ID, time.Now(), time.Now().Add(10*time.Minute)
			fl.save(g.Token)
			one(t, fl, fl.herd(1, tok.ID, Want{}), 5*time.Millisecond)
			if got := one(t, fl, fl.herd(2, tok.ID, Want{MinTTL: 30 * time.Minute}), second); got.Token.Equal(g.Token.AccessToken) {
				t.Error("the imported token is served")
			}
			fl.wantCalls(1)
		})
	})
	t.Run("from another replica's", func(t *testing.T) {
		inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.lively("bob")
			one(t, fl, fl.herd(1, tok.ID, Want{}), 5*time.Millisecond)
			_, err := fl.replicas[0].Refresh(t.Context(), tok.ID)
			unexpected(t, err)
			synctest.Wait()
			for _, o := range fl.herd(2, tok.ID, Want{MinTTL: 2 * time.Hour}) {
				wantKind(t, o.err, bellwether.ErrMinTTL)
			}
			fl.wantCalls(1)
		})
	})
}

func TestQuota(t *testing.T) {
	srv := oauthtest.Config{Rotation: bellwether.RotationReusable, Quotas: []bellwether.Quota{{N: 4, Per: 10 * time.Minute}}}
	inBubble(t, 2, srv, func(c *Config) { c.ForcedInterval = -1 }, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		refresh := func(i int) error { _, err := fl.replicas[i%2].Refresh(t.Context(), tok.ID); return err }
		for i := range 4 {
			unexpected(t, refresh(i))
			time.Sleep(second)
		}
		e := wantKind(t, refresh(0), bellwether.ErrThrottled)
		if d := time.Until(e.Until).Round(second); d != 10*time.Minute-4*second {
			t.Errorf("until is %v away", d)
		}
		fl.mustGet(tok.ID) // the token lives
		if s := fl.srv.Stats(); s.Calls != 4 || s.Throttled != 0 {
			t.Errorf("%d calls, %d throttled by the provider; want 4 and 0", s.Calls, s.Throttled)
		}
		time.Sleep(10 * time.Minute)
		unexpected(t, refresh(0))
	})
	t.Run("background leaves two", func(t *testing.T) {
		inBubble(t, 1, srv, func(c *Config) { c.ForcedInterval = -1 }, func(t *testing.T, fl *fleet) {
			fl.srv.SetAccessLife(2 * time.Minute) // advisory in the last 30 s
			tok, _ := fl.expired("bob")
			for range 2 {
				_, err := fl.replicas[0].Refresh(t.Context(), tok.ID)
				unexpected(t, err)
			}
			time.Sleep(95 * second)
			fl.mustGet(tok.ID)
			synctest.Wait()
			fl.wantCalls(2) // the background attempt was denied
			fl.wantSeen(EventDenied, 1)
			time.Sleep(20 * second)
			fl.mustGet(tok.ID) // mandatory now
			fl.wantCalls(3)
		})
	})
}

func TestNoExpiry(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{AccessLife: -1}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		for range 3 {
			if got := fl.mustGet(tok.ID); !got.ExpiresAt.IsZero() {
				t.Errorf("expires at %v", got.ExpiresAt)
			}
			time.Sleep(2 * time.Hour)
		}
		fl.wantCalls(0)
		if _, err := fl.get(tok.ID, Want{Rejected: tok.AccessToken}); err != nil {
			t.Error(err)
		}
		fl.wantCalls(1)
	})
}

func TestUnknownProviderServesWhatLives(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok := fl.save(bellwether.Token{Provider: "nobody", UserName: "bob", RefreshToken: bellwether.NewSecret("r"),
			AccessToken: bellwether.NewSecret("a"), IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)})
		fl.mustGet(tok.ID)
		time.Sleep(61 * time.Minute)
		_, err := fl.get(tok.ID, Want{})
		if e := wantKind(t, err, bellwether.ErrUnknownProvider); e.Hint == "" {
			t.Error("no hint")
		}
	})
}

func TestBadIDs(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		for _, id := range []string{"", "\xff", string(make([]byte, 256))} {
			_, err := fl.get(id, Want{})
			wantKind(t, err, bellwether.ErrInvalid)
		}
		_, err := fl.get("nobody", Want{})
		wantKind(t, err, bellwether.ErrNotFound)
	})
}
