package redistest

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// spawner runs functions on one thread that lives as long as this process: the
// kernel sends Pdeathsig when the parent thread ends, not the parent process.
var spawner = sync.OnceValue(func() chan<- func() {
	q := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range q {
			f()
		}
	}()
	return q
})

// startChild starts cmd so that it dies with this process.
func startChild(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := make(chan error, 1)
	spawner() <- func() { err <- cmd.Start() }
	return <-err
}
