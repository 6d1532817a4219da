package oauthtest

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// A Call is one request to the token endpoint. It is in the log before the
// caller can see the answer.
type Call struct {
	Seq   int       `json:"seq"` // from 1, in the order of arrival
	Start time.Time `json:"start"`
	// Duration is the service time: from the request read to the answer made.
	Duration  time.Duration `json:"duration_ns"`
	GrantType string        `json:"grant_type"`
	ClientID  string        `json:"client_id"`
	Grant     string        `json:"grant,omitempty"` // Grant.ID
	// Presented, Refresh and Access are digests of the refresh token or code
	// presented and of the tokens issued.
	Presented string `json:"presented,omitempty"`
	Refresh   string `json:"refresh,omitempty"`
	Access    string `json:"access,omitempty"`
	// Committed is true when tokens were issued, answered or not.
	Committed bool `json:"committed"`
	// Outcome is "issued", "replay", "throttled", "abandoned" (the caller left
	// before the call was served), or the OAuth error code.
	Outcome string `json:"outcome"`
	Fault   string `json:"fault,omitempty"` // Fault.Name
	Status  int    `json:"status"`          // 0: no answer was sent
}

// Stats are counters since New.
type Stats struct {
	Calls       int             `json:"calls"`         // requests to the token endpoint, arrived
	Issued      int             `json:"issued"`        // those that issued tokens
	Replays     int             `json:"replays"`       // uses of a refresh token or code that was spent
	Throttled   int             `json:"throttled"`     // refused by a quota
	InFlight    int             `json:"in_flight"`     // token calls being served
	MaxInFlight int             `json:"max_in_flight"` // the most at once
	Revocations int             `json:"revocations"`
	APICalls    int             `json:"api_calls"`
	APIRejected int             `json:"api_rejected"` // API calls answered 401
	Grants      map[string]bool `json:"grants"`       // Grant.ID to alive
}

// A logbook is guarded by Server.mu.
type logbook struct {
	calls []Call
	stats Stats
}

// Calls returns how many requests have reached the token endpoint.
func (s *Server) Calls() int { return s.Stats().Calls }

// Replays returns how often a spent refresh token or code was presented.
func (s *Server) Replays() int { return s.Stats().Replays }

// Log returns the finished token calls, in the order in which they ended.
func (s *Server) Log() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log.calls)
}

// Stats returns the counters. Other processes get them as JSON from /stats, and
// the log from /calls.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	out := s.log.stats
	s.mu.Unlock()
	b := &s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	out.Replays = b.replays
	out.Grants = make(map[string]bool, len(b.grants))
	for id, g := range b.grants {
		out.Grants[id] = !g.dead
	}
	return out
}

// arrive opens the log entry of a token call and takes its fault.
func (s *Server) arrive() (*Call, Fault, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.log.stats
	st.Calls++
	st.InFlight++
	st.MaxInFlight = max(st.MaxInFlight, st.InFlight)
	var f Fault
	if len(s.faults) > 0 {
		f, s.faults = s.faults[0], s.faults[1:]
	} else if s.standing != nil {
		f = *s.standing
	}
	latency := s.latency
	if f.Latency != 0 {
		latency = f.Latency
	}
	return &Call{Seq: st.Calls, Start: time.Now(), Fault: f.Name}, f, latency
}

// finish closes the entry.
func (s *Server) finish(c *Call) {
	c.Duration = time.Since(c.Start)
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.log.stats
	st.InFlight--
	if c.Committed {
		st.Issued++
	}
	if c.Outcome == "throttled" {
		st.Throttled++
	}
	s.log.calls = append(s.log.calls, *c)
}

func (s *Server) count(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.log.stats)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
