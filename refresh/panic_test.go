package refresh

import (
	"net/http"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// panicky panics where it is told to.
type panicky struct {
	bellwether.Provider
	request, parse, rejects bool
	revokeRequest           bool
	parseRevoke             bool
}

func (p *panicky) Request(t bellwether.Token) (*http.Request, error) {
	if p.request {
		panic("request with " + t.RefreshToken.Reveal())
	}
	return p.Provider.Request(t)
}

func (p *panicky) Parse(t bellwether.Token, a bellwether.Answer) (bellwether.Token, error) {
	if p.parse {
		panic("parse of " + string(a.Body))
	}
	return p.Provider.Parse(t, a)
}

func (p *panicky) Rejects(status int, body []byte) bool {
	if p.rejects {
		panic("rejects")
	}
	return p.Provider.Rejects(status, body)
}

func (p *panicky) RevokeRequest(t bellwether.Token) (*http.Request, error) {
	if p.revokeRequest {
		panic("revocation of " + t.RefreshToken.Reveal())
	}
	return p.Provider.(bellwether.Revoker).RevokeRequest(t)
}

func (p *panicky) ParseRevoke(t bellwether.Token, a bellwether.Answer) error {
	if p.parseRevoke {
		panic("parse of " + string(a.Body))
	}
	return p.Provider.(bellwether.Revoker).ParseRevoke(t, a)
}

// revoke is Revoke by the first replica. Its caller must see no panic.
func (fl *fleet) revoke(id string) error {
	fl.t.Helper()
	defer func() {
		if p := recover(); p != nil {
			fl.t.Errorf("Revoke panics with a %T", p)
		}
	}()
	return fl.replicas[0].Revoke(fl.t.Context(), id)
}

func TestPanics(t *testing.T) {
	p := new(panicky)
	set := func(c *Config) { p.Provider = c.Providers[0]; c.Providers[0] = p }
	t.Run("in Request", func(t *testing.T) {
		inBubble(t, 2, oauthtest.Config{}, set, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			p.request = true
			for _, o := range fl.herd(8, tok.ID, Want{}) {
				wantKind(t, o.err, bellwether.ErrProvider)
			}
			p.request = false
			fl.wantCalls(0)
			fl.wantSeen(EventPanicked, 1)
			// Nothing was sent, so nothing is in doubt: a failure that may be tried again.
			s := fl.peek(tok.ID)
			if s.State != bellwether.StateActive || s.Intent {
				t.Errorf("the row is %s, intent %v; want active and none", s.State, s.Intent)
			}
			if f := s.Failure; f == nil || f.Class != bellwether.ClassConfig || !f.Until.After(time.Now()) {
				t.Errorf("failure %+v, want one of class config and a time to try again", f)
			}
			time.Sleep(2 * second)
			fl.mustGet(tok.ID)
		})
	})
	t.Run("in Parse", func(t *testing.T) {
		inBubble(t, 2, oauthtest.Config{}, set, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			p.parse = true
			for _, o := range fl.herd(8, tok.ID, Want{}) {
				// A strict provider has rotated and nobody could read the answer.
				if e := wantKind(t, o.err, bellwether.ErrReauthRequired); e.Reason != bellwether.ReasonRotationLost {
					t.Errorf("reason %q", e.Reason)
				}
			}
			p.parse = false
			fl.wantCalls(1)
		})
	})
	t.Run("in Rejects", func(t *testing.T) {
		withClient(t, oauthtest.Config{}, set, func(t *testing.T, fl *fleet, _ bellwether.Token, _ oauthtest.Grant, c *http.Client, _ *wiretap) {
			p.rejects = true
			resp, err := c.Get(fl.srv.URL() + "/api/scope")
			if status, _ := body(t, resp, err); status != 403 {
				t.Errorf("status %d", status)
			}
			p.rejects = false
			fl.wantSeen(EventPanicked, 1)
		})
	})
	t.Run("in RevokeRequest", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, set, func(t *testing.T, fl *fleet) {
			tok, grant := fl.lively("bob")
			p.revokeRequest = true
			wantKind(t, fl.revoke(tok.ID), bellwether.ErrInvalid)
			p.revokeRequest = false
			fl.wantSeen(EventPanicked, 1)
			fl.mustGet(tok.ID) // nothing was changed
			unexpected(t, fl.replicas[0].Revoke(t.Context(), tok.ID))
			if fl.srv.GrantAlive(grant.ID) {
				t.Error("the grant lives")
			}
		})
	})
	t.Run("in ParseRevoke", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, set, func(t *testing.T, fl *fleet) {
			tok, _ := fl.lively("bob")
			p.parseRevoke = true
			wantKind(t, fl.revoke(tok.ID), bellwether.ErrProvider)
			p.parseRevoke = false
			fl.wantSeen(EventPanicked, 1)
			_, err := fl.get(tok.ID, Want{})
			wantKind(t, err, bellwether.ErrRevoking)
			unexpected(t, fl.replicas[0].Revoke(t.Context(), tok.ID)) // the lock is free again
			_, err = fl.get(tok.ID, Want{})
			wantKind(t, err, bellwether.ErrNotFound)
		})
	})
	t.Run("in the store", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			fl.replicas[0].store.setBefore(func(op string) error {
				if op == "begin" {
					panic("begin")
				}
				return nil
			})
			_, err := fl.get(tok.ID, Want{})
			wantKind(t, err, bellwether.ErrProvider)
			fl.replicas[0].store.setBefore(nil)
			fl.mustGet(tok.ID) // the lock is free again
		})
	})
	t.Run("in the Observer", func(t *testing.T) {
		set := func(c *Config) { c.Observer = func(Report) { panic("observer") } }
		inBubble(t, 1, oauthtest.Config{}, set, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			fl.mustGet(tok.ID)
			fl.wantCalls(1)
		})
	})
}
