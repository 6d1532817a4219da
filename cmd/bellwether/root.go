package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	// What fails before any command runs is the command line.
	parsed := false
	root.PersistentPreRun = func(*cobra.Command, []string) { parsed = true }
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !parsed {
		err = &usageError{strings.Join(strings.Fields(err.Error()), " "), "see " + cmd.CommandPath() + " --help"}
	}
	return exitCode(err, stderr)
}

func newRoot() *cobra.Command {
	s := &settings{}
	root := &cobra.Command{
		Use:   "bellwether",
		Short: "One replica leads the refresh, the herd follows",
		Long: `bellwether keeps OAuth tokens for a fleet: of all replicas that want an expired
token at once, one refreshes it and the others reuse the answer.

Start with "bellwether demo". On one machine nothing else is needed; tokens are kept in
the state folder of the user:

  bellwether add --provider zoho --dc eu --client-id 1000.ABC --user bot@example.com \
      --client-secret-file secret.txt --grant-code-file -
  curl -H "$(bellwether get bot@example.com --header)" https://www.zohoapis.eu/crm/v8/org

Replicas on several machines share a Redis and a keyset, and behind that Redis a durable
store ("bellwether help stores"):

  bellwether keys new --keyset keyset.json
  export BELLWETHER_KEYSET=keyset.json BELLWETHER_REDIS=redis://localhost:6379
  export BELLWETHER_DURABLE=mysql://user:password@db.example.com/tokens

Environment, which a flag overrides:
  ` + envRedis + `       redis://[user:password@]host:6379/0, or rediss:// for TLS;
                         more hosts of a Cluster as ?addr=host:6379&addr=…;
                         Sentinels with ?master_name=NAME&addr=host:26379&addr=…
  ` + envDurable + `     sqlite:///abs/tokens.db, mysql://…, file:///abs/sdk_tokens.txt
  ` + envKeyset + `      keyset file
  ` + envNamespace + `   separates installations on one Redis
  ` + envProviders + `   JSON file of providers beside Zoho

` + exitCodesHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().BoolVar(&s.json, "json", false, "print JSON, one object a line")
	addGroup(root, "See it work:", newDemo(), newBench(s))
	tokens := []*cobra.Command{newAdd(s), newGet(s), newList(s), newShow(s), newRefresh(s), newRevoke(s), newDelete(s)}
	for _, c := range tokens {
		s.registerStore(c)
	}
	addGroup(root, "Tokens:", tokens...)
	addGroup(root, "Zoho's SDKs:", newImport(s), newExport(s))
	addGroup(root, "Set-up:", newKeys(s), newVersion(s))
	root.AddCommand(newWorker(), newStoresTopic())
	root.SetHelpCommandGroupID("Set-up:")
	root.SetCompletionCommandGroupID("Set-up:")
	return root
}

// noArguments refuses arguments. It prints none: a secret may stand there by mistake.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no argument, and is given %d", cmd.CommandPath(), len(args))
	}
	return nil
}

// oneArgument wants one argument; question is asked where there is none.
func oneArgument(question string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return errors.New(question)
		case 1:
			return nil
		}
		return fmt.Errorf("%s takes one argument, and is given %d", cmd.CommandPath(), len(args))
	}
}

// addGroup adds commands that the help lists under one title.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, c := range commands {
		c.GroupID = title
		root.AddCommand(c)
	}
}
