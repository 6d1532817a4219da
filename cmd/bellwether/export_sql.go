package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"

	"github.com/bellwether-go/bellwether"
)

// sdkTableColumns are those of the SDKs' documents, with their sizes.
const sdkTableColumns = `id varchar(10) NOT NULL, user_name varchar(255), client_id varchar(255),
	client_secret varchar(255), refresh_token varchar(255), access_token varchar(255), grant_token varchar(255),
	expiry_time varchar(20), redirect_url varchar(255), api_domain varchar(255), primary key (id)`

// An sdkTableSink fills a table in one transaction.
type sdkTableSink struct {
	db     *sql.DB
	tx     *sql.Tx
	insert *sql.Stmt
	file   *newFile // of SQLite
	sized  bool     // the columns hold no more than 255 characters
}

// createSQLite makes a database of one table.
func createSQLite(ctx context.Context, path string, force bool) (sink, error) {
	for _, suffix := range []string{"-wal", "-journal"} {
		if _, err := os.Lstat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			return nil, &usageError{printable(path+suffix) + " belongs to a database that is open or was cut off",
				"SQLite would take it for part of the new one: end the program that uses it, or name another file"}
		}
	}
	n, f, err := createNewFile(path, force)
	if err != nil {
		return nil, err
	}
	s := &sdkTableSink{file: n}
	if err := errors.Join(f.Close(), s.open(ctx)); err != nil {
		s.abort()
		return nil, err
	}
	return s, nil
}

func (s *sdkTableSink) open(ctx context.Context) error {
	dsn, err := sqliteURL(s.file.temp, "_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	if s.db, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	return s.begin(ctx, `"oauthtoken"`)
}

// fillMySQL writes into a table that has no row; it is made where it is missing.
func fillMySQL(ctx context.Context, dsn, table string, log *slog.Logger) (sink, error) {
	// A server that is not strict cuts what does not fit.
	db, err := mysqlDB(dsn, log, map[string]string{"sql_mode": "'STRICT_ALL_TABLES'"})
	if err != nil {
		return nil, err
	}
	s := &sdkTableSink{db: db, sized: true}
	err = s.begin(ctx, "`"+table+"`")
	if err == nil {
		var one int
		switch err = s.tx.QueryRowContext(ctx, "SELECT 1 FROM `"+table+"` LIMIT 1").Scan(&one); {
		case errors.Is(err, sql.ErrNoRows):
			return s, nil
		case err == nil:
			err = &usageError{"table " + table + " has rows already", "name another one with --table, or empty it: an export never mixes"}
		}
	}
	s.abort()
	if _, usage := errors.AsType[*usageError](err); usage || ctx.Err() != nil {
		return nil, err
	}
	return nil, &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "export", Detail: "table " + table, Err: err,
		Hint: "check the address, the user, the password, and that the table has the SDKs' columns"}
}

// begin makes the table where there is none, and opens the transaction.
func (s *sdkTableSink) begin(ctx context.Context, table string) error {
	if _, err := s.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+table+" ("+sdkTableColumns+")"); err != nil {
		return err
	}
	var err error
	if s.tx, err = s.db.BeginTx(ctx, nil); err != nil {
		return err
	}
	s.insert, err = s.tx.PrepareContext(ctx, "INSERT INTO "+table+" ("+strings.Join(sdkColumnNames[:], ", ")+
		") VALUES (?"+strings.Repeat(", ?", sdkColumnCount-1)+")")
	return err
}

// check implements sink.
func (s *sdkTableSink) check(c sdkColumns) error {
	for i, v := range c {
		if n := utf8.RuneCountInString(v); s.sized && n > 255 {
			return refuse(fmt.Sprintf("its %s has %d characters, the column takes 255", sdkColumnNames[i], n), "export it to a file")
		}
	}
	return nil
}

// write implements sink. What is blank is NULL, as the SDKs write it.
func (s *sdkTableSink) write(ctx context.Context, c sdkColumns) error {
	var args [sdkColumnCount]any
	for i, v := range c {
		args[i] = sql.NullString{String: v, Valid: v != ""}
	}
	_, err := s.insert.ExecContext(ctx, args[:]...)
	return s.fault(ctx, err, c[sdkID])
}

func (s *sdkTableSink) fault(ctx context.Context, err error, id string) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if m, ok := errors.AsType[*mysql.MySQLError](err); ok { // its text may quote a value
		err = fmt.Errorf("error %d (SQLSTATE %s)", m.Number, m.SQLState[:])
	}
	return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "export", ID: id, Err: err, Hint: "nothing was written"}
}

// finish implements sink.
func (s *sdkTableSink) finish() error {
	err := s.tx.Commit()
	if s.file == nil {
		return s.fault(context.Background(), err, "")
	}
	err = errors.Join(err, s.db.Close())
	if err != nil {
		return s.fault(context.Background(), err, "")
	}
	return s.file.finish()
}

// abort implements sink.
func (s *sdkTableSink) abort() {
	if s.tx != nil {
		_ = s.tx.Rollback()
	}
	if s.db != nil {
		_ = s.db.Close()
	}
	if s.file != nil {
		s.file.abort()
		if !s.file.done {
			_ = os.Remove(s.file.temp + "-journal")
		}
	}
}
