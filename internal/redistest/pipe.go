package redistest

import (
	"errors"
	"io"
	"net"
	"time"
)

// A pipeConn makes one end of a net.Pipe behave as a TCP connection when the
// other end has closed: writes go nowhere, deadlines can be set, and the next
// read is io.EOF, which a client may retry. A bare pipe fails with
// io.ErrClosedPipe at whatever comes first.
type pipeConn struct{ net.Conn }

func (c pipeConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if c.remoteClosed(err) {
		return len(b), nil
	}
	return n, err
}

func (c pipeConn) SetDeadline(t time.Time) error { return c.unlessRemote(c.Conn.SetDeadline(t)) }

func (c pipeConn) SetReadDeadline(t time.Time) error {
	return c.unlessRemote(c.Conn.SetReadDeadline(t))
}

func (c pipeConn) SetWriteDeadline(t time.Time) error {
	return c.unlessRemote(c.Conn.SetWriteDeadline(t))
}

func (c pipeConn) unlessRemote(err error) error {
	if c.remoteClosed(err) {
		return nil
	}
	return err
}

// remoteClosed reports whether err comes from the other end's close: a read at a
// pipe that this end has closed is not io.EOF.
func (c pipeConn) remoteClosed(err error) bool {
	if !errors.Is(err, io.ErrClosedPipe) {
		return false
	}
	_, err = c.Conn.Read(nil)
	return errors.Is(err, io.EOF)
}
