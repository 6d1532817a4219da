package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"
)

// What a tap is told besides the texts of statements.
const (
	committing = "COMMIT, before"
	committed  = "COMMIT, after"
)

// A tap is a driver.Connector that tells, in the caller's goroutine, of each statement
// before it is run, and of each commit.
type tap struct {
	driver driver.Driver
	dsn    string
	tell   func(event string)
}

// tapped opens a database whose statements are told.
func tapped(driverName, dsn string, tell func(event string)) (*sql.DB, error) {
	db, err := sql.Open(driverName, dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return sql.OpenDB(tap{db.Driver(), dsn, tell}), nil
}

func openTapped(t testing.TB, p place, tell func(event string)) *sql.DB {
	t.Helper()
	db, err := tapped(string(p.dialect), p.dsn, tell)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (t tap) Driver() driver.Driver { return t.driver }

func (t tap) Connect(context.Context) (driver.Conn, error) {
	c, err := t.driver.Open(t.dsn)
	if err != nil {
		return nil, err
	}
	return tapConn{c, t.tell}, nil
}

type tapConn struct {
	driver.Conn
	tell func(event string)
}

func (c tapConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return tapStmt{s, query, c.tell}, nil
}

func (c tapConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return tapTx{tx, c.tell}, nil
}

type tapStmt struct {
	driver.Stmt
	query string
	tell  func(event string)
}

func (s tapStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.tell(s.query)
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s tapStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.tell(s.query)
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

type tapTx struct {
	driver.Tx
	tell func(event string)
}

func (t tapTx) Commit() error {
	t.tell(committing)
	err := t.Tx.Commit()
	t.tell(committed)
	return err
}
