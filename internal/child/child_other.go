//go:build !unix

package child

import "os/exec"

func start(cmd *exec.Cmd) error { return cmd.Start() }
