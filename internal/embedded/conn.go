package embedded

import (
	"io"
	"net"
	"sync"
	"time"
)

// A conn is a net.Pipe whose writes do not wait for the reader, as those of a socket. On
// a bare pipe a client that writes a long pipeline and a server that answers its first
// command would wait for each other.
type conn struct {
	net.Conn

	mu     sync.Mutex
	filled *sync.Cond // there is something to write, or err is set
	unsent []byte
	err    error
}

func newConn(pipe net.Conn) *conn {
	c := &conn{Conn: pipe}
	c.filled = sync.NewCond(&c.mu)
	go c.send()
	return c
}

// send writes what is unsent until the connection ends.
func (c *conn) send() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for len(c.unsent) == 0 && c.err == nil {
			c.filled.Wait()
		}
		if c.err != nil {
			return
		}
		b := c.unsent
		c.unsent = nil
		c.mu.Unlock()
		_, err := c.Conn.Write(b)
		c.mu.Lock()
		if err != nil && c.err == nil {
			c.err = err
		}
	}
}

// Write implements net.Conn. It never blocks.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	c.unsent = append(c.unsent, b...)
	c.filled.Signal()
	return len(b), nil
}

// Close implements net.Conn. What is unsent is dropped.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.err == nil {
		c.err = io.ErrClosedPipe
	}
	c.filled.Signal()
	c.mu.Unlock()
	return c.Conn.Close()
}

// SetDeadline implements net.Conn; only reads can miss it.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
