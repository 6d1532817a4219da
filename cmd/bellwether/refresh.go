package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/refresh"
)

func newRefresh(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "refresh ID|USER",
		Short: "Make a new access token though the current one may live",
		Long: `refresh makes one forced refresh, at most one per 30 s over the whole fleet, and
prints no token. Nobody needs it in daily work: get refreshes by itself.

` + argHelp,
		Args:              oneToken,
		ValidArgsFunction: s.completeRows,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withToken(cmd, args[0], func(r *refresh.Refresher, t bellwether.Token) error {
				a, err := r.Refresh(cmd.Context(), t.ID)
				if err != nil {
					return tooSoon(err)
				}
				return s.printRefreshed(cmd, t.ID, a)
			})
		},
	}
}

// tooSoon says what helps somebody whose forced refresh is refused for now by the
// fleet's own bookkeeping, not by a provider's answer: nothing is wrong.
func tooSoon(err error) error {
	e, ok := errors.AsType[*bellwether.Error](err)
	if !ok || e.Kind != bellwether.ErrThrottled || e.Err != nil {
		return err
	}
	c := *e
	c.Hint = "wait until then; get serves the current token"
	return &c
}

// printRefreshed tells of a new access token without showing it.
func (s *settings) printRefreshed(cmd *cobra.Command, id string, a refresh.Access) error {
	if s.json {
		return writeJSON(cmd.OutOrStdout(), struct {
			ID         string    `json:"id"`
			Generation int64     `json:"generation"`
			ExpiresAt  time.Time `json:"expires_at,omitzero"`
		}{id, a.Generation, a.ExpiresAt})
	}
	life := "an unknown time"
	if !a.ExpiresAt.IsZero() {
		life = when(a.ExpiresAt, time.Now())
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: refreshed, valid until %s\n", printable(id), life)
	return err
}
