package redisstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// Answers that mean "not now" are told apart from answers that no waiting cures.
var awayAnswers = map[string]error{
	"TRYAGAIN Multiple keys request during rehashing of slot": bellwether.ErrUnavailable,
	"CLUSTERDOWN The cluster is down":                         bellwether.ErrUnavailable,
	"LOADING Redis is loading the dataset in memory":          bellwether.ErrUnavailable,
	"MASTERDOWN Link with MASTER is down":                     bellwether.ErrUnavailable,
	"READONLY You can't write against a read only replica.":   bellwether.ErrUnavailable,
	"OOM command not allowed when used memory > 'maxmemory'.": bellwether.ErrUnavailable,
	"NOPERM this user has no permissions":                     bellwether.ErrMisconfigured,
}

func wantGone(t *testing.T, s *redisstore.Store, id string) {
	t.Helper()
	if got, err := s.FindByID(t.Context(), id); !errors.Is(err, bellwether.ErrNotFound) {
		t.Errorf("FindByID: generation %d, %v; want ErrNotFound", got.Generation, err)
	}
}

// An awayCase is one call while the server does not serve.
type awayCase struct {
	// call makes the call; it is made again once the server is back.
	call func(ctx context.Context) error
	// done checks what the second one has done; nil: it changes nothing.
	done func(t *testing.T)
}

// awayCases prepare a call on the row tok, of which they change nothing yet.
var awayCases = map[string]func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase{
	"Peek": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase {
		return awayCase{call: func(ctx context.Context) error { _, err := s.Peek(ctx, tok.ID, ""); return err }}
	},
	"Find": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase {
		return awayCase{call: func(ctx context.Context) error {
			_, err := s.Find(ctx, bellwether.Token{RefreshToken: tok.RefreshToken})
			return err
		}}
	},
	"FindByID": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase {
		return awayCase{call: func(ctx context.Context) error { _, err := s.FindByID(ctx, tok.ID); return err }}
	},
	"List": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase {
		return awayCase{call: func(ctx context.Context) error {
			for _, err := range s.List(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		}}
	},
	"Save": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase {
		next := secret("next-" + rand.Text())
		return awayCase{
			call: func(ctx context.Context) error {
				_, err := s.Save(ctx, bellwether.Token{ID: tok.ID, RefreshToken: next})
				return err
			},
			done: func(t *testing.T) {
				if got := find(t, s, tok.ID); !got.RefreshToken.Equal(next) || got.Generation != tok.Generation+1 {
					t.Errorf("the save left generation %d after %d", got.Generation, tok.Generation)
				}
			},
		}
	},
	"insert": func(t *testing.T, s *redisstore.Store, _ bellwether.Token) awayCase {
		given := newToken("p")
		return awayCase{
			call: func(ctx context.Context) error { _, err := s.Save(ctx, given); return err },
			done: func(t *testing.T) {
				got, err := s.Find(t.Context(), bellwether.Token{RefreshToken: given.RefreshToken})
				if err != nil || got.UserName != given.UserName || got.Generation != 1 {
					t.Errorf("Find after the insert: generation %d, %v", got.Generation, err)
				}
			},
		}
	},
	"Delete": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase {
		return awayCase{
			call: func(ctx context.Context) error { return s.Delete(ctx, tok.ID) },
			done: func(t *testing.T) { wantGone(t, s, tok.ID) },
		}
	},
	"DeleteAll": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase {
		return awayCase{
			call: s.DeleteAll,
			done: func(t *testing.T) { wantGone(t, s, tok.ID) },
		}
	},
	"MarkRevoking": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase {
		return awayCase{
			call: func(ctx context.Context) error { return s.MarkRevoking(ctx, tok.ID) },
			done: func(t *testing.T) {
				if got := peek(t, s, tok.ID).State; got != bellwether.StateRevoking {
					t.Errorf("state is %q, want revoking", got)
				}
			},
		}
	},
	"Lock": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase {
		return awayCase{call: func(ctx context.Context) error {
			l, err := s.Lock(ctx, tok.ID, rand.Text(), 10*time.Second, time.Minute)
			if err != nil {
				return err
			}
			return l.Release(ctx)
		}}
	},
	"Begin": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase {
		a := attempt(t, s, tok.ID)
		var ans bellwether.BeginAnswer
		return awayCase{
			call: func(ctx context.Context) (err error) { ans, err = s.Begin(ctx, a); return err },
			done: func(t *testing.T) {
				wantWord(t, ans, bellwether.BeginGo)
				if !ans.Token.RefreshToken.Equal(tok.RefreshToken) {
					t.Error("begin gave another refresh token")
				}
			},
		}
	},
	"Commit": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase {
		a := attempt(t, s, tok.ID)
		c := bellwether.Commit{Attempt: a, Token: begin(t, s, a).Token}
		c.Token.AccessToken, c.Token.RefreshToken = secret("at-"+rand.Text()), secret("rt-"+rand.Text())
		var ans bellwether.CommitAnswer
		return awayCase{
			call: func(ctx context.Context) (err error) { ans, err = s.Commit(ctx, c); return err },
			done: func(t *testing.T) {
				if ans.Word != bellwether.CommitOK {
					t.Fatalf("commit answered %q, want ok", ans.Word)
				}
				if got := find(t, s, tok.ID); !got.RefreshToken.Equal(c.Token.RefreshToken) {
					t.Error("the answer did not land")
				}
			},
		}
	},
	"Fail": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) awayCase {
		a := attempt(t, s, tok.ID)
		wantWord(t, begin(t, s, a), bellwether.BeginGo)
		f := bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeRefused, Sent: true, Class: bellwether.ClassRefused}
		return awayCase{
			call: func(ctx context.Context) error { _, err := s.Fail(ctx, f); return err },
			done: func(t *testing.T) { wantReauth(t, s, tok.ID, bellwether.ReasonRevoked) },
		}
	},
}

// TestAwayAnswers: whatever is called while the server does not serve, the error says
// so, the row stays as it is, and the same call works once the server is back.
func TestAwayAnswers(t *testing.T) {
	t.Parallel()
	for name, prepare := range awayCases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, client := redistest.Mini(t)
				s := newStore(t, client, newSealer(t))
				for answer, kind := range awayAnswers {
					tok := save(t, s, newToken("p"))
					c := prepare(t, s, tok)
					before := find(t, s, tok.ID)
					m.SetError(answer)
					wantError(t, c.call(t.Context()), kind)
					s.Idle()
					m.SetError("")
					if d := cmp.Diff(before, find(t, s, tok.ID)); d != "" {
						t.Errorf("%s changed the row (-before +after):\n%s", answer, d)
					}
					if err := c.call(t.Context()); err != nil {
						t.Fatalf("after %s: %v", answer, err)
					}
					if c.done != nil {
						c.done(t)
					} else if d := cmp.Diff(before, find(t, s, tok.ID)); d != "" {
						t.Errorf("the row has changed (-before +after):\n%s", d)
					}
				}
				sound(t, s)
			})
		})
	}
}
