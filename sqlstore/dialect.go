package sqlstore

import (
	"embed"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/bellwether-go/bellwether"
)

// A Dialect is the SQL that a database speaks.
type Dialect string

// The dialects.
const (
	// MySQL is MySQL 5.7 or newer and MariaDB 10.2 or newer, on InnoDB.
	MySQL Dialect = "mysql"
	// SQLite is SQLite 3.24 or newer, in a file or in memory.
	SQLite Dialect = "sqlite"
)

//go:embed mysql/*.sql sqlite/*.sql
var sqlFiles embed.FS

// DefaultTable is the table of Zoho's SDKs.
const DefaultTable = "oauthtoken"

// maxTable leaves room for the longest suffix in the 64 characters of MySQL.
const maxTable = 64 - len("_bellwether_meta")

var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// names are the tables of a store.
type names struct {
	tokens, book, keys, meta string
}

func (d Dialect) names(table string) (names, error) {
	if d != MySQL && d != SQLite {
		return names{}, misconfigured(fmt.Sprintf("there is no dialect %q", string(d)), "use sqlstore.MySQL or sqlstore.SQLite")
	}
	if !tableName.MatchString(table) || len(table) > maxTable || strings.HasPrefix(strings.ToLower(table), "sqlite_") {
		return names{}, misconfigured(fmt.Sprintf("%q cannot name the table", table),
			fmt.Sprintf("use at most %d letters, digits and underscores, no digit first", maxTable))
	}
	return names{tokens: table, book: table + "_bellwether",
		keys: table + "_bellwether_key", meta: table + "_bellwether_meta"}, nil
}

// texts returns every statement of the dialect by its file's name, with the names of the
// tables put in. Nothing else is ever put into a statement: values are parameters.
func (d Dialect) texts(n names) (map[string]string, error) {
	quote := func(name string) string {
		if d == MySQL {
			return "`" + name + "`"
		}
		return `"` + name + `"`
	}
	fill := strings.NewReplacer(
		"{tokens}", quote(n.tokens), "{book}", quote(n.book), "{keys}", quote(n.keys), "{meta}", quote(n.meta),
		"{book_buried}", quote(n.book+"_buried"),
		"{tokens_user}", quote(n.tokens+"_user_name"), "{tokens_refresh}", quote(n.tokens+"_refresh_token"),
		"{tokens_access}", quote(n.tokens+"_access_token"), "{tokens_grant}", quote(n.tokens+"_grant_token"),
	)
	files, err := sqlFiles.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	texts := make(map[string]string)
	for _, f := range files {
		b, err := sqlFiles.ReadFile(path.Join(string(d), f.Name()))
		if err != nil {
			return nil, err
		}
		texts[strings.TrimSuffix(f.Name(), ".sql")] = fill.Replace(string(b))
	}
	return texts, nil
}

// statements splits a script at the semicolons that end its lines.
func statements(script string) []string {
	var all []string
	for s := range strings.SplitSeq(script, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

func misconfigured(detail, hint string) error {
	return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: "open", Detail: detail, Hint: hint}
}
