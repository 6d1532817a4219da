package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
	"github.com/bellwether-go/bellwether/refresh"
)

// envExportDSN holds what a command line must not: the data source name with its password.
const envExportDSN = "BELLWETHER_EXPORT_DSN"

// A sink is where an export writes.
type sink interface {
	// check says why the format cannot carry a row.
	check(sdkColumns) error
	write(ctx context.Context, c sdkColumns) error
	// finish makes what was written last; abort drops it, and does nothing after finish.
	finish() error
	abort()
}

const exportHelp = `All rows of the store are written, with their secrets in clear. A file gets mode 0600 and
appears whole or not at all; one that exists is replaced with --force only.

The format has ten columns. What it lacks (a provider other than Zoho, scopes, extra
values, the state) is left out and counted. A row with a value that the format cannot
carry is named and left out, and the exit code is 1.

Rows are numbered as an SDK counts on; --keep-ids keeps the ids of the store, where they
are decimal numbers. Stop the fleet first when the provider rotates refresh tokens, and
delete the rows here once the SDK runs: only the newest token counts.`

func newExport(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Hand all tokens over to Zoho's SDKs",
		Long: `export writes all rows in a format of Zoho's SDKs.

` + exportHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newExportFile(s), newExportMySQL(s), newExportSQLite(s))
	return cmd
}

func newExportFile(s *settings) *cobra.Command {
	var dialect string
	var force bool
	cmd := s.exportCommand("zoho-file FILE", "Write the file of an SDK (FileStore)",
		oneArgument("which file? name the one to write, such as sdk_tokens.txt"), 1,
		func(_ *cobra.Command, args []string) (sink, error) {
			d, err := parseDialect(dialect)
			if err != nil {
				return nil, err
			}
			return createSDKFile(args[0], d, force)
		})
	cmd.ValidArgsFunction = nil // files
	cmd.Example = "  bellwether export zoho-file sdk_tokens.txt --dialect python"
	registerDialect(cmd, &dialect, string(csvstore.Node),
		"`SDK` that will read the file: node (TypeScript and PHP too), whose file the others read as well; python, or standard for Java, where a value holds a comma")
	registerForce(cmd, &force)
	return cmd
}

// firstTableID is nine digits long: SDKs take max(id) of texts, which among IDs of one
// length is the greatest number.
const firstTableID = 100_000_001

func newExportSQLite(s *settings) *cobra.Command {
	var force bool
	cmd := s.exportCommand("zoho-sqlite FILE", "Write the SQLite file of a store by Zoho's guide",
		oneArgument("which file? name the one to write, such as zohooauth.db"), firstTableID,
		func(cmd *cobra.Command, args []string) (sink, error) {
			return createSQLite(cmd.Context(), args[0], force)
		})
	cmd.ValidArgsFunction = nil // files
	cmd.Example = "  bellwether export zoho-sqlite zohooauth.db"
	registerForce(cmd, &force)
	return cmd
}

func newExportMySQL(s *settings) *cobra.Command {
	var table, file string
	cmd := s.exportCommand("zoho-mysql", "Fill the empty table of an SDK in MySQL (DBStore)", cobra.ArbitraryArgs, firstTableID,
		func(cmd *cobra.Command, args []string) (sink, error) {
			if len(args) > 0 {
				return nil, errDSNArgument
			}
			if err := checkTable(table); err != nil {
				return nil, err
			}
			dsn, err := readDSN(file, envExportDSN)
			if err != nil {
				return nil, err
			}
			return fillMySQL(cmd.Context(), dsn, table, s.logger(cmd.ErrOrStderr()))
		})
	cmd.Example = "  bellwether export zoho-mysql --dsn-file dsn.txt   # user:password@tcp(db:3306)/zohooauth"
	registerTable(cmd, &table)
	registerDSN(cmd, &file, envExportDSN)
	return cmd
}

func registerForce(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force", false, "replace a file that exists")
}

// exportCommand is a sub-command of export; create opens what its arguments name, and rows
// are numbered from first.
func (s *settings) exportCommand(use, short string, args cobra.PositionalArgs, first int64, create func(*cobra.Command, []string) (sink, error)) *cobra.Command {
	ex := &exporter{next: first, left: make(map[string]int)}
	cmd := &cobra.Command{
		Use: use, Short: short, Long: short + ".\n\n" + exportHelp,
		Args:              args,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.ready(); err != nil {
				return err
			}
			return s.withStore(cmd, func(store refresh.Backend) error {
				to, err := create(cmd, args)
				if err != nil {
					return err
				}
				defer to.abort()
				ex.sink = to
				return ex.run(cmd, s, store)
			})
		},
	}
	cmd.Flags().BoolVar(&ex.keepIDs, "keep-ids", false, "write each row under its own id")
	s.registerStore(cmd)
	return cmd
}

// An exporter writes the rows of a store. Its memory does not grow with their number.
type exporter struct {
	sink    sink
	keepIDs bool
	next    int64          // number of the next row
	left    map[string]int // what the format lacks, and in how many rows
	refused int
	rows    atomic.Int64 // written
}

func (ex *exporter) run(cmd *cobra.Command, s *settings, store bellwether.Store) error {
	stop := watch(cmd, func() string { return rowsOf(ex.rows.Load()) + " written" })
	err := ex.all(cmd, s, store)
	stop()
	if err != nil {
		return err
	}
	if err := ex.sink.finish(); err != nil {
		return err
	}
	return ex.report(cmd, s)
}

func (ex *exporter) all(cmd *cobra.Command, s *settings, store bellwether.Store) error {
	for t, err := range store.List(cmd.Context()) {
		if err == nil {
			err = ex.one(cmd.Context(), t)
		}
		switch {
		case err == nil:
			ex.rows.Add(1)
			continue
		case !concernsRow(err):
			return err
		}
		ex.refused++
		if err := s.tellRefused(cmd, "row "+printable(t.ID), err); err != nil {
			return err
		}
	}
	return nil
}

// one writes one row.
func (ex *exporter) one(ctx context.Context, t bellwether.Token) error {
	c := sdkColumnsOf(t)
	if ex.keepIDs {
		if !isSDKID(t.ID) {
			return refuse("its id is no decimal number of at most ten digits", "leave --keep-ids out")
		}
	} else {
		c[sdkID] = strconv.FormatInt(ex.next, 10)
	}
	if err := ex.sink.check(c); err != nil {
		return err
	}
	if err := ex.sink.write(ctx, c); err != nil {
		return err
	}
	ex.next++
	for _, what := range lacking(t) {
		ex.left[what]++
	}
	return nil
}

// lacking names what the SDKs' columns do not hold of t, and an import cannot make up.
func lacking(t bellwether.Token) []string {
	var names []string
	for name, lacks := range map[string]bool{
		"provider":                 t.Provider != "zoho",
		"accounts_url":             t.Provider == "zoho" && t.APIDomain == "" && t.AccountsURL != "",
		"token_type":               t.TokenType != "" && !strings.EqualFold(t.TokenType, "Bearer"),
		"scopes":                   len(t.Scopes) > 0,
		"refresh_expires_at":       !t.RefreshExpiresAt.IsZero(),
		"state " + string(t.State): t.State != bellwether.StateActive,
	} {
		if lacks {
			names = append(names, name)
		}
	}
	for key := range t.Extra {
		names = append(names, "extra "+key)
	}
	return names
}

// report prints the summary.
func (ex *exporter) report(cmd *cobra.Command, s *settings) error {
	rows := ex.rows.Load()
	var err error
	if s.json {
		err = writeJSON(cmd.OutOrStdout(), struct {
			Rows    int64          `json:"rows"`
			Refused int            `json:"refused"`
			LeftOut map[string]int `json:"left_out,omitempty"` // rows by what the format lacks
		}{rows, ex.refused, ex.left})
	} else {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s written, %d refused\n", rowsOf(rows), ex.refused)
		for _, what := range slices.Sorted(maps.Keys(ex.left)) {
			fmt.Fprintf(cmd.ErrOrStderr(), "left out, since the format has no place for it: %s of %s\n", printable(what), rowsOf(int64(ex.left[what])))
		}
	}
	if err == nil && ex.refused > 0 {
		return fmt.Errorf("%d of %s refused; the others are written", ex.refused, rowsOf(rows+int64(ex.refused)))
	}
	return err
}
