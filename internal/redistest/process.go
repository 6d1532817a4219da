package redistest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bellwether-go/bellwether/internal/child"
)

const (
	confFile = "redis.conf"

	startTimeout = 20 * time.Second // a loaded machine is slow, a broken server is not
	stopTimeout  = 5 * time.Second
	pollEvery    = 5 * time.Millisecond

	// Ports are taken from below the ephemeral ranges of the usual systems, bus
	// ports included, so that no outgoing connection takes one in between.
	minPort   = 10000
	maxPort   = 22767
	busOffset = 10000
	portTries = 50
)

var errExited = errors.New("the server has exited")

// A process is one child, started by us and ended by its process id.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the child has ended and was waited for
}

// launch runs redis-server on the configuration file in dir. Where package child cannot
// have it killed with this process, a Ctrl-C leaves it running.
func launch(dir string, args ...string) (*process, error) {
	out, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(serverBinary, append([]string{filepath.Join(dir, confFile)}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if err := child.Start(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended does not matter: tests kill servers
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the child at once, stopped or not, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // os.ErrProcessDone: already gone
	<-p.done
}

// terminate asks the child to end, and kills it when it does not.
func (p *process) terminate() {
	_ = resumeChild(p.cmd.Process) // a stopped child would not hear the next signal
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.kill()
	}
}

// freePort returns a loopback port on which nobody listens, nor on its bus port.
// Somebody may take it before it is used; whoever starts a server tries again.
func freePort() (int, error) {
	for range portTries {
		port := minPort + rand.IntN(maxPort-minPort+1)
		if portFree(port) && portFree(port+busOffset) {
			return port, nil
		}
	}
	return 0, errors.New("redistest: no free port found")
}

func portFree(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// logTail returns the end of the server's log, for error messages.
func logTail(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-5):], []byte("\n")))
}

// poll calls ok until it returns nil. It gives up at the deadline with ok's last
// error, and at once when a process that it depends on has exited.
func poll(what string, timeout time.Duration, ok func() error) error {
	deadline := time.Now().Add(timeout)
	for {
		err := ok()
		if err == nil || errors.Is(err, errExited) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("redistest: %s: not within %v: %w", what, timeout, err)
		}
		time.Sleep(pollEvery)
	}
}

// infoField returns the value of one field of an INFO answer.
func infoField(info, field string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
