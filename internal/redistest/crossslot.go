package redistest

import (
	"bufio"
	"io"
	"sync"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

const (
	errCrossSlot  = "CROSSSLOT Keys in request don't hash to the same slot"
	errScriptSlot = "ERR Script attempted to access keys that do not hash to the same slot"
	errExecAbort  = "EXECABORT Transaction discarded because of previous errors."
)

// CrossSlot makes m refuse what a Redis Cluster refuses: a command, script or
// transaction whose keys lie in several slots. It is stricter in one point: a
// script may touch only keys of the slot of its declared keys, and none when it
// declares none, where Redis lets scripts without a #! line pass while the keys
// are on one node. A command that CrossSlot does not know is an error.
//
// It takes the place of m's hook; then, when not nil, runs after it, for
// commands that pass. Clients must begin with HELLO, as go-redis does.
func CrossSlot(m *miniredis.Miniredis, then server.Hook) {
	if then == nil {
		then = func(*server.Peer, string, ...string) bool { return false }
	}
	c := &crossSlot{srv: m.Server(), then: then, conns: map[*server.Peer]*connSlots{}}
	c.srv.SetPreHook(c.hook)
}

// A crossSlot checks the commands of one miniredis.
type crossSlot struct {
	srv  *server.Server
	then server.Hook

	running sync.Mutex // held while a script or transaction is executed: one at a time

	mu     sync.Mutex
	script bool // running is held
	slot   int  // of the script's declared keys, -1 when it has none
	conns  map[*server.Peer]*connSlots
}

// connSlots is the state of one client connection, used by its goroutine alone.
type connSlots struct {
	checked bool // the command at hand has passed
	inTx    bool
	txKeys  []string
	txBad   bool // a command of the transaction was refused
}

// hook runs before each command, those of scripts included.
func (c *crossSlot) hook(p *server.Peer, cmd string, args ...string) bool {
	keys, err := keysOf(cmd, args)
	slot, same := commonSlot(keys)

	c.mu.Lock()
	conn := c.conns[p]
	nested := conn == nil && c.script && cmd != "HELLO" // a script has a peer of its own
	if conn == nil && !nested {
		conn = &connSlots{}
		c.conns[p] = conn
		p.OnDisconnect(func() { c.forget(p) })
	}
	foreign := slot >= 0 && slot != c.slot
	c.mu.Unlock()

	switch {
	case !nested && conn.checked:
		conn.checked = false
		return c.then(p, cmd, args...)
	case err != nil:
		return refuse(p, conn, "ERR "+err.Error())
	case nested && (foreign || !same):
		return refuse(p, nil, errScriptSlot)
	case nested:
		return c.then(p, cmd, args...)
	case !same:
		return refuse(p, conn, errCrossSlot)
	}
	return c.client(p, conn, cmd, keys, slot, args)
}

// client lets a command of a client pass, whose own keys are in one slot.
func (c *crossSlot) client(p *server.Peer, conn *connSlots, cmd string, keys []string, slot int, args []string) bool {
	switch {
	case cmd == "EXEC" && conn.inTx:
		slot, same := commonSlot(conn.txKeys)
		bad := conn.txBad
		*conn = connSlots{}
		switch {
		case bad:
			c.discard(p)
			return refuse(p, nil, errExecAbort)
		case !same:
			c.discard(p)
			return refuse(p, nil, errCrossSlot)
		}
		return c.execute(p, conn, slot, cmd, args)
	case cmd == "DISCARD":
		*conn = connSlots{}
	case conn.inTx:
		conn.txKeys = append(conn.txKeys, keys...)
	case cmd == "MULTI":
		conn.inTx = true
	case Scripts([]string{cmd}) || cmd == "EVAL_RO" || cmd == "EVALSHA_RO":
		return c.execute(p, conn, slot, cmd, args)
	}
	return c.then(p, cmd, args...)
}

// execute runs a script or transaction, so that its commands can be told from
// those of clients.
func (c *crossSlot) execute(p *server.Peer, conn *connSlots, slot int, cmd string, args []string) bool {
	c.running.Lock()
	defer c.running.Unlock()
	c.setScript(true, slot)
	defer c.setScript(false, 0)
	conn.checked = true
	c.srv.Dispatch(p, append([]string{cmd}, args...))
	return true
}

func (c *crossSlot) setScript(running bool, slot int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.script, c.slot = running, slot
}

// discard ends the transaction of a connection without an answer.
func (c *crossSlot) discard(p *server.Peer) {
	mute := server.NewPeer(bufio.NewWriter(io.Discard))
	mute.Ctx = p.Ctx
	c.mu.Lock()
	c.conns[mute] = &connSlots{checked: true}
	c.mu.Unlock()
	c.srv.Dispatch(mute, []string{"DISCARD"})
	c.forget(mute)
}

func (c *crossSlot) forget(p *server.Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, p)
}

// refuse answers with an error and marks the connection's transaction.
func refuse(p *server.Peer, conn *connSlots, msg string) bool {
	if conn != nil && conn.inTx {
		conn.txBad = true
	}
	p.WriteError(msg)
	return true
}
