package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/refresh"
)

// listBlock is how many rows are aligned with each other, so that a million rows
// need no more memory than a few.
const listBlock = 500

func newList(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the tokens, without their secrets",
		Long: `list shows every row of the namespace in no order, without secrets. EXPIRES is what
is left of the access token; an expired one is refreshed when somebody asks for it.

A row that the keyset does not open is listed as unreadable, and the exit code is 1.`,
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withStore(cmd, func(store refresh.Backend) error { return s.list(cmd, store) })
		},
	}
}

func (s *settings) list(cmd *cobra.Command, store bellwether.Store) error {
	now, tw := time.Now(), tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	if !s.json {
		fmt.Fprintln(tw, "ID\tPROVIDER\tUSER\tSTATE\tEXPIRES\tGEN")
	}
	var unreadable error
	lost, count := 0, 0
	for t, err := range store.List(cmd.Context()) {
		r := newRow(t)
		switch {
		case errors.Is(err, bellwether.ErrUnreadable):
			lost, unreadable = lost+1, err
			r.State = stateUnreadable
		case err != nil:
			return errors.Join(err, tw.Flush())
		}
		if s.json {
			if err := writeJSON(cmd.OutOrStdout(), r); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\n", printable(r.ID), printable(r.Provider), printable(r.User), r.state(), r.expiry(now), r.Generation)
		if count++; count%listBlock == 0 {
			if err := tw.Flush(); err != nil {
				return err
			}
		}
	}
	if err := tw.Flush(); err != nil || lost == 0 {
		return err
	}
	return &bellwether.Error{Kind: bellwether.ErrUnreadable, Op: "list",
		Detail: fmt.Sprintf("%d of the rows, the last of them", lost), Err: unreadable}
}
