package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether/refresh"
)

func newShow(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:               "show ID|USER",
		Short:             "Show one token, without its secrets",
		Long:              "show prints what is known of one row: state, newest failure, cooldown and times.\n\n" + argHelp,
		Args:              oneToken,
		ValidArgsFunction: s.completeRows,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withStore(cmd, func(store refresh.Backend) error {
				t, err := find(cmd.Context(), store, args[0])
				if err != nil {
					return err
				}
				if s.json {
					return writeJSON(cmd.OutOrStdout(), newRow(t))
				}
				return newRow(t).print(cmd.OutOrStdout(), time.Now())
			})
		},
	}
}
