package main

import (
	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/refresh"
)

func newRevoke(s *settings) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke ID|USER",
		Short: "End the grant at the provider, then delete the token",
		Long: `revoke ends the grant at the provider (RFC 7009) and deletes the row once the
provider has confirmed it; every replica forgets the token. When the provider cannot be
reached the row stays and nobody refreshes it any more: repeat the command.

` + argHelp,
		Args:              oneToken,
		ValidArgsFunction: s.completeRows,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withToken(cmd, args[0], func(r *refresh.Refresher, t bellwether.Token) error {
				if err := s.checkRevocable(t); err != nil {
					return err
				}
				if err := confirm(cmd, yes, "end the grant at the provider and delete "+describe(t)); err != nil {
					return err
				}
				if err := r.Revoke(cmd.Context(), t.ID); err != nil {
					return err
				}
				return s.printDone(cmd, t.ID, "revoked", "revoked at the provider and deleted")
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// checkRevocable finds out before anything is asked or done whether the provider has
// a way to revoke this row.
func (s *settings) checkRevocable(t bellwether.Token) error {
	file, err := s.readProviders()
	if err != nil {
		return err
	}
	p, err := providerOf(file, t)
	if err != nil {
		return err
	}
	revoker, ok := p.(bellwether.Revoker)
	if !ok || t.RefreshToken.IsZero() && t.AccessToken.IsZero() {
		return nil // Revoke knows what to say or do
	}
	_, err = revoker.RevokeRequest(t)
	return err
}
