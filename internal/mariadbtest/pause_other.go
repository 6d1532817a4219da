//go:build !unix

package mariadbtest

import "errors"

// Pause stops the process in its tracks; here it cannot.
func (*Server) Pause() error { return errors.ErrUnsupported }

// Resume lets a paused process go on; here it cannot.
func (*Server) Resume() error { return errors.ErrUnsupported }
