package refresh

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

func TestCloseDuringACallStoresItsAnswer(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{Latency: 3 * second}, nil, func(t *testing.T, fl *fleet) {
		tok, grant := fl.expired("bob")
		done := make(chan outcome)
		go func() { a, err := fl.get(tok.ID, Want{}); done <- outcome{access: a, err: err} }()
		synctest.Wait()
		start := time.Now()
		closed := make(chan error)
		go func() { closed <- fl.replicas[0].Close() }()
		one(t, fl, []outcome{<-done}, time.Minute)
		unexpected(t, <-closed)
		if took := time.Since(start); took != 3*second {
			t.Errorf("Close took %v, want the rest of the call", took)
		}
		_, err := fl.get(tok.ID, Want{})
		wantKind(t, err, bellwether.ErrClosed)
		_, err = fl.replicas[0].Source(tok.ID).Token()
		wantKind(t, err, bellwether.ErrClosed)
		wantKind(t, fl.replicas[0].Revoke(t.Context(), tok.ID), bellwether.ErrClosed)
		unexpected(t, fl.replicas[0].Close())
		if _, err := fl.replicas[1].Get(t.Context(), tok.ID, Want{}); err != nil {
			t.Errorf("the other replica: %v", err)
		}
		fl.wantCalls(1)
		if !fl.srv.GrantAlive(grant.ID) {
			t.Error("the grant is dead")
		}
	})
}

// Ctrl-C: the caller leaves, Close finishes what is under way.
func TestCallerLeavesAndCloseFinishes(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{Latency: 3 * second}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		ctx, cancel := context.WithTimeout(t.Context(), second)
		defer cancel()
		if _, err := fl.replicas[0].Get(ctx, tok.ID, Want{}); !isDeadline(err) {
			t.Errorf("error %v", err)
		}
		unexpected(t, fl.replicas[0].Close())
		if s := fl.peek(tok.ID); s.AccessToken.Equal(tok.AccessToken) || s.Intent {
			t.Error("the answer was not stored")
		}
	})
}

func TestCloseAbortsWhatWasNotSent(t *testing.T) {
	d := new(dialer)
	inBubble(t, 1, oauthtest.Config{}, func(c *Config) { c.DialContext = d.dial }, func(t *testing.T, fl *fleet) {
		d.srv = fl.srv
		tok, _ := fl.expired("bob")
		d.stop()
		defer d.resume()
		done := make(chan error)
		go func() { _, err := fl.get(tok.ID, Want{}); done <- err }()
		synctest.Wait()
		start := time.Now()
		unexpected(t, fl.replicas[0].Close())
		if took := time.Since(start); took > 5*time.Millisecond {
			t.Errorf("Close took %v", took)
		}
		wantKind(t, <-done, bellwether.ErrClosed)
		if fl.peek(tok.ID).Intent {
			t.Error("the intent stayed")
		}
		fl.wantCalls(0)
	})
}

func TestCloseReleasesWaiters(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{Latency: 10 * second}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		go func() { _, _ = fl.replicas[1].Get(t.Context(), tok.ID, Want{}) }()
		synctest.Wait()
		done := make(chan error)
		go func() { _, err := fl.get(tok.ID, Want{}); done <- err }()
		synctest.Wait()
		unexpected(t, fl.replicas[0].Close())
		wantKind(t, <-done, bellwether.ErrClosed)
	})
}

func TestCloseIsBoundedWhileRedisIsAway(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		fl.replicas[0].store.away("commit")
		fl.mustGet(tok.ID)
		time.Sleep(time.Minute)
		start := time.Now()
		err := fl.replicas[0].Close()
		wantKind(t, err, bellwether.ErrUnavailable)
		if took := time.Since(start); took != 10*second {
			t.Errorf("Close took %v, want CommitBudget", took)
		}
		fl.wantSeen(EventCommitLost, 1)
	})
	t.Run("and stores what it can", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			back := fl.replicas[0].store.away("commit")
			got := fl.mustGet(tok.ID)
			time.AfterFunc(5*second, back)
			unexpected(t, fl.replicas[0].Close())
			if s := fl.peek(tok.ID); !s.AccessToken.Equal(got.Token) {
				t.Error("the answer was not stored")
			}
		})
	})
}

func TestRevoke(t *testing.T) {
	for _, dialect := range []oauthtest.Dialect{oauthtest.RFC6749, oauthtest.Zoho} {
		t.Run(string(dialect), func(t *testing.T) {
			inBubble(t, 3, oauthtest.Config{Dialect: dialect}, nil, func(t *testing.T, fl *fleet) {
				tok, grant := fl.lively("bob")
				one(t, fl, fl.herd(4, tok.ID, Want{}), 5*time.Millisecond)
				unexpected(t, fl.replicas[0].Revoke(t.Context(), tok.ID))
				synctest.Wait()
				for _, o := range fl.herd(4, tok.ID, Want{}) {
					wantKind(t, o.err, bellwether.ErrNotFound)
				}
				if fl.srv.GrantAlive(grant.ID) {
					t.Error("the grant lives")
				}
				fl.wantSeen(EventRevoked, 1)
				wantKind(t, fl.replicas[0].Revoke(t.Context(), tok.ID), bellwether.ErrNotFound)
			})
		})
	}
	t.Run("provider away", func(t *testing.T) {
		inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, grant := fl.lively("bob")
			one(t, fl, fl.herd(4, tok.ID, Want{}), 5*time.Millisecond)
			fl.srv.RefuseDials(1)
			e := wantKind(t, fl.replicas[0].Revoke(t.Context(), tok.ID), bellwether.ErrProvider)
			if e.Hint == "" {
				t.Error("no hint")
			}
			synctest.Wait()
			for _, o := range fl.herd(4, tok.ID, Want{}) {
				wantKind(t, o.err, bellwether.ErrRevoking)
			}
			unexpected(t, fl.replicas[1].Revoke(t.Context(), tok.ID))
			if fl.srv.GrantAlive(grant.ID) {
				t.Error("the grant lives")
			}
		})
	})
	t.Run("during a refresh", func(t *testing.T) {
		inBubble(t, 2, oauthtest.Config{Latency: 2 * second}, nil, func(t *testing.T, fl *fleet) {
			tok, grant := fl.expired("bob")
			done := make(chan error)
			go func() { _, err := fl.get(tok.ID, Want{}); done <- err }()
			synctest.Wait()
			unexpected(t, fl.replicas[1].Revoke(t.Context(), tok.ID))
			if err := <-done; !errors.Is(err, bellwether.ErrRevoking) && !errors.Is(err, bellwether.ErrNotFound) {
				t.Errorf("the refresh brought %v", err)
			}
			if fl.srv.GrantAlive(grant.ID) || fl.srv.Replays() != 0 {
				t.Error("the grant lives, or a used refresh token was presented")
			}
		})
	})
	t.Run("no ability", func(t *testing.T) {
		set := func(c *Config) { c.Providers[0] = struct{ bellwether.Provider }{c.Providers[0]} }
		inBubble(t, 1, oauthtest.Config{}, set, func(t *testing.T, fl *fleet) {
			tok, _ := fl.lively("bob")
			wantKind(t, fl.replicas[0].Revoke(t.Context(), tok.ID), bellwether.ErrInvalid)
			fl.mustGet(tok.ID)
		})
	})
}

// No secret is in any error, report or log line, on good paths and bad ones.
func TestNoSecretLeaves(t *testing.T) {
	p := new(panicky)
	set := func(c *Config) { p.Provider = c.Providers[0]; c.Providers[0] = p }
	inBubble(t, 2, oauthtest.Config{Rotation: bellwether.RotationReusable}, set, func(t *testing.T, fl *fleet) {
		var secrets []string
		var shown strings.Builder
		learn := func(ts ...bellwether.Token) {
			for _, tok := range ts {
				for _, s := range []bellwether.Secret{tok.AccessToken, tok.RefreshToken, tok.GrantToken, tok.ClientSecret} {
					if !s.IsZero() {
						secrets = append(secrets, s.Reveal())
					}
				}
			}
		}
		use := func(tok bellwether.Token) {
			learn(tok)
			for _, o := range fl.herd(2, tok.ID, Want{}) {
				writeAll(&shown, o.access, o.err)
			}
			if got, err := fl.replicas[0].store.FindByID(t.Context(), tok.ID); err == nil {
				learn(got)
			}
			time.Sleep(time.Minute)
		}
		faults := []oauthtest.Fault{{}, oauthtest.Throttle(0), oauthtest.ServerError(500), oauthtest.HTML(200), oauthtest.Garbage(),
			oauthtest.CutAfterCommit(), oauthtest.DropAfterCommit(), oauthtest.ErrorBody(400, "invalid_grant"),
			oauthtest.ErrorBody(401, "invalid_client"), oauthtest.Redirect("http://evil.test/?x=1")}
		for i, f := range faults {
			tok, _ := fl.expired(string(rune('a' + i)))
			if f.Name != "" {
				fl.srv.Inject(f)
			}
			use(tok)
			use(tok)
		}
		tok, _ := fl.expired("panic")
		p.request = true
		use(tok)
		p.request, p.parse = false, true
		use(tok)
		p.parse = false
		tok, _ = fl.lively("revoked")
		learn(tok)
		for _, panics := range []*bool{&p.revokeRequest, &p.parseRevoke} {
			*panics = true
			err := fl.replicas[0].Revoke(t.Context(), tok.ID)
			*panics = false
			wantKind(t, err, bellwether.ErrProvider)
			writeAll(&shown, nil, err)
		}
		tok, _ = fl.expired("dial")
		fl.srv.RefuseDials(3)
		use(tok)
		for _, r := range fl.replicas {
			for _, reports := range r.seen.reports {
				for _, rep := range reports {
					writeAll(&shown, rep, rep.Err)
				}
			}
			writeAll(&shown, r.cfg, nil)
		}
		shown.WriteString(fl.log.String())
		text := shown.String()
		for _, s := range secrets {
			if strings.Contains(text, s) {
				i := strings.Index(text, s)
				t.Errorf("a secret after %q", text[max(0, i-80):i])
			}
		}
		if len(secrets) < 40 || len(text) < 10_000 {
			t.Errorf("searched %d bytes for %d secrets: too few to mean anything", len(text), len(secrets))
		}
	})
}

// Close leaves no goroutine behind that waits for more re-reads.
func TestCloseWaitsForReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		row := living(time.Now())
		r := newRefresher(t, &script{peek: func(string) (bellwether.Snapshot, error) { return row, nil }}, Config{})
		if _, err := r.Get(t.Context(), "row", Want{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := r.readers.idle.Load(); n == 0 {
			t.Fatal("no reader has stayed")
		}
		unexpected(t, r.Close())
		if n := r.readers.idle.Load(); n != 0 {
			t.Errorf("%d readers have not ended", n)
		}
	})
}
