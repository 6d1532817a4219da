package oauthtest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether"
)

// decide serves a token call in one step under the book's mutex: check the
// client, then the credential, then the quota, then issue.
func (s *Server) decide(c *Call, form url.Values, r *http.Request) reply {
	b := &s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	id, word := b.authLocked(form, r)
	c.ClientID = id
	if word != "" {
		return s.refusal(c, word)
	}
	now := time.Now()
	switch c.GrantType {
	case "refresh_token":
		return s.refreshLocked(c, form, now)
	case "authorization_code":
		return s.codeLocked(c, form, now)
	case "client_credentials":
		return s.clientLocked(c, form, now)
	}
	return s.refusal(c, "unsupported_grant_type")
}

// authLocked identifies the client by Basic or by parameters, never by both
// (RFC 6749 section 2.3). A blank word means that it is right.
func (b *book) authLocked(form url.Values, r *http.Request) (id, word string) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if user, pass, ok := r.BasicAuth(); ok {
		if secret != "" {
			return id, "invalid_request"
		}
		u, err1 := url.QueryUnescape(user)
		p, err2 := url.QueryUnescape(pass)
		if err1 != nil || err2 != nil {
			return id, "invalid_client"
		}
		id, secret = u, p
	}
	known, right := b.clientLocked(id, secret)
	switch {
	case !known:
		return id, "invalid_client"
	case !right && b.cfg.Dialect == Zoho:
		return id, "invalid_client_secret"
	case !right:
		return id, "invalid_client"
	}
	return id, ""
}

func (s *Server) refreshLocked(c *Call, form url.Values, now time.Time) reply {
	b := &s.book
	text := form.Get("refresh_token")
	c.Presented = digest(text)
	old := b.refresh[text]
	if old == nil || old.grant.clientID != c.ClientID || !old.ends.IsZero() && !now.Before(old.ends) {
		return s.refusal(c, "invalid_grant")
	}
	g := old.grant
	c.Grant = g.id
	if !b.usableLocked(old, now) {
		b.replays++
		b.killLocked(g)
		rep := s.refusal(c, "invalid_grant")
		c.Outcome = "replay"
		return rep
	}
	if g.dead {
		return s.refusal(c, "invalid_grant")
	}
	if wait := b.quotaLocked(g, now); wait > 0 {
		return s.throttled(c, wait)
	}
	if old.used.IsZero() {
		old.used = now
	}
	if old.from != nil {
		old.from.nextUsed = true
	}
	var next *refreshToken
	if b.cfg.Rotation != bellwether.RotationReusable {
		next = b.newRefreshLocked(g, old, now)
	}
	return s.issueLocked(c, g, next, now)
}

// usableLocked reports whether the rotation lets r be presented now.
func (b *book) usableLocked(r *refreshToken, now time.Time) bool {
	if r.used.IsZero() {
		return true
	}
	switch b.cfg.Rotation {
	case bellwether.RotationReusable:
		return true
	case bellwether.RotationGrace:
		return now.Sub(r.used) < b.cfg.Grace
	case bellwether.RotationUntilSuccessorUsed:
		return !r.nextUsed
	}
	return false
}

func (s *Server) codeLocked(c *Call, form url.Values, now time.Time) reply {
	b := &s.book
	text := form.Get("code")
	c.Presented = digest(text)
	k := b.codes[text]
	if k == nil || k.grant.clientID != c.ClientID {
		return s.refusal(c, "invalid_grant")
	}
	c.Grant = k.grant.id
	if k.used { // RFC 6749 section 4.1.2: what it gave is revoked
		b.replays++
		b.killLocked(k.grant)
		rep := s.refusal(c, "invalid_grant")
		c.Outcome = "replay"
		return rep
	}
	if k.redirect != form.Get("redirect_uri") && s.cfg.Dialect == Zoho {
		return s.refusal(c, "invalid_redirect_uri")
	}
	if k.redirect != form.Get("redirect_uri") || k.grant.dead || !now.Before(k.ends) ||
		k.challenge != "" && k.challenge != challenge(form.Get("code_verifier")) {
		return s.refusal(c, "invalid_grant")
	}
	k.used = true
	return s.issueLocked(c, k.grant, b.newRefreshLocked(k.grant, nil, now), now)
}

// challenge is the S256 method of RFC 7636.
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *Server) clientLocked(c *Call, form url.Values, now time.Time) reply {
	b := &s.book
	if s.cfg.Dialect == Zoho && form.Get("soid") == "" {
		return s.refusal(c, "missing_org_info")
	}
	scopes := strings.FieldsFunc(form.Get("scope"), func(r rune) bool { return r == ' ' || r == ',' })
	for _, g := range b.grants {
		if g.user == "" && g.clientID == c.ClientID && !g.dead && slices.Equal(g.scopes, scopes) {
			return s.issueLocked(c, g, nil, now)
		}
	}
	return s.issueLocked(c, b.newGrantLocked("", c.ClientID, scopes), nil, now)
}

// issueLocked makes an access token and the answer that carries it, with next as
// the new refresh token.
func (s *Server) issueLocked(c *Call, g *grant, next *refreshToken, now time.Time) reply {
	b := &s.book
	g.issued = append(g.issued, now)
	a := b.newAccessLocked(g, now)
	c.Grant, c.Access, c.Committed, c.Outcome = g.id, digest(a.text), true, "issued"
	fields := map[string]any{"access_token": a.text, "token_type": "Bearer"}
	if next != nil {
		c.Refresh = digest(next.text)
		fields["refresh_token"] = next.text
		if b.cfg.RefreshLife > 0 {
			fields["refresh_token_expires_in"] = int(b.cfg.RefreshLife.Seconds())
		}
	}
	if len(g.scopes) > 0 {
		fields["scope"] = strings.Join(g.scopes, " ")
	}
	seconds := int(b.life.Seconds())
	if b.life > 0 {
		fields["expires_in"] = seconds
	}
	if s.cfg.Dialect == Zoho {
		fields["api_domain"] = s.URL()
		if s.cfg.OldExpires && b.life > 0 {
			fields["expires_in"], fields["expires_in_sec"] = seconds*1000, seconds
		}
	}
	return reply{status: http.StatusOK, fields: fields}
}

// refusal answers an OAuth error in the dialect and names it in the log.
func (s *Server) refusal(c *Call, code string) reply {
	c.Outcome = code
	if s.cfg.Dialect == Zoho {
		if code == "invalid_grant" {
			code = "invalid_code"
		}
		return reply{status: s.cfg.ErrorStatus, fields: map[string]any{"error": code}}
	}
	rep := reply{status: http.StatusBadRequest, fields: map[string]any{"error": code}}
	if code == "invalid_client" {
		rep.status = http.StatusUnauthorized
		rep.header = http.Header{"Www-Authenticate": {`Basic realm="oauthtest"`}}
	}
	return rep
}

// throttled answers that a quota is used up, for wait more.
func (s *Server) throttled(c *Call, wait time.Duration) reply {
	c.Outcome = "throttled"
	if s.cfg.Dialect == Zoho {
		return reply{status: s.cfg.ErrorStatus, fields: map[string]any{
			"error":             "Access Denied",
			"error_description": "You have made too many requests continuously. Please try again after some time.",
			"status":            "failure",
		}}
	}
	h := http.Header{"Retry-After": {ceilSeconds(wait)}}
	return reply{status: http.StatusTooManyRequests, header: h, fields: map[string]any{"error": "slow_down"}}
}
