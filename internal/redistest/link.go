package redistest

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"sync"
)

// A link is one connection through the proxy.
type link struct {
	p           *Proxy
	front, back net.Conn

	mu      sync.Mutex
	pending []pending // commands at the server, oldest first
	pubsub  bool      // replies cannot be attributed any more
}

type pending struct {
	name string
	drop bool
}

// run starts the link. Each direction is read by one goroutine and written by
// another, so that a shut gate does not stop the reading.
func (l *link) run() {
	requests, replies := make(chan []byte, 1<<10), make(chan []byte, 1<<10)
	var wg sync.WaitGroup
	wg.Go(func() { defer close(requests); l.read(l.front, requests, nil) })
	wg.Go(func() { l.deliver(requests) })
	wg.Go(func() { defer close(replies); l.read(l.back, replies, l.answered) })
	wg.Go(func() { l.write(replies) })
	l.p.wg.Go(func() {
		wg.Wait()
		l.cut()
		l.p.mu.Lock()
		delete(l.p.links, l)
		l.p.mu.Unlock()
	})
}

func (l *link) cut() {
	l.front.Close()
	l.back.Close()
}

var errDropped = errors.New("the reply was dropped")

// read passes whole frames on until the connection ends or check fails.
func (l *link) read(conn net.Conn, to chan<- []byte, check func(frame []byte) error) {
	r := bufio.NewReaderSize(conn, 64<<10)
	for {
		frame, err := readFrame(r, nil)
		if err != nil {
			return
		}
		if check != nil && check(frame) != nil {
			return
		}
		to <- frame
	}
}

// deliver writes requests to the server. What a client sent before it gave up is
// delivered all the same, as the network would.
func (l *link) deliver(requests <-chan []byte) {
	for frame := range requests {
		l.p.wait(Requests)
		if l.sent(frame) != nil {
			break
		}
		if _, err := l.back.Write(frame); err != nil {
			break
		}
	}
	closeWrite(l.back)
	for range requests { // until the reader has ended
	}
}

// write writes replies to the client.
func (l *link) write(replies <-chan []byte) {
	for frame := range replies {
		l.p.wait(Replies)
		if _, err := l.front.Write(frame); err != nil {
			break
		}
	}
	l.front.Close()
	for range replies {
	}
}

// closeWrite tells the server that nothing more comes, and lets it execute what
// it has not read yet.
func closeWrite(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
		return
	}
	conn.Close() // a pipe: what was written has been read
}

// sent notes a command that is about to be passed on.
func (l *link) sent(frame []byte) error {
	cmd, err := parseCommand(frame)
	if err != nil || len(cmd) == 0 {
		return errors.Join(err, errors.ErrUnsupported)
	}
	name := strings.ToUpper(cmd[0])
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.HasSuffix(name, "SUBSCRIBE") {
		l.pubsub = true
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.p.seen[name]++
	if l.pubsub {
		return nil
	}
	drop := l.p.toDrop > 0 && (l.p.match == nil || l.p.match(cmd))
	if drop {
		l.p.toDrop--
	}
	l.pending = append(l.pending, pending{name, drop})
	return nil
}

// answered notes a frame from the server and fails when it is to be dropped.
func (l *link) answered(frame []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if frame[0] == '>' || len(l.pending) == 0 {
		return nil // a push, or a reply on a subscribed connection
	}
	cmd := l.pending[0]
	l.pending = l.pending[1:]
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.p.executed[cmd.name]++
	if !cmd.drop {
		return nil
	}
	l.p.dropped++
	return errDropped
}
