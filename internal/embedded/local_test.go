package embedded

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func local(t *testing.T) (*Server, *redis.Client) {
	t.Helper()
	s, err := Local()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c := s.Client()
	t.Cleanup(func() { _ = c.Close() })
	return s, c
}

func TestLocalListensNowhere(t *testing.T) {
	s, c := local(t)
	if err := c.Set(t.Context(), "k", "v", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	other := s.Client()
	defer other.Close()
	if got := other.Get(t.Context(), "k").Val(); got != "v" {
		t.Errorf("another client reads %q", got)
	}
	if got := dial(t, c).LocalAddr().Network(); got != "pipe" {
		t.Errorf("a connection is of network %s", got)
	}
}

func dial(t *testing.T, c *redis.Client) net.Conn {
	t.Helper()
	conn, err := c.Options().Dialer(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestLongPipeline: the server answers the first command while the client still writes.
func TestLongPipeline(t *testing.T) {
	_, c := local(t)
	value := strings.Repeat("v", 1<<12)
	const n = 500
	answers, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for range n {
			p.Echo(t.Context(), value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range answers {
		if got, err := a.(*redis.StringCmd).Result(); got != value || err != nil {
			t.Fatalf("an answer of %d bytes, %v", len(got), err)
		}
	}
}

func TestMessagesAndScripts(t *testing.T) {
	_, c := local(t)
	sub := c.Subscribe(t.Context(), "ch")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Eval(t.Context(), `return redis.call("PUBLISH", "ch", ARGV[1])`, nil, "hello").Err(); err != nil {
		t.Fatal(err)
	}
	msg, err := sub.ReceiveMessage(t.Context())
	if err != nil || msg.Payload != "hello" {
		t.Errorf("received %v, %v", msg, err)
	}
}

// TestConnDeadline: a read can miss its deadline; a write, which waits for nobody, cannot.
func TestConnDeadline(t *testing.T) {
	_, c := local(t)
	conn := dial(t, c)
	if err := conn.SetDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: got %v, want %v", err, os.ErrDeadlineExceeded)
	}
	if _, err := conn.Write([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
		t.Errorf("write: %v", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len("+PONG\r\n"))
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "+PONG\r\n" {
		t.Errorf("the answer is %q, %v", answer, err)
	}
}

func TestConnAfterClose(t *testing.T) {
	_, c := local(t)
	conn := dial(t, c)
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("PING\r\n")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write: got %v, want %v", err, io.ErrClosedPipe)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("read: got %v, want %v", err, io.ErrClosedPipe)
	}
}
