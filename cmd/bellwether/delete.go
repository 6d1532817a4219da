package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/refresh"
)

func newDelete(s *settings) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "delete ID|USER",
		Aliases: []string{"rm"},
		Short:   "Delete a token here; its grant lives on at the provider",
		Long: `delete removes the row and tells every replica. The grant lives on at the provider:
use revoke to end that too.

` + argHelp + ` A row that
the keyset does not open is deleted by its ID.`,
		Args:              oneToken,
		ValidArgsFunction: s.completeRows,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withStore(cmd, func(store refresh.Backend) error {
				t, err := find(cmd.Context(), store, args[0])
				if errors.Is(err, bellwether.ErrUnreadable) {
					t, err = bellwether.Token{ID: args[0]}, nil
				}
				if err != nil {
					return err
				}
				if err := confirm(cmd, yes, "delete "+describe(t)); err != nil {
					return err
				}
				if err := store.Delete(cmd.Context(), t.ID); err != nil {
					return err
				}
				return s.printDone(cmd, t.ID, "deleted", "deleted; the grant lives on at the provider")
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
