package oauthtest

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A Grant is a user's authorisation, as the user's client received it.
type Grant struct {
	// ID names the grant in GrantAlive, Kill, ExpireAccess and the log.
	ID string
	// Token is ready to be saved: provider, client, user and tokens.
	Token bellwether.Token
}

// AddClient registers another OAuth client.
func (s *Server) AddClient(id string, secret bellwether.Secret) {
	b := &s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients[id] = secret.Reveal()
}

// Issue signs a user in with the configured client and returns the grant with a
// fresh refresh token and access token. It counts against no quota. The token's
// AccountsURL is the server's present URL: call Start before, as for Provider.
func (s *Server) Issue(user string, scopes ...string) Grant {
	return s.IssueTo(s.cfg.ClientID, user, scopes...)
}

// IssueTo is Issue for another client, which AddClient has registered.
func (s *Server) IssueTo(clientID, user string, scopes ...string) Grant {
	b := &s.book
	now := time.Now()
	t := s.blank(clientID)
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.newGrantLocked(user, clientID, scopes)
	r, a := b.newRefreshLocked(g, nil, now), b.newAccessLocked(g, now)
	t.UserName = user
	t.ClientSecret = bellwether.NewSecret(b.clients[clientID])
	t.RefreshToken = bellwether.NewSecret(r.text)
	t.AccessToken = bellwether.NewSecret(a.text)
	t.RefreshExpiresAt = r.ends
	t.IssuedAt, t.ExpiresAt = now, a.ends
	t.TokenType = "Bearer"
	t.Scopes = slices.Clone(scopes)
	return Grant{ID: g.id, Token: t}
}

// Code signs a user in and returns the grant with an authorization code, good
// for one use within three minutes. A challenge (RFC 7636, S256) may be blank.
func (s *Server) Code(user, redirectURL, challenge string, scopes ...string) Grant {
	b := &s.book
	t := s.blank(s.cfg.ClientID)
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.newGrantLocked(user, s.cfg.ClientID, scopes)
	text := "code_" + rand.Text()
	b.codes[text] = &code{grant: g, redirect: redirectURL, challenge: challenge, ends: time.Now().Add(3 * time.Minute)}
	t.UserName = user
	t.ClientSecret = s.cfg.ClientSecret
	t.RedirectURL = redirectURL
	t.GrantToken = bellwether.NewSecret(text)
	return Grant{ID: g.id, Token: t}
}

// ClientToken returns a token that holds client credentials alone (RFC 6749
// section 4.4).
func (s *Server) ClientToken(scopes ...string) bellwether.Token {
	t := s.blank(s.cfg.ClientID)
	t.ClientSecret = s.cfg.ClientSecret
	t.Scopes = scopes
	if s.cfg.Dialect == Zoho {
		t.Extra = map[string]bellwether.Secret{"soid": bellwether.NewSecret("ZohoCRM.60001")}
	}
	return t
}

func (s *Server) blank(clientID string) bellwether.Token {
	return bellwether.Token{Provider: s.cfg.Name, AccountsURL: s.URL(), ClientID: clientID}
}

// GrantAlive reports whether the grant exists and was neither revoked nor killed
// by a replay.
func (s *Server) GrantAlive(id string) bool {
	b := &s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.grants[id]
	return g != nil && !g.dead
}

// Kill revokes a grant, as a user does in the provider's settings.
func (s *Server) Kill(id string) {
	b := &s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	if g := b.grants[id]; g != nil {
		b.killLocked(g)
	}
}

// ExpireAccess ends every access token of the grant now; a blank id means those
// of all grants.
func (s *Server) ExpireAccess(id string) {
	b := &s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.access {
		if id == "" || a.grant.id == id {
			a.dead = true
		}
	}
}

// SetAccessLife changes Config.AccessLife for the tokens issued from now on.
func (s *Server) SetAccessLife(d time.Duration) {
	b := &s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	b.life = d
}

// Accepts reports whether the API would take this access token now.
func (s *Server) Accepts(accessToken bellwether.Secret) bool {
	b := &s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.access[accessToken.Reveal()]
	return a != nil && a.alive(time.Now())
}
