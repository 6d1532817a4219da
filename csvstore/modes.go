package csvstore

import (
	"fmt"
	"io/fs"
	"runtime"
)

// checkModes refuses a token file that everybody may write and a sidecar that others may
// read, and warns once of a token file that others may read: SDKs make theirs so. On
// Windows modes do not tell.
func (s *Store) checkModes(csv, sidecar fs.FileInfo) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	if sidecar != nil && sidecar.Mode().Perm()&0o077 != 0 {
		return openError(s.name+sidecarSuffix, fmt.Errorf("group or others can use it (mode %04o)", sidecar.Mode().Perm()), "chmod 600 it")
	}
	if csv == nil {
		return nil
	}
	mode := csv.Mode().Perm()
	if mode&0o002 != 0 {
		return openError(s.name, fmt.Errorf("everybody can write it (mode %04o)", mode), "chmod 600 it")
	}
	if mode&0o077 != 0 && s.warned.CompareAndSwap(false, true) {
		s.config.Logger.Warn("bellwether: group or others can use the token file; chmod 600 it",
			"file", s.name, "mode", fmt.Sprintf("%04o", mode))
	}
	return nil
}
