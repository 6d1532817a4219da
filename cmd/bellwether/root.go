package main

import (
	"context"
	"io"

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
		err = &usageError{err.Error(), "see " + cmd.CommandPath() + " --help"}
	}
	return exitCode(err, stderr)
}

func newRoot() *cobra.Command {
	s := &settings{}
	root := &cobra.Command{
		Use:   "bellwether",
		Short: "One replica leads the refresh, the herd follows",
		Long: `bellwether keeps OAuth tokens in Redis for a fleet: of all replicas that want an
expired token at once, one refreshes it and the others reuse the answer.

Start with "bellwether demo", which needs nothing. For real work:

  bellwether keys new --keyset keyset.json
  export BELLWETHER_KEYSET=keyset.json BELLWETHER_REDIS=redis://localhost:6379
  bellwether add --provider zoho --dc eu --client-id 1000.ABC --user bot@example.com \
      --client-secret-file secret.txt --grant-code-file -
  curl -H "$(bellwether get bot@example.com --header)" https://www.zohoapis.eu/crm/v8/org

` + exitCodesHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().BoolVar(&s.json, "json", false, "print JSON, one object a line")
	addGroup(root, "See it work:", newDemo())
	tokens := []*cobra.Command{newAdd(s), newGet(s), newList(s), newShow(s), newRefresh(s), newRevoke(s), newDelete(s)}
	for _, c := range tokens {
		s.registerStore(c)
	}
	addGroup(root, "Tokens:", tokens...)
	addGroup(root, "Set-up:", newKeys(s), newVersion(s))
	root.AddCommand(newWorker())
	root.SetHelpCommandGroupID("Set-up:")
	root.SetCompletionCommandGroupID("Set-up:")
	return root
}

// addGroup adds commands that the help lists under one title.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, c := range commands {
		c.GroupID = title
		root.AddCommand(c)
	}
}
