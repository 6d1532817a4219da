//go:build !unix

package csvstore

import (
	"io/fs"
	"os"
)

func keepOwner(*os.File, fs.FileInfo) error { return nil }

func syncFolder(*os.Root) error { return nil }
