package redistest

import (
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A Direction names what crosses a proxy.
type Direction int

// The directions.
const (
	Requests Direction = 1 << iota // from clients to the server
	Replies                        // from the server to clients
	Both     = Requests | Replies
)

// A Proxy stands between clients and one server and breaks the wire on demand.
// It reads the protocol, so it knows when a command has been executed. A
// connection that has subscribed is passed through: its replies are not matched
// with commands any more.
//
// Clients reach it over TCP at Addr, or in memory by Dial, which also works
// inside a synctest bubble. All methods are safe for concurrent use.
type Proxy struct {
	backend func() (net.Conn, error)
	wg      sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil when only dialled in memory, or while refusing
	addr     string
	refusing bool
	closed   bool
	gates    [2]gate // requests, replies
	links    map[*link]struct{}
	seen     map[string]int // commands passed on, by upper-case name
	executed map[string]int // commands whose reply was read, by upper-case name
	toDrop   int
	match    func(cmd []string) bool
	dropped  int
}

// A gate holds back one direction while it is shut.
type gate struct {
	open chan struct{} // closed while the gate is open
	shut bool
}

// NewProxy returns a proxy that is reached by Dial alone. backend connects to
// the server, e.g. Miniredis.Dial. The proxy ends with the test.
func NewProxy(t testing.TB, backend func() (net.Conn, error)) *Proxy {
	p := &Proxy{
		backend:  backend,
		links:    map[*link]struct{}{},
		seen:     map[string]int{},
		executed: map[string]int{},
	}
	for i := range p.gates {
		p.gates[i].open = make(chan struct{})
		close(p.gates[i].open)
	}
	t.Cleanup(p.Close)
	return p
}

// Proxy returns a proxy in front of the server, on a loopback port of its own.
func (s *Server) Proxy(t testing.TB) *Proxy {
	t.Helper()
	p := NewProxy(t, func() (net.Conn, error) { return net.Dial("tcp", s.Addr()) })
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	return p
}

// Listen opens the proxy's loopback port.
func (p *Proxy) Listen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	port, err := freePort()
	if err != nil {
		return err
	}
	return p.listenLocked(loopback(port))
}

func (p *Proxy) listenLocked(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	p.listener, p.addr = l, l.Addr().String()
	p.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the listener was closed
			}
			if err := p.serve(conn); err != nil {
				conn.Close()
			}
		}
	})
	return nil
}

// Addr is the host:port of the proxy; blank before Listen.
func (p *Proxy) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// Dial connects to the proxy in memory.
func (p *Proxy) Dial() (net.Conn, error) {
	front, back := net.Pipe()
	if err := p.serve(back); err != nil {
		return nil, err
	}
	return pipeConn{front}, nil
}

// serve connects front with the server.
func (p *Proxy) serve(front net.Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.refusing {
		return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	back, err := p.backend()
	if err != nil {
		return err
	}
	l := &link{p: p, front: front, back: back}
	p.links[l] = struct{}{}
	l.run()
	return nil
}

// DropReplies lets the next n commands that match be executed and then cuts
// their connection, so that the client never sees the reply. A nil match means
// any command. Inside a transaction match "EXEC": what comes before is only
// queued by the server.
func (p *Proxy) DropReplies(n int, match func(cmd []string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.toDrop, p.match = n, match
}

// Scripts matches the commands that run a script.
func Scripts(cmd []string) bool {
	switch strings.ToUpper(cmd[0]) {
	case "EVAL", "EVALSHA", "FCALL":
		return true
	}
	return false
}

// Silence makes connections half-open: what is sent in these directions is
// accepted and held (1024 frames per connection), and delivered late by Resume,
// as after a network partition. New connections are accepted and hear nothing
// either.
func (p *Proxy) Silence(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.gates {
		if g := &p.gates[i]; d&(1<<i) != 0 && !g.shut {
			g.open, g.shut = make(chan struct{}), true
		}
	}
}

// Refuse cuts every connection and refuses new ones.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = true
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	p.cutLocked()
}

// Cut ends every connection; new ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutLocked()
}

// Resume ends Silence, delivering what was held, and Refuse.
func (p *Proxy) Resume() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.openLocked()
	if !p.refusing {
		return nil
	}
	p.refusing = false
	if p.addr == "" {
		return nil
	}
	return p.listenLocked(p.addr)
}

func (p *Proxy) openLocked() {
	for i := range p.gates {
		if g := &p.gates[i]; g.shut {
			close(g.open)
			g.shut = false
		}
	}
}

func (p *Proxy) cutLocked() {
	for l := range p.links {
		l.cut()
	}
}

// Count returns how many commands of this name were passed on to the server, or
// of any name when it is blank.
func (p *Proxy) Count(name string) int { return p.count(p.seen, name) }

// Executed is Count for commands that the server has answered, whether the
// client got the answer or not.
func (p *Proxy) Executed(name string) int { return p.count(p.executed, name) }

func (p *Proxy) count(m map[string]int, name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name != "" {
		return m[strings.ToUpper(name)]
	}
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}

// Dropped returns how many replies DropReplies has dropped.
func (p *Proxy) Dropped() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped
}

// Close ends the proxy and waits for its goroutines. It may be called twice.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	p.openLocked()
	p.cutLocked()
	p.mu.Unlock()
	p.wg.Wait()
}

// wait blocks while the gate of a direction is shut.
func (p *Proxy) wait(d Direction) {
	p.mu.Lock()
	open := p.gates[d>>1].open
	p.mu.Unlock()
	<-open
}
