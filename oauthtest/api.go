package oauthtest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// route tells the endpoints apart:
//
//	/token   /oauth/v2/token          token endpoint
//	/revoke  /oauth/v2/token/revoke   revocation endpoint
//	/api/…   /crm/…                   protected API
//	/api/scope                        protected, and always short of a scope
//	/stats   /calls                   counters and log as JSON, for other processes
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	switch p := r.URL.Path; {
	case p == "/token" || p == "/oauth/v2/token":
		s.serveToken(w, r)
	case p == "/revoke" || p == "/oauth/v2/token/revoke":
		s.serveRevoke(w, r)
	case strings.HasPrefix(p, "/api/") || strings.HasPrefix(p, "/crm/"):
		s.serveAPI(w, r)
	case p == "/stats":
		writeJSON(w, http.StatusOK, s.Stats())
	case p == "/calls":
		writeJSON(w, http.StatusOK, s.Log())
	default:
		http.NotFound(w, r)
	}
}

// scheme is what stands before the access token in the dialect.
func (s *Server) scheme() string {
	if s.cfg.Dialect == Zoho {
		return "Zoho-oauthtoken"
	}
	return "Bearer"
}

// serveAPI answers who the token belongs to and what was sent along.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	s.count(func(st *Stats) { st.APICalls++ })
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "bad_body"})
		return
	}
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme != s.scheme() || text == "" {
		s.unauthorized(w, "", "AUTHENTICATION_FAILURE")
		return
	}
	b := &s.book
	b.mu.Lock()
	a := b.access[text]
	alive := a != nil && a.alive(time.Now())
	b.mu.Unlock()
	switch {
	case !alive:
		s.unauthorized(w, "invalid_token", "INVALID_TOKEN")
	case r.URL.Path == "/api/scope" && s.cfg.Dialect == Zoho:
		s.unauthorized(w, "", "OAUTH_SCOPE_MISMATCH")
	case r.URL.Path == "/api/scope":
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
		writeJSON(w, http.StatusForbidden, map[string]any{"error": "insufficient_scope"})
	default:
		writeJSON(w, http.StatusOK, map[string]any{
			"user": a.grant.user, "grant": a.grant.id, "method": r.Method, "body": string(body),
		})
	}
}

// unauthorized answers 401: by RFC 6750 section 3, or as Zoho's APIs do.
func (s *Server) unauthorized(w http.ResponseWriter, rfc, zoho string) {
	s.count(func(st *Stats) { st.APIRejected++ })
	if s.cfg.Dialect == Zoho {
		writeJSON(w, http.StatusUnauthorized, map[string]any{
			"code": zoho, "details": map[string]any{}, "message": "Unauthorized", "status": "error",
		})
		return
	}
	fields, challenge := map[string]any{}, "Bearer"
	if rfc != "" {
		fields["error"], challenge = rfc, `Bearer error="`+rfc+`"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	writeJSON(w, http.StatusUnauthorized, fields)
}

// serveRevoke ends a grant by its refresh token, or one access token. A token
// that is unknown or dead is fine by RFC 7009 section 2.2; Zoho answers 400.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	s.count(func(st *Stats) { st.Revocations++ })
	form, err := readForm(r)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
		return
	}
	b := &s.book
	b.mu.Lock()
	id, word := b.authLocked(form, r)
	found := false
	if word == "" || s.cfg.Dialect == Zoho { // Zoho asks for the token alone
		word = ""
		found = b.revokeLocked(form.Get("token"), id, s.cfg.Dialect == Zoho)
	}
	b.mu.Unlock()
	switch {
	case word != "":
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": word})
	case s.cfg.Dialect == Zoho && !found:
		writeJSON(w, http.StatusBadRequest, map[string]any{"status": "failure"})
	case s.cfg.Dialect == Zoho:
		writeJSON(w, http.StatusOK, map[string]any{"status": "success"})
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// revokeLocked reports whether text was a live token; a token of another client
// stays (RFC 7009 section 2.1) unless any may revoke it.
func (b *book) revokeLocked(text, clientID string, anyClient bool) bool {
	if r := b.refresh[text]; r != nil && (anyClient || r.grant.clientID == clientID) {
		alive := !r.grant.dead
		b.killLocked(r.grant)
		return alive
	}
	if a := b.access[text]; a != nil && (anyClient || a.grant.clientID == clientID) {
		alive := a.alive(time.Now())
		a.dead = true
		return alive
	}
	return false
}

// ceilSeconds writes d in whole seconds, rounded up.
func ceilSeconds(d time.Duration) string {
	return strconv.Itoa(int((d + time.Second - 1) / time.Second))
}
