// Package child starts processes that do not outlive this one.
//
// What holds on Linux: the kernel kills the child when this process ends, however
// it ends. Elsewhere a killed parent leaves its children, which should therefore
// end at the end of their standard input. On Unix a child is in a process group of
// its own: a Ctrl-C in the terminal reaches this process alone, which then ends its
// children in good order.
package child

import "os/exec"

// Start is cmd.Start for a child of this kind. It sets cmd.SysProcAttr.
func Start(cmd *exec.Cmd) error { return start(cmd) }
