package sqlstore

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/bellwether-go/bellwether"
)

// SQLiteFile returns the data source name of a database file for the driver "sqlite" of
// modernc.org/sqlite, and makes the file, for its owner alone (0600), if it is missing.
//
// The settings: write-ahead log, so that readers and one writer work at once; a sync at
// each commit, so that an acknowledged write survives a loss of power; five seconds of
// waiting for the writer's lock.
func SQLiteFile(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fileError(path, err)
	}
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		err = f.Close()
	case errors.Is(err, fs.ErrExist):
		err = nil
	}
	if err != nil {
		return "", fileError(path, err)
	}
	slashed := filepath.ToSlash(abs)
	if slashed[0] != '/' { // C:/…
		slashed = "/" + slashed
	}
	return (&url.URL{Scheme: "file", Path: slashed}).String() +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate", nil
}

func fileError(path string, err error) error {
	return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: "open", Detail: path, Err: err,
		Hint: "the folder must exist and be writable"}
}

// SQLiteMemory returns the data source name of a database in memory, shared by the
// connections of this process that use the name, for the driver "sqlite" of
// modernc.org/sqlite. It is gone with the last of them, so keep one:
//
//	db.SetMaxOpenConns(1)
//	db.SetConnMaxIdleTime(0)
//	db.SetConnMaxLifetime(0)
func SQLiteMemory(name string) string {
	return "file:" + url.PathEscape(name) + "?mode=memory&cache=shared&_pragma=busy_timeout(5000)&_txlock=immediate"
}
