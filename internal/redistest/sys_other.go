//go:build !linux

package redistest

import "os/exec"

// startChild starts cmd. Only the end of the test stops it: this system has no
// parent-death signal.
func startChild(cmd *exec.Cmd) error { return cmd.Start() }
