package oauthtest

import (
	"net/http"
	"strconv"
	"time"
)

// A Fault changes what one token call meets. The constructors below make the
// usual ones; a Fault made by hand may combine the fields.
type Fault struct {
	// Name tells the fault in the log.
	Name string
	// Commit serves the call first: tokens are issued and a rotation happens.
	// Without it an Answer, Drop or Cut leaves everything as it was.
	Commit bool
	// Hold blocks the call: before it is served, or with Commit after.
	Hold *Hold
	// Latency replaces the server's for this call when it is not 0.
	Latency time.Duration
	// Edit changes the members of the answer, which was committed.
	Edit func(fields map[string]any)
	// Answer is sent in place of the server's own.
	Answer *Answer
	// Cut sends the head and half of the body, then closes the connection.
	Cut bool
	// Drop closes the connection without an answer.
	Drop bool
}

// An Answer is an HTTP answer given word for word.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Inject scripts the next token calls, one fault each, in the order of their
// arrival, behind the faults that still wait. The zero Fault lets a call pass.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// FaultEvery makes every token call that takes no injected fault meet f, from now on;
// nil ends that. A provider that is in trouble for a while is made of it. The Hold of
// such a fault would stop one call only: f must have none.
func (s *Server) FaultEvery(f *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standing = f
}

// Throttle answers 429 with a Retry-After in whole seconds; 0 leaves it out.
func Throttle(retryAfter time.Duration) Fault {
	h := http.Header{}
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	return Fault{Name: "throttle", Answer: &Answer{http.StatusTooManyRequests, h, ""}}
}

// ServerError answers with a 5xx status and no body.
func ServerError(status int) Fault {
	return Fault{Name: "server_error", Answer: &Answer{status, nil, ""}}
}

// HTML answers with a web page.
func HTML(status int) Fault {
	h := http.Header{"Content-Type": {"text/html"}}
	return Fault{Name: "html", Answer: &Answer{status, h, "<!DOCTYPE html><title>Sorry</title>"}}
}

// Garbage commits, then answers 200 with bytes that mean nothing.
func Garbage() Fault {
	return Fault{Name: "garbage", Commit: true, Answer: &Answer{http.StatusOK, nil, "\x00\xff not an answer"}}
}

// Redirect answers 307 to another URL.
func Redirect(to string) Fault {
	return Fault{Name: "redirect", Answer: &Answer{http.StatusTemporaryRedirect, http.Header{"Location": {to}}, ""}}
}

// ErrorBody answers with {"error": code} under the given status.
func ErrorBody(status int, code string) Fault {
	h := http.Header{"Content-Type": {"application/json"}}
	return Fault{Name: "error_body", Answer: &Answer{status, h, `{"error":` + strconv.Quote(code) + `}`}}
}

// CutAfterCommit commits and sends half of the answer.
func CutAfterCommit() Fault { return Fault{Name: "cut", Commit: true, Cut: true} }

// DropAfterCommit commits and closes the connection without an answer: the
// rotation has happened and nobody knows its result.
func DropAfterCommit() Fault { return Fault{Name: "drop_after_commit", Commit: true, Drop: true} }

// DropBeforeCommit reads the request and closes the connection; nothing happens.
func DropBeforeCommit() Fault { return Fault{Name: "drop_before_commit", Drop: true} }

// EditAnswer commits and lets edit change the members of the answer.
func EditAnswer(edit func(fields map[string]any)) Fault {
	return Fault{Name: "edit", Commit: true, Edit: edit}
}

// A Hold stops one token call until it is released.
type Hold struct {
	arrived  chan struct{}
	released chan struct{}
}

// NewHold returns a Hold for one Fault.
func NewHold() *Hold {
	return &Hold{arrived: make(chan struct{}), released: make(chan struct{})}
}

// HoldNext scripts a hold for the next token call that no earlier fault takes.
// afterCommit holds the answer of a call that has been served.
func (s *Server) HoldNext(afterCommit bool) *Hold {
	h := NewHold()
	s.Inject(Fault{Name: "hold", Commit: afterCommit, Hold: h})
	return h
}

// Arrived is closed when the call has been stopped.
func (h *Hold) Arrived() <-chan struct{} { return h.arrived }

// Release lets the call go on. Call it once.
func (h *Hold) Release() { close(h.released) }
