package oauthtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A reply is what the server decided about a token call.
type reply struct {
	status int
	header http.Header
	fields map[string]any
}

// serveToken runs one call of the token endpoint: arrival, hold and latency,
// decision, fault, answer.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	c, f, latency := s.arrive()
	ended := false
	end := func() {
		if !ended {
			ended = true
			s.finish(c)
		}
	}
	defer end()

	form, err := readForm(r)
	if err != nil {
		rep := s.refusal(c, "invalid_request")
		c.Status = rep.status
		end()
		s.send(w, rep, encode(rep.fields), false)
		return
	}
	c.GrantType = form.Get("grant_type")
	if !f.Commit && !s.hold(r.Context(), f.Hold) || !s.wait(r.Context(), latency) {
		c.Outcome = "abandoned"
		panic(http.ErrAbortHandler)
	}
	var rep reply
	if f.Commit || f.Answer == nil && !f.Drop && !f.Cut {
		rep = s.decide(c, form, r)
	} else {
		c.Outcome = f.Name
	}
	if f.Commit && !s.hold(r.Context(), f.Hold) || f.Drop {
		end()
		panic(http.ErrAbortHandler)
	}
	if f.Edit != nil && rep.fields != nil {
		f.Edit(rep.fields)
	}
	body := encode(rep.fields)
	if f.Answer != nil {
		rep.status, rep.header, body = f.Answer.Status, f.Answer.Header, []byte(f.Answer.Body)
	}
	c.Status = rep.status
	end() // in the log before the caller can know
	s.send(w, rep, body, f.Cut)
}

func encode(fields map[string]any) []byte {
	body, err := json.Marshal(fields)
	if err != nil {
		panic("oauthtest: Fault.Edit left what JSON cannot hold: " + err.Error())
	}
	return body
}

func (s *Server) send(w http.ResponseWriter, rep reply, body []byte, cut bool) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	maps.Copy(h, rep.header)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(rep.status)
	if cut {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

// hold stops the call; false means that the caller or the server went away.
func (s *Server) hold(ctx context.Context, h *Hold) bool {
	if h == nil {
		return true
	}
	close(h.arrived)
	select {
	case <-h.released:
		return true
	case <-ctx.Done():
	case <-s.done:
	}
	return false
}

// wait lets the latency pass; false means that the caller or the server went away.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-s.done:
	}
	return false
}

// readForm reads the parameters, which must stand in the body: a URL ends up in
// logs.
func readForm(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return nil, errors.New("not a POST")
	}
	if r.URL.RawQuery != "" {
		return nil, errors.New("parameters in the URL")
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/json" {
		return url.ParseQuery(string(body))
	}
	var m map[string]string
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	v := url.Values{}
	for k, s := range m {
		v.Set(k, s)
	}
	return v, nil
}
