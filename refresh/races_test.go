package refresh

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// What overtakes what: a save, a revocation, an event or a read that comes in the
// middle of another.

// signIn saves another grant over the row, from within an operation of the store too.
func (fl *fleet) signIn(id string) oauthtest.Grant {
	fl.t.Helper()
	g := fl.srv.Issue("bob")
	g.Token.ID = id
	if _, err := fl.replicas[0].store.Store.Save(fl.t.Context(), g.Token); err != nil {
		fl.t.Error(err)
	}
	return g
}

// A new sign-in that is saved while a revocation is under way stays: at the provider,
// and in the store.
func TestSignInDuringARevocation(t *testing.T) {
	check := func(t *testing.T, fl *fleet, id string, again oauthtest.Grant, err error) {
		t.Helper()
		if e := wantKind(t, err, bellwether.ErrConflict); e.Hint == "" {
			t.Error("no hint")
		}
		if !fl.srv.GrantAlive(again.ID) {
			t.Error("the new sign-in's grant was ended")
		}
		synctest.Wait()
		if got := one(t, fl, fl.herd(2, id, Want{}), 5*time.Millisecond); !got.Token.Equal(again.Token.AccessToken) {
			t.Error("not the new sign-in's token")
		}
	}
	t.Run("before the lock is got", func(t *testing.T) {
		inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.lively("bob")
			lease, err := fl.replicas[1].store.Lock(t.Context(), tok.ID, rand.Text(), 10*second, time.Minute)
			unexpected(t, err)
			done := make(chan error)
			go func() { done <- fl.replicas[0].Revoke(t.Context(), tok.ID) }()
			synctest.Wait()
			again := fl.signIn(tok.ID)
			unexpected(t, lease.Release(context.Background()))
			check(t, fl, tok.ID, again, <-done)
		})
	})
	t.Run("before the row is deleted", func(t *testing.T) {
		inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, grant := fl.lively("bob")
			store := fl.replicas[0].store
			var again oauthtest.Grant
			store.setBefore(func(op string) error {
				if op == "delete" {
					again = fl.signIn(tok.ID)
				}
				return nil
			})
			err := fl.replicas[0].Revoke(t.Context(), tok.ID)
			if fl.srv.GrantAlive(grant.ID) {
				t.Error("the revoked grant lives")
			}
			check(t, fl, tok.ID, again, err)
		})
	})
}

// unrevokable is a provider that finds only late that it cannot revoke.
type unrevokable struct{ bellwether.Provider }

func (unrevokable) RevokeRequest(bellwether.Token) (*http.Request, error) {
	return nil, &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "revoke", Detail: "no revocation URL is configured"}
}

func (unrevokable) ParseRevoke(bellwether.Token, bellwether.Answer) error { return nil }

func TestRevocationThatCannotBeMadeChangesNothing(t *testing.T) {
	set := func(c *Config) { c.Providers[0] = unrevokable{c.Providers[0]} }
	inBubble(t, 1, oauthtest.Config{}, set, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		wantKind(t, fl.replicas[0].Revoke(t.Context(), tok.ID), bellwether.ErrInvalid)
		fl.mustGet(tok.ID)
	})
}

// Neither the caller that waited for the refresh nor a later one gets a token of a row
// that is being revoked, though the commit has to stay in memory.
func TestRevocationDuringACommitThatIsKept(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		hold := fl.srv.HoldNext(true)
		back := fl.replicas[0].store.away("commit")
		defer back()
		done := make(chan error)
		go func() { _, err := fl.get(tok.ID, Want{}); done <- err }()
		<-hold.Arrived()
		unexpected(t, fl.replicas[1].store.MarkRevoking(t.Context(), tok.ID))
		synctest.Wait()
		hold.Release()
		wantKind(t, <-done, bellwether.ErrRevoking)
		_, err := fl.get(tok.ID, Want{})
		wantKind(t, err, bellwether.ErrRevoking)
	})
}

// A refusal that the store could not be told is believed only while the row shows the
// same credentials.
func TestRefusalThatCannotBeReported(t *testing.T) {
	t.Run("and the row is another", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			f := oauthtest.ErrorBody(400, "invalid_grant")
			f.Hold = oauthtest.NewHold()
			fl.srv.Inject(f)
			done := make(chan outcome)
			go func() { a, err := fl.get(tok.ID, Want{}); done <- outcome{access: a, err: err} }()
			<-f.Hold.Arrived()
			again := fl.signIn(tok.ID)
			defer fl.replicas[0].store.away("fail")()
			f.Hold.Release()
			o := <-done
			unexpected(t, o.err)
			if !o.access.Token.Equal(again.Token.AccessToken) {
				t.Error("not the new sign-in's token")
			}
		})
	})
	t.Run("and the row is the same", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, grant := fl.expired("bob")
			fl.srv.Kill(grant.ID)
			back := fl.replicas[0].store.away("fail")
			_, err := fl.get(tok.ID, Want{})
			if wantKind(t, err, bellwether.ErrProvider); errors.Is(err, bellwether.ErrReauthRequired) {
				t.Errorf("a sign-in is demanded of a row that is %q: %v", fl.peek(tok.ID).State, err)
			}
			back()
			time.Sleep(2 * mostPause) // it is told behind the callers
			_, err = fl.get(tok.ID, Want{})
			wantKind(t, err, bellwether.ErrReauthRequired)
			fl.wantCalls(1)
		})
	})
}

// A failover has lost writes. The events of lower generations that follow are heard.
func TestEventsAfterLostWrites(t *testing.T) {
	for name, check := range map[string]func(t *testing.T, fl *fleet, id string){
		"signed in again": func(t *testing.T, fl *fleet, id string) {
			again := fl.signIn(id)
			synctest.Wait()
			if got := one(t, fl, fl.herd(1, id, Want{}), 5*time.Millisecond); !got.Token.Equal(again.Token.AccessToken) {
				t.Error("the new sign-in is not seen")
			}
		},
		"deleted": func(t *testing.T, fl *fleet, id string) {
			unexpected(t, fl.replicas[1].store.Delete(t.Context(), id))
			synctest.Wait()
			for _, o := range fl.herd(1, id, Want{}) {
				wantKind(t, o.err, bellwether.ErrNotFound)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, oauthtest.Config{Rotation: bellwether.RotationReusable}, nil, func(t *testing.T, fl *fleet) {
				tok, _ := fl.lively("bob")
				back := fl.rollBack(tok.ID)
				for range 3 {
					fl.save(bellwether.Token{ID: tok.ID, RedirectURL: "https://x.test/" + rand.Text()})
				}
				one(t, fl, fl.herd(1, tok.ID, Want{}), 5*time.Millisecond)
				back()
				one(t, fl, fl.herd(1, tok.ID, Want{}), 5*time.Millisecond)
				time.Sleep(time.Minute)
				check(t, fl, tok.ID)
			})
		})
	}
}

// A read that was overtaken by a newer one, and by the event before that, does not
// come back as if nothing newer were known.
func TestOvertakenReadIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(script)
		r := newRefresher(t, s, Config{})
		e := r.l1.pin("row")
		defer e.unpin()
		old := living(time.Now())
		before := r.mark(e) // the old row has been read, and is on its way
		next := old         // a new sign-in that has no access token yet
		next.Generation, next.Cred, next.AccessToken = 2, "cred-2", bellwether.Secret{}
		next.IssuedAt, next.ExpiresAt = time.Time{}, time.Time{}
		_, _, err := r.adopt(e, next, r.mark(e))
		unexpected(t, err)
		s.hear(bellwether.Event{ID: "row", Generation: 2, Kind: bellwether.EventSaved})
		_, _, err = r.adopt(e, old, before)
		unexpected(t, err)
		if v := e.hit(r.now()); v != nil {
			t.Errorf("generation %d is served without a second look; generation 2 was seen and heard of", v.snap.Generation)
		}
	})
}

// While one read hangs, another caller's brings a newer row: who waits for the first
// gets that, and no error.
func TestHangingReadOvertakenByANewerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(script)
		r := newRefresher(t, s, Config{})
		e := r.l1.pin("row")
		defer e.unpin()
		row := living(time.Now())
		_, old, err := r.adopt(e, row, r.mark(e))
		unexpected(t, err)
		s.hear(bellwether.Event{ID: "row", Generation: 2, Kind: bellwether.EventSaved})
		answered := make(chan struct{})
		s.peek = func(string) (bellwether.Snapshot, error) { <-answered; return row, nil }
		time.AfterFunc(rereadWait/2, func() {
			next := row
			next.Generation, next.Cred, next.AccessToken = 2, "cred-2", bellwether.NewSecret("token-2")
			if _, _, err := r.adopt(e, next, r.mark(e)); err != nil {
				t.Error(err)
			}
		})
		got, err := r.reread(t.Context(), e, old)
		close(answered)
		unexpected(t, err)
		if got.snap.Generation != 2 {
			t.Errorf("generation %d is given back, want 2", got.snap.Generation)
		}
	})
}

// What was never sent is no forced refresh: the next one is not put off.
func TestForcedRefreshThatWasNotSent(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{Rotation: bellwether.RotationReusable}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		fl.srv.RefuseDials(1)
		_, err := fl.get(tok.ID, Want{Rejected: tok.AccessToken})
		wantKind(t, err, bellwether.ErrProvider)
		time.Sleep(3 * second) // the cooldown
		_, err = fl.get(tok.ID, Want{Rejected: tok.AccessToken})
		unexpected(t, err)
		fl.wantCalls(1)
	})
}

// An attempt that is called off takes its intent back before the next turn begins, or
// that one would have to wait for it.
func TestIntentIsWithdrawnBeforeTheNextTurn(t *testing.T) {
	for name, spoil := range map[string]func(*script){
		"the lock was lost in begin": func(s *script) {
			s.beginOnce(func(ans *bellwether.BeginAnswer) { ans.Word = bellwether.BeginLost })
		},
		"the lock was lost before sending": func(s *script) {
			s.lock = func() (bellwether.Lease, error) {
				l := newFreeLease()
				if s.count("lock") == 1 {
					l.lose(errors.New("lost"))
				}
				return l, nil
			}
		},
		"the row was moved to another provider": func(s *script) {
			s.beginOnce(func(ans *bellwether.BeginAnswer) { ans.Token.Provider = "other" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, dial, calls := ended(t)
				spoil(s)
				withdrawn := false
				s.fail = func(f bellwether.Fail) (bellwether.FailAnswer, error) {
					time.Sleep(10 * leastPause)
					withdrawn = f.Outcome == bellwether.OutcomeUnspent && !f.Sent
					return bellwether.FailAnswer{}, nil
				}
				begins := s.begin
				s.begin = func(a bellwether.Attempt) (bellwether.BeginAnswer, error) {
					if s.count("begin") == 2 && !withdrawn {
						t.Error("the next turn has begun and the intent is there")
					}
					return begins(a)
				}
				r := newRefresher(t, s, Config{DialContext: dial})
				_, err := r.Get(t.Context(), "row", Want{})
				unexpected(t, err)
				if n := s.count("begin"); n != 2 || calls.Load() != 1 {
					t.Errorf("%d begins and %d calls, want 2 and 1", n, calls.Load())
				}
			})
		})
	}
}

// beginOnce edits the first answer of begin.
func (s *script) beginOnce(edit func(*bellwether.BeginAnswer)) {
	begins := s.begin
	s.begin = func(a bellwether.Attempt) (bellwether.BeginAnswer, error) {
		ans, err := begins(a)
		if s.count("begin") == 1 {
			edit(&ans)
		}
		return ans, err
	}
}

// What an operator has cleared does not come back with the provider's next answer, in
// the replica that made the call as little as in others.
func TestClearedFieldAfterARefresh(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{Dialect: oauthtest.Zoho}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		first, err := fl.replicas[0].Refresh(t.Context(), tok.ID)
		unexpected(t, err)
		if first.APIDomain == "" {
			t.Fatal("the answer brought no API domain")
		}
		full, err := fl.replicas[0].store.FindByID(t.Context(), tok.ID)
		unexpected(t, err)
		full.APIDomain = ""
		fl.save(full)
		time.Sleep(time.Minute)
		_, err = fl.replicas[0].Refresh(t.Context(), tok.ID)
		unexpected(t, err)
		if got := one(t, fl, fl.herd(2, tok.ID, Want{}), 5*time.Millisecond); got.APIDomain != "" {
			t.Errorf("API domain %q, want it cleared", got.APIDomain)
		}
	})
}

// A save moves the row to another provider between the read and begin. The one that it
// belonged to makes no request of it: the credentials would go to the wrong host.
func TestRowMovedToAnotherProvider(t *testing.T) {
	var asked []string
	set := func(c *Config) {
		c.Providers = append(c.Providers, plain{request: func(t bellwether.Token) (*http.Request, error) {
			asked = append(asked, t.Provider)
			return nil, errors.New("no request")
		}})
	}
	inBubble(t, 1, oauthtest.Config{}, set, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		fl.save(bellwether.Token{ID: tok.ID, Provider: "plain"})
		store := fl.replicas[0].store
		store.setBefore(func(op string) error {
			if op != "begin" {
				return nil
			}
			store.setBefore(nil)
			_, err := store.Store.Save(t.Context(), bellwether.Token{ID: tok.ID, Provider: tok.Provider})
			return err
		})
		fl.mustGet(tok.ID)
		if len(asked) != 0 {
			t.Errorf("provider plain made a request of a row of %q", asked)
		}
		fl.wantCalls(1)
	})
}
