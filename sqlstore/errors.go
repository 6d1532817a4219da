package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/bellwether-go/bellwether"
)

// A fault sorts what a driver says, without knowing the driver.
type fault int

const (
	faultAway    fault = iota // the database cannot be reached or cannot serve just now
	faultBusy                 // somebody else was in the way; nothing was done: once more
	faultTwice                // the ID or key is there already; nothing was done
	faultValue                // a value does not fit its column
	faultForeign              // a text of characters that a column cannot hold was looked for
	faultMissing              // a right, a table or a database is missing, or of another kind
)

// mysqlError is how MySQL's drivers begin the text of a server's error. They give its
// number in no other way that needs no import.
var mysqlError = regexp.MustCompile(`^Error (\d+)[ :]`)

// https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
var mysqlFaults = map[int]fault{
	1213: faultBusy, // deadlock
	1205: faultBusy, // lock wait timeout
	1020: faultBusy, // record has changed since last read (MariaDB)
	1062: faultTwice,
	1267: faultForeign, 3854: faultForeign, // illegal mix of collations; cannot convert string
	1264: faultValue, 1366: faultValue, 1406: faultValue, 3988: faultValue,
	1044: faultMissing, 1045: faultMissing, 1046: faultMissing, 1049: faultMissing, 1054: faultMissing,
	1064: faultMissing, 1142: faultMissing, 1143: faultMissing, 1146: faultMissing, 1227: faultMissing,
	1665: faultMissing, // binlog_format = STATEMENT and READ COMMITTED
	1698: faultMissing,
}

// https://www.sqlite.org/rescode.html, the primary codes
var sqliteFaults = map[int]fault{
	5:  faultBusy, // SQLITE_BUSY
	6:  faultBusy, // SQLITE_LOCKED, by a connection of a shared cache
	17: faultBusy, // SQLITE_SCHEMA
	19: faultTwice,
	18: faultValue,   // SQLITE_TOOBIG
	1:  faultMissing, // SQLITE_ERROR: no such table
	23: faultMissing, 26: faultMissing,
}

func (d Dialect) fault(err error) fault {
	if d == MySQL {
		if m := mysqlError.FindStringSubmatch(innermost(err).Error()); m != nil {
			number, _ := strconv.Atoi(m[1])
			return mysqlFaults[number]
		}
		return faultAway
	}
	var coded sqliteError
	if errors.As(err, &coded) {
		return sqliteFaults[coded.Code()&0xff]
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "is locked"): // the text of SQLITE_BUSY and SQLITE_LOCKED
		return faultBusy
	case strings.Contains(text, "constraint failed"):
		return faultTwice
	case strings.Contains(text, "no such table"), strings.Contains(text, "not a database"):
		return faultMissing
	}
	return faultAway
}

// A sqliteError tells its code, as those of modernc.org/sqlite do.
type sqliteError interface{ Code() int }

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// explain returns the error of op on the row id. What it wraps says nothing of values.
func (s *Store) explain(ctx context.Context, op, id string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return &bellwether.Error{Op: op, ID: id, Err: ended}
	}
	if _, ours := errors.AsType[*bellwether.Error](err); ours {
		return err
	}
	switch s.dialect.fault(err) {
	case faultBusy, faultTwice:
		return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: op, ID: id, Err: err,
			Detail: "others wrote the same rows again and again", Hint: "try again"}
	case faultValue: // the cause may quote the value
		return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: op, ID: id, Detail: "a value does not fit its column"}
	case faultMissing:
		return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: op, ID: id, Err: err,
			Hint: "the user of the database needs SELECT, INSERT, UPDATE and DELETE on the tables, and CREATE once"}
	}
	hint := "is the database running, and is there room on its disk?"
	if errors.Is(err, sql.ErrConnDone) {
		hint = "the *sql.DB was closed"
	}
	return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: op, ID: id, Err: opaque{err}, Hint: hint}
}

// opaque keeps the text of an error and none of its identity: the timeout of a driver's
// own is not the caller's ctx.
type opaque struct{ err error }

func (o opaque) Error() string { return o.err.Error() }
