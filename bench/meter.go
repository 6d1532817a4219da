package bench

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether/refresh"
)

// A meter counts what a replica sends to Redis and notes when it first was about to
// write a new token. As a go-redis hook it sees every command at the client, on every
// kind of server alike.
type meter struct {
	calling func() // a token request is about to be sent; set by the worker

	mu       sync.Mutex
	release  time.Time
	commit   time.Time // zero: not yet
	commands map[string]int64
	marks    []mark
	resyncs  int // subscriptions that came to stand
}

// mostMarks bounds the marks of one round: a baseline may call for each caller.
const mostMarks = 64

var _ redis.Hook = (*meter)(nil)

// uncounted commands set up or keep up a connection or a clock.
var uncounted = []string{"hello", "auth", "select", "client", "ping", "time", "subscribe", "unsubscribe"}

// reset starts over for a herd that is released then.
func (m *meter) reset(release time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.release, m.commit, m.commands, m.marks, m.resyncs = release, time.Time{}, nil, nil, 0
}

// observe is told what a Refresher does.
func (m *meter) observe(rep refresh.Report) {
	switch rep.Event {
	case refresh.EventCalling:
		m.calling()
	case refresh.EventCommitting:
		m.committing(rep.At)
	case refresh.EventResynced:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.resyncs++
		m.note(string(rep.Event), rep.At)
	default:
		m.mark(string(rep.Event), rep.At)
	}
}

// committing notes the first write of a new token.
func (m *meter) committing(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.commit.IsZero() {
		m.commit = at
	}
	m.note("committing", at)
}

// mark keeps what happened for the timeline.
func (m *meter) mark(what string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(what, at)
}

// note needs the mutex.
func (m *meter) note(what string, at time.Time) {
	if len(m.marks) < mostMarks {
		m.marks = append(m.marks, mark{what, at.Sub(m.release)})
	}
}

func (m *meter) marked() []mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.marks)
}

// committed is when that was, since the release; negative for never.
func (m *meter) committed() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.commit.IsZero() {
		return -1
	}
	return m.commit.Sub(m.release)
}

// unexplained is how many commands were sent beyond one read of each of so many rows, and
// another one for each subscription since reset: it tells a replica to read what it holds
// once more.
func (m *meter) unexplained(rows int) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	extra := -int64((1 + m.resyncs) * rows)
	for _, n := range m.commands {
		extra += n
	}
	return max(0, extra)
}

// subscriptions is how many came to stand since reset.
func (m *meter) subscriptions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.resyncs
}

func (m *meter) snapshot() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.commands)
}

func (m *meter) count(cmds ...redis.Cmder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range cmds {
		if slices.Contains(uncounted, c.Name()) {
			continue
		}
		if m.commands == nil {
			m.commands = make(map[string]int64)
		}
		m.commands[c.Name()]++
	}
}

// DialHook implements redis.Hook.
func (m *meter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (m *meter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		m.count(cmd)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements redis.Hook.
func (m *meter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		m.count(cmds...)
		return next(ctx, cmds)
	}
}
