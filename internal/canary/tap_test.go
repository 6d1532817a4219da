package canary

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"sync"
	"testing"
)

// A tap relays connections to a server and keeps all that crosses them.
type tap struct {
	addr string
	wg   sync.WaitGroup

	mu    sync.Mutex
	flows []*flow
	conns []net.Conn
}

// A flow is one connection.
type flow struct{ asked, answered bytes.Buffer }

// newTap returns a tap in front of addr.
func newTap(t *testing.T, addr string) *tap {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{addr: l.Addr().String()}
	p.wg.Go(func() {
		for {
			front, err := l.Accept()
			if err != nil {
				return // closed
			}
			back, err := net.Dial("tcp", addr)
			if err != nil {
				front.Close()
				continue
			}
			p.relay(front, back)
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *tap) relay(front, back net.Conn) {
	f := &flow{}
	p.mu.Lock()
	p.flows, p.conns = append(p.flows, f), append(p.conns, front, back)
	p.mu.Unlock()
	pass := func(to, from net.Conn, seen *bytes.Buffer) {
		defer to.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			p.mu.Lock()
			seen.Write(buf[:n])
			p.mu.Unlock()
			if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}
	p.wg.Go(func() { pass(back, front, &f.asked) })
	p.wg.Go(func() { pass(front, back, &f.answered) })
}

// bytes returns what each connection has carried so far.
func (p *tap) bytes() (asked, answered [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.flows {
		asked = append(asked, bytes.Clone(f.asked.Bytes()))
		answered = append(answered, bytes.Clone(f.answered.Bytes()))
	}
	return asked, answered
}

// heads writes the requests of a connection but for what may carry a secret: the
// body and the Authorization header.
func heads(w io.Writer, asked []byte) {
	for r := bufio.NewReader(bytes.NewReader(asked)); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		fmt.Fprintf(w, "%s %s %s\n", req.Method, req.RequestURI, req.Host)
		req.Header.Del("Authorization")
		_ = req.Header.Write(w)
	}
}

// member matches the members of an answer that are secret, cut ones too.
var member = regexp.MustCompile(`"(?:access|refresh|id)_token":"((?:[^"\\]|\\.)*)`)

// tokens returns the secrets that a provider's answers have brought.
func tokens(answered []byte) map[string]bool {
	out := make(map[string]bool)
	for _, m := range member.FindAllSubmatch(answered, -1) {
		var text string
		if json.Unmarshal([]byte(`"`+string(m[1])+`"`), &text) == nil {
			out[text] = true
		}
	}
	return out
}

// A parrot is a broken server: in the format it answers with the body that it was
// sent or, without one, the Authorization header, since errors of clients quote such.
func parrot(t *testing.T, format string) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				body, _ := io.ReadAll(req.Body)
				fmt.Fprintf(c, format, cmp.Or(string(body), req.Header.Get("Authorization")))
			}
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}
