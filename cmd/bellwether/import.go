package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
	"github.com/bellwether-go/bellwether/provider/zoho"
	"github.com/bellwether-go/bellwether/refresh"
)

// envImportDSN holds what a command line must not: the data source name with its password.
const envImportDSN = "BELLWETHER_IMPORT_DSN"

// A source is where the rows of an SDK lie.
type source interface {
	// rows yields every row; after an error it ends.
	rows(ctx context.Context) iter.Seq2[sdkRow, error]
	// done is the share of the rows that were yielded, 0 to 1.
	done() float64
	close() error
}

// importFlags are the flags of every import.
type importFlags struct {
	provider, dc    string
	keepIDs, dryRun bool
}

const importHelp = `The source is only read. Each row is saved as a Save of the library would: the row of the
same user, or of the same refresh or grant token, is completed, and a refresh token that
the store has superseded is never stored again. So an import can be repeated, and goes on
after an interruption: what is there already counts as same.

Stop the SDKs first when the provider rotates refresh tokens; Zoho does not.

The SDK's own id is left behind, and a new row gets one of the store's; --keep-ids keeps
it. Zoho's data centre is that of the row's api_domain, else that of --dc.

A row that is refused is named with the reason, the others are stored, and the exit code
is 1.`

func newImport(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Take over the tokens of Zoho's SDKs",
		Long: `import reads the rows of a store of Zoho's SDKs and saves them here.

` + importHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImportFile(s), newImportMySQL(s), newImportSQLite(s))
	return cmd
}

func newImportFile(s *settings) *cobra.Command {
	var dialect string
	cmd := s.importCommand("zoho-file FILE", "Take over the tokens of an SDK's file (FileStore)",
		oneArgument("which file? give the one that the SDK writes, often sdk_tokens.txt"),
		func(_ *cobra.Command, args []string) (source, error) {
			d, err := parseDialect(dialect)
			if err != nil {
				return nil, err
			}
			return openSDKFile(args[0], d)
		})
	cmd.ValidArgsFunction = nil // files
	cmd.Example = "  bellwether import zoho-file sdk_tokens.txt --dc eu --dry-run"
	registerDialect(cmd, &dialect, string(csvstore.Standard), "`SDK` that wrote the file: standard, python, or node, which knows no quotes (TypeScript and PHP too)")
	return cmd
}

func newImportSQLite(s *settings) *cobra.Command {
	var table string
	cmd := s.importCommand("zoho-sqlite FILE", "Take over the tokens of an SDK's SQLite file",
		oneArgument("which database? give the SQLite file of the SDK's store"),
		func(cmd *cobra.Command, args []string) (source, error) {
			if err := checkTable(table); err != nil {
				return nil, err
			}
			return openSQLite(cmd.Context(), args[0], table)
		})
	cmd.ValidArgsFunction = nil // files
	cmd.Example = "  bellwether import zoho-sqlite zohooauth.db --dc eu"
	registerTable(cmd, &table)
	return cmd
}

func newImportMySQL(s *settings) *cobra.Command {
	var table, file string
	cmd := s.importCommand("zoho-mysql", "Take over the tokens of an SDK's MySQL database (DBStore)", cobra.ArbitraryArgs,
		func(cmd *cobra.Command, args []string) (source, error) {
			if len(args) > 0 {
				return nil, errDSNArgument
			}
			if err := checkTable(table); err != nil {
				return nil, err
			}
			dsn, err := readDSN(file, envImportDSN)
			if err != nil {
				return nil, err
			}
			return openMySQL(cmd.Context(), dsn, table, s.logger(cmd.ErrOrStderr()))
		})
	cmd.Example = "  bellwether import zoho-mysql --dsn-file dsn.txt --dc eu   # user:password@tcp(db:3306)/zohooauth"
	registerTable(cmd, &table)
	registerDSN(cmd, &file, envImportDSN)
	return cmd
}

// importCommand is a sub-command of import; open opens the source that its arguments name.
func (s *settings) importCommand(use, short string, args cobra.PositionalArgs, open func(*cobra.Command, []string) (source, error)) *cobra.Command {
	flags := &importFlags{}
	cmd := &cobra.Command{
		Use: use, Short: short, Long: short + ".\n\n" + importHelp,
		Args:              args,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.run(cmd, s, func() (source, error) { return open(cmd, args) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.provider, "provider", "zoho", "`name` of the provider that made the tokens")
	f.StringVar(&flags.dc, "dc", "", "Zoho's data `centre` of rows whose api_domain does not tell it: us, eu, …, or its accounts URL")
	f.BoolVar(&flags.keepIDs, "keep-ids", false, "store each row under the SDK's id")
	f.BoolVar(&flags.dryRun, "dry-run", false, "save nothing, say what would be done; each row by itself")
	s.registerStore(cmd)
	_ = cmd.RegisterFlagCompletionFunc("provider", s.completeProviders)
	_ = cmd.RegisterFlagCompletionFunc("dc", completeDataCenters)
	return cmd
}

func (flags *importFlags) run(cmd *cobra.Command, s *settings, open func() (source, error)) (err error) {
	if err := s.ready(); err != nil { // before anything is read
		return err
	}
	im := &importer{keepIDs: flags.keepIDs, dryRun: flags.dryRun}
	if im.place, err = flags.place(s); err != nil {
		return err
	}
	src, err := open()
	if err != nil {
		return err
	}
	defer func() {
		if e := src.close(); err == nil {
			err = e
		}
	}()
	return s.withStore(cmd, func(store refresh.Backend) error {
		im.store = store
		im.tell = func(row sdkRow, why error) error { return s.tellRefused(cmd, row.name(), why) }
		stop := watch(cmd, func() string {
			return fmt.Sprintf("%d rows read, %.0f %%", im.rows.Load(), 100*im.share())
		})
		err := im.run(cmd.Context(), src)
		stop()
		return im.report(cmd, s, err)
	})
}

// A place says which provider a row's token is from.
type place struct {
	provider string
	byAPI    map[string]string // API domain to accounts URL
	accounts string            // of all other rows
	needed   bool              // a row must have an accounts URL
}

func (flags *importFlags) place(s *settings) (place, error) {
	file, err := s.readProviders()
	if err != nil {
		return place{}, err
	}
	entry, known := file.Lookup(flags.provider)
	switch {
	case !known:
		return place{}, unknownProvider(file, flags.provider)
	case entry.Zoho == nil && flags.dc != "":
		return place{}, &usageError{"--dc is for Zoho", "the token URL of " + entry.Name() + " stands in the providers file"}
	case entry.Zoho == nil:
		return place{provider: flags.provider}, nil
	}
	p := place{provider: flags.provider, byAPI: make(map[string]string), needed: true}
	if flags.dc != "" {
		if p.accounts, err = accountsURL(entry.Zoho, flags.dc); err != nil {
			return place{}, err
		}
	}
	table := entry.Zoho.Endpoints
	if table == nil {
		table = zoho.DefaultEndpoints()
	}
	for _, e := range table {
		for _, api := range e.API {
			p.byAPI[strings.TrimRight(api, "/")] = e.Accounts
		}
	}
	return p, nil
}

// of fills in what the SDKs' columns lack, or says what is missing.
func (p place) of(t bellwether.Token) (bellwether.Token, string) {
	t.Provider = p.provider
	t.AccountsURL = p.accounts
	if url, ok := p.byAPI[strings.ToLower(strings.TrimRight(t.APIDomain, "/"))]; ok {
		t.AccountsURL = url
	}
	if p.needed && t.AccountsURL == "" {
		return t, "its api_domain does not tell the data centre: give --dc"
	}
	return t, ""
}

// What both directions share of the command line.

func registerTable(cmd *cobra.Command, table *string) {
	cmd.Flags().StringVar(table, "table", "oauthtoken", "`name` of the SDK's table")
}

func checkTable(table string) error {
	if !tableName.MatchString(table) {
		return &usageError{"--table names no table", "a table's name is letters, digits and underscores, no digit first"}
	}
	return nil
}

func registerDSN(cmd *cobra.Command, file *string, env string) {
	cmd.Flags().StringVar(file, "dsn-file", "", "`file` with the data source name, user:password@tcp(host:3306)/database, else $"+env)
}

// errDSNArgument prints nothing of the argument.
var errDSNArgument = &usageError{"a data source name holds a password, and every user of this machine sees arguments",
	"write it into a file for --dsn-file, or into the environment (see --help), and change the password"}

func readDSN(file, env string) (string, error) {
	if file == "" {
		if dsn := os.Getenv(env); dsn != "" {
			return dsn, nil
		}
		return "", &usageError{"no database is named",
			"give --dsn-file FILE or export " + env + ", as user:password@tcp(host:3306)/zohooauth"}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", &usageError{"the data source name cannot be read: " + err.Error(), "--dsn-file names the file that holds it"}
	}
	dsn := strings.TrimSpace(string(data))
	if dsn == "" || strings.ContainsAny(dsn, "\r\n") {
		return "", &usageError{"the file of --dsn-file does not hold one line", "write user:password@tcp(host:3306)/zohooauth into it, and nothing else"}
	}
	return dsn, nil
}

func registerDialect(cmd *cobra.Command, dialect *string, value, usage string) {
	cmd.Flags().StringVar(dialect, "dialect", value, usage)
	_ = cmd.RegisterFlagCompletionFunc("dialect", cobra.FixedCompletions(
		[]cobra.Completion{string(csvstore.Standard), string(csvstore.Python), string(csvstore.Node)}, cobra.ShellCompDirectiveNoFileComp))
}

func parseDialect(text string) (csvstore.Dialect, error) {
	switch d := csvstore.Dialect(text); d {
	case csvstore.Standard, csvstore.Python, csvstore.Node:
		return d, nil
	}
	return "", &usageError{"there is no dialect " + printable(text), "use standard, python or node"}
}
