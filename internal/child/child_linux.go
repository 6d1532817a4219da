package child

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starter runs functions on one thread that lives as long as this process: the
// kernel sends Pdeathsig when the parent thread ends, not the parent process.
var starter = sync.OnceValue(func() chan<- func() {
	q := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range q {
			f()
		}
	}()
	return q
})

func start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	err := make(chan error, 1)
	starter() <- func() { err <- cmd.Start() }
	return <-err
}
