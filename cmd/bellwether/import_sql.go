package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/bellwether-go/bellwether"
)

// pageRows is how many rows of a table one SELECT returns.
const pageRows = 1000

// An sdkTable is the table of an SDK. Nothing but SELECT is sent.
type sdkTable struct {
	db    *sql.DB
	table string
	quote string // around the name of a table
	total int64
	count int64 // rows so far
}

// openSQLite opens the database of a file to read it. SQLite may make its -shm and -wal
// files beside a database in WAL mode, as every reader does.
func openSQLite(ctx context.Context, path, table string) (*sdkTable, error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		if err == nil {
			err = errors.New("it is not a regular file")
		}
		return nil, &usageError{"the database cannot be read: " + err.Error(), "name the SQLite file of the SDK's store, such as zohooauth.db"}
	}
	dsn, err := sqliteURL(path, "mode=ro&_pragma=busy_timeout(5000)&_pragma=query_only(1)")
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	return newSDKTable(ctx, db, table, `"`)
}

// sqliteURL names a database file for modernc.org/sqlite.
func sqliteURL(path, query string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	slashed := filepath.ToSlash(abs)
	if slashed[0] != '/' { // C:/…
		slashed = "/" + slashed
	}
	return (&url.URL{Scheme: "file", Path: slashed, RawQuery: query}).String(), nil
}

// openMySQL opens the database that a data source name of github.com/go-sql-driver/mysql
// names. No error quotes the name.
func openMySQL(ctx context.Context, dsn, table string, log *slog.Logger) (*sdkTable, error) {
	db, err := mysqlDB(dsn, log, nil)
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		err = (&sdkTable{table: table}).fault(err, "check the address, the user and the password")
		return nil, errors.Join(err, db.Close())
	}
	return newSDKTable(ctx, db, table, "`")
}

func mysqlDB(dsn string, log *slog.Logger, session map[string]string) (*sql.DB, error) {
	bad := &usageError{"the data source name of MySQL is not understood", "write it as user:password@tcp(host:3306)/zohooauth"}
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil || cfg.DBName == "" {
		return nil, bad
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	cfg.Logger = mysqlLog{log}
	if cfg.Params == nil {
		cfg.Params = make(map[string]string)
	}
	maps.Copy(cfg.Params, session)
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, bad
	}
	return sql.OpenDB(connector), nil
}

// newSDKTable looks at the table. Pages go by the ID, so that no two rows may have one.
func newSDKTable(ctx context.Context, db *sql.DB, table, quote string) (*sdkTable, error) {
	s := &sdkTable{db: db, table: table, quote: quote}
	if err := s.look(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (s *sdkTable) look(ctx context.Context) error {
	var distinct int64
	err := s.db.QueryRowContext(ctx, "SELECT COUNT(*), COUNT(DISTINCT id) FROM "+s.name("")).Scan(&s.total, &distinct)
	if err != nil && ctx.Err() == nil {
		return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "import", Detail: "table " + s.table, Err: err,
			Hint: "the SDKs' table is oauthtoken; name another one with --table"}
	}
	if distinct != s.total {
		return s.invalid("several rows have one id, or none", "the SDKs' table has id as its primary key: give each row one of its own")
	}
	var seal string
	err = s.db.QueryRowContext(ctx, "SELECT value FROM "+s.name("_bellwether_meta")+" WHERE name = 'seal'").Scan(&seal)
	if err == nil && seal != "none" { // no SDK reads it
		return s.invalid("Bellwether has sealed it", "open it as the durable store that it is: --durable")
	}
	return ctx.Err()
}

// name is that of the table, with a suffix, as a statement writes it.
func (s *sdkTable) name(suffix string) string { return s.quote + s.table + suffix + s.quote }

func (s *sdkTable) fault(err error, hint string) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "import", Detail: "table " + s.table, Err: err, Hint: hint}
}

func (s *sdkTable) invalid(detail, hint string) error {
	return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "import", Detail: "table " + s.table + ": " + detail, Hint: hint}
}

func (s *sdkTable) close() error { return s.db.Close() }

// done implements source.
func (s *sdkTable) done() float64 { return float64(s.count) / float64(max(s.total, 1)) }

// rows implements source. It reads a page at a time and holds no transaction between two.
func (s *sdkTable) rows(ctx context.Context) iter.Seq2[sdkRow, error] {
	return func(yield func(sdkRow, error) bool) {
		query, err := s.query(ctx)
		if err != nil {
			yield(sdkRow{}, err)
			return
		}
		page, last := []sdkRow(nil), ""
		for first := true; first || len(page) == pageRows; first = false {
			if page, err = s.page(ctx, query, first, last); err != nil {
				yield(sdkRow{}, s.fault(err, "run the import again when the database answers"))
				return
			}
			for _, row := range page {
				last = row.columns[sdkID]
				s.count++
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// query is the SELECT of the SDKs' columns that there are, %s where its condition goes.
func (s *sdkTable) query(ctx context.Context) (string, error) {
	head, err := s.db.QueryContext(ctx, "SELECT * FROM "+s.name("")+" WHERE 1 = 0")
	if err != nil {
		return "", s.fault(err, "")
	}
	defer head.Close()
	names, err := head.Columns()
	if err != nil {
		return "", s.fault(err, "")
	}
	lower := make([]string, len(names))
	for i, name := range names {
		lower[i] = strings.ToLower(name)
	}
	at, problem := sdkColumnAt(lower)
	if problem != "" {
		return "", s.invalid("it is not the SDKs': "+problem, "name theirs with --table")
	}
	var list []string
	for _, i := range at {
		if i < 0 {
			list = append(list, "NULL")
		} else {
			list = append(list, s.quote+lower[i]+s.quote)
		}
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + s.name("") + " %s ORDER BY id LIMIT ?", nil
}

func (s *sdkTable) page(ctx context.Context, query string, first bool, last string) ([]sdkRow, error) {
	where, args := "WHERE id > ?", []any{last, pageRows}
	if first {
		where, args = "", args[1:]
	}
	rows, err := s.db.QueryContext(ctx, fmt.Sprintf(query, where), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []sdkRow
	for rows.Next() {
		var texts [sdkColumnCount]sql.NullString
		var into [sdkColumnCount]any
		for i := range texts {
			into[i] = &texts[i]
		}
		if err := rows.Scan(into[:]...); err != nil {
			return nil, err
		}
		var row sdkRow
		for i, text := range texts {
			row.columns[i] = text.String
		}
		page = append(page, row)
	}
	return page, rows.Err()
}
