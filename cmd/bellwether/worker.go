package main

import (
	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether/bench"
)

// newWorker is how the demo's replicas are started; nobody else calls it.
func newWorker() *cobra.Command {
	return &cobra.Command{
		Use:    bench.WorkerCommand,
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench.RunWorker(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
