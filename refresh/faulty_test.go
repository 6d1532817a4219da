package refresh

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
)

// faulty is a store whose operations can be made to fail, before they happen or
// after, and whose events can be lost.
type faulty struct {
	*redisstore.Store
	mu     sync.Mutex
	before func(op string) error // an error: the operation does not happen
	after  func(op string) error // an error: its reply is lost
	deaf   bool
	ops    map[string]int
	fn     func(bellwether.Event)
}

var errAway = &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "test", Detail: "Redis is away"}

// away makes the named operations fail until the returned func is called.
func (f *faulty) away(ops ...string) (back func()) {
	f.setBefore(failing(ops))
	return func() { f.setBefore(nil) }
}

// loseReplies loses the replies of the named operations until the returned func is
// called.
func (f *faulty) loseReplies(ops ...string) (back func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = failing(ops)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.after = nil
	}
}

func failing(ops []string) func(string) error {
	return func(op string) error {
		if slices.Contains(ops, op) {
			return errAway
		}
		return nil
	}
}

func (f *faulty) setBefore(fn func(string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = fn
}

func (f *faulty) setDeaf(deaf bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deaf = deaf
}

// total is how many operations of the row's protocol were asked for so far.
func (f *faulty) total() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.ops {
		n += k
	}
	return n
}

func (f *faulty) did(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops[op]
}

func run[T any](f *faulty, op string, do func() (T, error)) (T, error) {
	f.mu.Lock()
	if f.ops == nil {
		f.ops = make(map[string]int)
	}
	f.ops[op]++
	before := f.before
	f.mu.Unlock()
	var none T
	if before != nil {
		if err := before(op); err != nil {
			return none, err
		}
	}
	v, err := do()
	f.mu.Lock()
	after := f.after
	f.mu.Unlock()
	if after != nil {
		if err := after(op); err != nil {
			return none, err
		}
	}
	return v, err
}

func (f *faulty) Peek(ctx context.Context, id, client string) (bellwether.Snapshot, error) {
	return run(f, "peek", func() (bellwether.Snapshot, error) { return f.Store.Peek(ctx, id, client) })
}

func (f *faulty) Lock(ctx context.Context, id, nonce string, ttl, maxHold time.Duration) (bellwether.Lease, error) {
	return run(f, "lock", func() (bellwether.Lease, error) { return f.Store.Lock(ctx, id, nonce, ttl, maxHold) })
}

func (f *faulty) Begin(ctx context.Context, a bellwether.Attempt) (bellwether.BeginAnswer, error) {
	return run(f, "begin", func() (bellwether.BeginAnswer, error) { return f.Store.Begin(ctx, a) })
}

func (f *faulty) Commit(ctx context.Context, c bellwether.Commit) (bellwether.CommitAnswer, error) {
	return run(f, "commit", func() (bellwether.CommitAnswer, error) { return f.Store.Commit(ctx, c) })
}

func (f *faulty) Fail(ctx context.Context, x bellwether.Fail) (bellwether.FailAnswer, error) {
	return run(f, "fail", func() (bellwether.FailAnswer, error) { return f.Store.Fail(ctx, x) })
}

func (f *faulty) DeleteRevoking(ctx context.Context, id string) error {
	_, err := run(f, "delete", func() (struct{}, error) { return struct{}{}, f.Store.DeleteRevoking(ctx, id) })
	return err
}

func (f *faulty) Subscribe(fn func(bellwether.Event)) func() {
	f.mu.Lock()
	f.fn = fn
	f.mu.Unlock()
	return f.Store.Subscribe(func(ev bellwether.Event) {
		f.mu.Lock()
		deaf := f.deaf
		f.mu.Unlock()
		if !deaf {
			fn(ev)
		}
	})
}

// tell delivers an event as if the store had sent it.
func (f *faulty) tell(ev bellwether.Event) { f.fn(ev) }
