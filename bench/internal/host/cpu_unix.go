//go:build unix

package host

import (
	"syscall"
	"time"
)

// CPU is the processor time that this process has had, its own and the kernel's for it; 0
// where it is not told.
func CPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
