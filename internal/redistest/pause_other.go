//go:build !unix

package redistest

import (
	"errors"
	"os"
)

func pauseChild(*os.Process) error  { return errors.ErrUnsupported }
func resumeChild(*os.Process) error { return errors.ErrUnsupported }
