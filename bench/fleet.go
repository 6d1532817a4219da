package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/child"
)

// exitPatience is how long a replica may take to end in good order.
const exitPatience = 2 * time.Second

// A fleet is the replicas of one scenario. Its methods are called from one goroutine.
type fleet struct {
	replicas []*replica
	news     chan news
	stopping chan struct{} // closed by stop: nobody reads news any more
	wg       sync.WaitGroup
}

// A replica is one process.
type replica struct {
	number int // from 1
	cmd    *exec.Cmd
	in     io.WriteCloser
	orders *json.Encoder
	stderr tail
	gone   chan struct{} // closed when the process has ended and was waited for
	killed bool          // by us
}

func (r *replica) pid() int { return r.cmd.Process.Pid }

// startFleet starts n replicas and gives each the setup. It returns when all are
// ready.
func startFleet(ctx context.Context, n int, s setup) (*fleet, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f := &fleet{news: make(chan news, 64*n), stopping: make(chan struct{})}
	for i := range n {
		if err := f.start(exe, i+1, s); err != nil {
			f.stop()
			return nil, err
		}
	}
	if _, err := f.await(ctx, newsReady, nil); err != nil {
		f.stop()
		return nil, err
	}
	return f, nil
}

func (f *fleet) start(exe string, number int, s setup) error {
	r := &replica{number: number, cmd: exec.Command(exe, WorkerCommand), gone: make(chan struct{})}
	r.cmd.Args[0] = os.Args[0] // some binaries go by their name
	r.cmd.Stderr = &r.stderr
	in, err := r.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(r.cmd); err != nil {
		return fmt.Errorf("bench: start a replica: %w", err)
	}
	r.in, r.orders = in, json.NewEncoder(in)
	f.replicas = append(f.replicas, r)
	f.wg.Go(func() { f.listen(r, out) })
	s.Number = number
	return r.tell(s)
}

// tell sends one line. A replica that does not take it has ended, or is ended.
func (r *replica) tell(v any) error {
	if r.orders.Encode(v) == nil {
		return nil
	}
	_ = r.in.Close()
	select {
	case <-r.gone:
	case <-time.After(exitPatience):
	}
	return r.lost()
}

// listen hands on what a replica says until it ends.
func (f *fleet) listen(r *replica, out io.Reader) {
	dec := json.NewDecoder(out)
	for {
		var n news
		if dec.Decode(&n) != nil {
			break
		}
		f.deliver(r, n)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = r.cmd.Wait() // how it ended is told by what it said
	close(r.gone)
	f.deliver(r, news{Word: newsGone})
}

func (f *fleet) deliver(r *replica, n news) {
	n.replica = r
	select {
	case f.news <- n:
	case <-f.stopping:
	}
}

// tell gives an order to all replicas that live.
func (f *fleet) tell(o order) error {
	for _, r := range f.living() {
		if err := r.tell(o); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) living() []*replica {
	return slices.DeleteFunc(slices.Clone(f.replicas), func(r *replica) bool { return r.killed })
}

// await waits until every replica that lives has said word, and returns that. Other
// news goes to aside, which may kill replicas; nil drops it.
func (f *fleet) await(ctx context.Context, word newsWord, aside func(news) error) ([]news, error) {
	got := map[*replica]news{}
	for {
		living := f.living()
		if !slices.ContainsFunc(living, func(r *replica) bool { _, ok := got[r]; return !ok }) {
			var all []news
			for _, r := range living {
				all = append(all, got[r])
			}
			return all, nil
		}
		var n news
		select {
		case n = <-f.news:
		case <-ctx.Done():
			return nil, fmt.Errorf("bench: waiting for %q: %w", word, ended(ctx))
		}
		switch {
		case n.Word == newsFailed:
			return nil, &bellwether.Error{Op: "run", Detail: fmt.Sprintf("replica %d failed: %s", n.replica.number, n.Err)}
		case n.Word == newsGone && !n.replica.killed:
			return nil, n.replica.lost()
		case n.Word == word:
			got[n.replica] = n
		case aside != nil && n.Word != newsGone:
			if err := aside(n); err != nil {
				return nil, err
			}
		}
	}
}

// lost is the error of a replica that ended though nobody killed it.
func (r *replica) lost() error {
	state := "it listens no more"
	select {
	case <-r.gone:
		state = r.cmd.ProcessState.String()
	default:
	}
	text := fmt.Sprintf("replica %d (process %d): %s", r.number, r.pid(), state)
	if s := r.stderr.String(); s != "" {
		text += "\n" + s
	}
	return errors.New("bench: " + text)
}

// kill ends one replica at once, as a crash does (SIGKILL), and waits until it is gone.
func (f *fleet) kill(r *replica) error {
	r.killed = true
	if err := r.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("bench: kill replica %d: %w", r.number, err)
	}
	select {
	case <-r.gone:
		return nil
	case <-time.After(exitPatience):
		return fmt.Errorf("bench: replica %d (process %d) does not die", r.number, r.pid())
	}
}

// stop ends all replicas: in good order, else by their process ids. It returns when
// none is left.
func (f *fleet) stop() {
	close(f.stopping)
	for _, r := range f.replicas {
		_ = r.in.Close() // the sign to end
	}
	patience := time.NewTimer(exitPatience)
	defer patience.Stop()
	for _, r := range f.replicas {
		select {
		case <-r.gone:
			continue
		default:
		}
		select {
		case <-r.gone:
		case <-patience.C:
			patience.Reset(0)
			_ = r.cmd.Process.Kill() // already gone is fine
			<-r.gone
		}
	}
	f.wg.Wait()
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-tailSize):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}
