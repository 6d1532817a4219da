package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
	"github.com/bellwether-go/bellwether/sqlstore"
)

// A durableURL is a durable store that a URL names.
type durableURL struct {
	scheme  string // sqlite, mysql or file
	path    string // of sqlite and file
	table   string
	dialect csvstore.Dialect
	clear   bool // an SDK reads the table
	mysql   *mysql.Config
}

// durableParameters are what may stand behind the ? of a URL, by its scheme.
var durableParameters = map[string][]string{
	"sqlite": {"table", "sdk"},
	"mysql":  {"table", "sdk", "tls"},
	"file":   {"dialect"},
}

// parseDurable reads the URL of a durable store. It opens nothing. Its errors quote
// nothing that may be a password.
func parseDurable(rawURL string) (durableURL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return durableURL{}, badDurable("does not parse", "write special characters of a password as %40, %2F and so on")
	}
	known, ok := durableParameters[u.Scheme]
	if !ok {
		return durableURL{}, badDurable("begins with neither sqlite://, mysql:// nor file://", "")
	}
	if u.Fragment != "" || u.Opaque != "" {
		return durableURL{}, badDurable("does not parse", "write it as "+u.Scheme+"://…, and # as %23")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return durableURL{}, badDurable("does not parse after its ?", "")
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			return durableURL{}, badDurable("has a parameter that "+u.Scheme+":// does not know", "it knows "+strings.Join(known, ", "))
		}
		if len(values) != 1 || values[0] == "" {
			return durableURL{}, badDurable("has no value, or several, for "+name, "")
		}
	}
	d := durableURL{scheme: u.Scheme, table: q.Get("table"), dialect: csvstore.Dialect(q.Get("dialect"))}
	if q.Has("table") && !tableName.MatchString(d.table) {
		return durableURL{}, badDurable("names no table", "a table's name is letters, digits and underscores, no digit first")
	}
	switch q.Get("sdk") {
	case "true":
		d.clear = true
	case "", "false":
	default:
		return durableURL{}, badDurable("has another sdk than true or false", "")
	}
	switch d.dialect {
	case "", csvstore.Standard, csvstore.Python, csvstore.Node:
	default:
		return durableURL{}, badDurable("has an unknown dialect", "it is standard, python or node")
	}
	if u.Scheme == "mysql" {
		d.mysql, err = mysqlConfig(u, q.Get("tls"))
	} else {
		d.path, err = durablePath(u)
	}
	return d, err
}

// tableName is what sqlstore takes.
var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,47}$`)

func badDurable(what, hint string) error {
	return &usageError{"the URL of the durable store " + what,
		cmp.Or(hint, "write it as sqlite:///abs/tokens.db, mysql://user:password@host:3306/database or file:///abs/sdk_tokens.txt")}
}

// durablePath returns the file of a URL, whose folder is there.
func durablePath(u *url.URL) (string, error) {
	if u.Host != "" || u.User != nil || u.Path == "" || strings.HasSuffix(u.Path, "/") {
		return "", badDurable("names no absolute path of a file", "write it with three slashes: "+u.Scheme+":///abs/file")
	}
	path := filepath.FromSlash(u.Path)
	if filepath.VolumeName(path[1:]) != "" { // /C:/…
		path = path[1:]
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil || !folder.IsDir() {
		return "", badDurable("names a file in a folder that is not there", "make "+filepath.Dir(path)+", for the owner alone")
	}
	return path, nil
}

func mysqlConfig(u *url.URL, tls string) (*mysql.Config, error) {
	database, ok := strings.CutPrefix(u.Path, "/")
	switch {
	case !ok || database == "" || strings.Contains(database, "/"):
		return nil, badDurable("names no database", "")
	case u.Hostname() == "":
		return nil, badDurable("names no host", "")
	case u.User.Username() == "":
		return nil, badDurable("names no user", "")
	}
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "3306")), database
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = 5*time.Second, 30*time.Second, 30*time.Second
	switch tls {
	case "", "false":
	case "true":
		cfg.TLSConfig = tls
	default:
		return nil, badDurable("has another tls than true or false", "")
	}
	return cfg, nil
}

// open opens the store; close ends it. sealer nil leaves the secrets of a table in clear.
// No error holds the password.
func (d durableURL) open(ctx context.Context, sealer bellwether.Sealer, log *slog.Logger) (store bellwether.Durable, close func() error, err error) {
	if d.scheme == "file" {
		s, err := csvstore.Open(d.path, csvstore.Config{Dialect: d.dialect, Logger: log})
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}
	if d.clear {
		sealer = nil
	}
	db, dialect, err := d.database(log)
	if err != nil {
		return nil, nil, err
	}
	s, err := sqlstore.Open(ctx, db, sqlstore.Config{Dialect: dialect, Table: d.table, Sealer: sealer, Logger: log})
	if err != nil {
		return nil, nil, errors.Join(forURL(err), db.Close())
	}
	return s, db.Close, nil
}

func (d durableURL) database(log *slog.Logger) (*sql.DB, sqlstore.Dialect, error) {
	if d.mysql != nil {
		cfg := d.mysql.Clone()
		cfg.Logger = mysqlLog{log}
		connector, err := mysql.NewConnector(cfg)
		if err != nil { // it may quote the settings
			return nil, "", badDurable("is not understood", "")
		}
		return sql.OpenDB(connector), sqlstore.MySQL, nil
	}
	dsn, err := sqlstore.SQLiteFile(d.path)
	if err != nil {
		return nil, "", err
	}
	db, err := sql.Open("sqlite", dsn)
	return db, sqlstore.SQLite, err
}

// forURL puts what helps into words of a URL, where sqlstore speaks of its Config.
func forURL(err error) error {
	e, ok := errors.AsType[*bellwether.Error](err)
	if !ok || !strings.Contains(e.Hint, "Config.") {
		return err
	}
	c := *e
	c.Hint = "give the keyset that sealed it, or a table of its own (?table=NAME), or leave it in clear for Zoho's SDKs (?sdk=true)"
	return &c
}

// mysqlLog takes the lines of the driver, which repeat what errors say.
type mysqlLog struct{ log *slog.Logger }

func (l mysqlLog) Print(v ...any) { l.log.Debug("mysql: " + fmt.Sprint(v...)) }
