//go:build unix

package redistest

import (
	"os"
	"syscall"
)

func pauseChild(p *os.Process) error  { return p.Signal(syscall.SIGSTOP) }
func resumeChild(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
