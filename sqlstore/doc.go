// Package sqlstore keeps tokens in a SQL database: MySQL, MariaDB, SQLite in a file,
// SQLite in memory. It works on the table oauthtoken of Zoho's SDKs, beside running SDKs,
// and is a [bellwether.Durable].
//
// What holds: each write is one transaction, and has happened wholly or not at all. Saves
// of one identity that race, in goroutines or processes, make one row. Nothing is ever
// cut to fit a column: what does not fit is refused. What an SDK writes wins, and is
// adopted by the next read or write that meets it: the row gets a new generation and
// version, and the tokens that it has lost go to its past.
//
// What does not: an SDK takes no lock, so that a row which an SDK inserts at the moment
// of a Save of the same user can stand beside ours ([bellwether.ErrAmbiguous] then says
// so). It coordinates no refresh. The tables of the SDKs hold secrets in clear; a Config
// with a Sealer seals them, in a table that no SDK shares.
//
// The package imports no driver: open the *sql.DB yourself, and close it.
//
//	dsn, err := sqlstore.SQLiteFile("tokens.db") // for modernc.org/sqlite
//	db, err := sql.Open("sqlite", dsn)
//	store, err := sqlstore.Open(ctx, db, sqlstore.Config{Dialect: sqlstore.SQLite})
//
// # The tables
//
// The table of the SDKs keeps their ten columns (README of each SDK, "Token Persistence").
// Where there is none it is made, with columns that hold any token; an SDK's own has
// varchar(255). Beside it stand three of ours, named after it: NAME_bellwether (all that
// those columns lack, generation and version, digests of what a row has superseded, and a
// digest of the row as it was left, by which a foreign write shows), NAME_bellwether_key
// (digests by which rows are found) and NAME_bellwether_meta. A table of another shape is
// refused and not touched.
//
// Rows are found by index, whatever their number, in a table made here. A table made by an
// SDK has no index but that of the ID, so that looking for a user or a token reads all of
// it, as the SDK itself does; indexes on user_name, refresh_token, access_token and
// grant_token are used when there are any.
//
// A row saved without an ID gets a decimal number, such that SDKs go on counting right
// beyond the tenth row, where they fail by themselves.
//
// # MySQL and MariaDB
//
// The tables are InnoDB, the connection's character set is utf8mb4 (the default of
// github.com/go-sql-driver/mysql), and the binary log, where it is on, is not
// statement-based. A write runs at READ COMMITTED and locks the row that it changes,
// SELECT … FOR UPDATE, before it decides: a write by an SDK comes before, and is adopted,
// or after, and waits.
//
// # SQLite
//
// A write begins by taking the one lock that SQLite has for writers. [SQLiteFile] gives
// the settings that keep what was acknowledged over a loss of power, and let readers and
// a writer work at once. A database in memory lives as long as a connection to it:
// [SQLiteMemory].
package sqlstore
