package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/refresh"
)

func newGet(s *settings) *cobra.Command {
	var header bool
	var minTTL time.Duration
	cmd := &cobra.Command{
		Use:   "get ID|USER",
		Short: "Print a valid access token, refreshed when needed",
		Long: `get prints an access token and nothing else. A token that lives is printed as it is;
an expired one is refreshed once, however many processes ask at the same time.

` + argHelp + `

With --min-ttl beyond what a fresh token lives, the fresh token is printed and the
exit code is 1.

With --json it prints one object: id, access_token (with --header, header), api_domain
and expires_at.`,
		Example: `  curl -H "$(bellwether get bot@example.com --header)" https://www.zohoapis.eu/crm/v8/org
  TOKEN=$(bellwether get bot@example.com --min-ttl 10m)`,
		Args:              oneToken,
		ValidArgsFunction: s.completeRows,
		RunE: func(cmd *cobra.Command, args []string) error {
			if minTTL < 0 {
				return &usageError{"--min-ttl is negative", "write it like 10m"}
			}
			return s.withToken(cmd, args[0], func(r *refresh.Refresher, t bellwether.Token) error {
				a, err := r.Get(cmd.Context(), t.ID, refresh.Want{MinTTL: minTTL})
				if err != nil && !errors.Is(err, bellwether.ErrMinTTL) {
					return err
				}
				return errors.Join(err, s.printAccess(cmd, t, a, header))
			})
		},
	}
	cmd.Flags().BoolVar(&header, "header", false, `print the whole header line: "Authorization: Bearer …"`)
	cmd.Flags().DurationVar(&minTTL, "min-ttl", 0, "least remaining life, like 10m; refreshes a token that lives shorter")
	return cmd
}

// printAccess writes the access token: the only place where a secret is printed.
func (s *settings) printAccess(cmd *cobra.Command, t bellwether.Token, a refresh.Access, header bool) error {
	token := a.Token.Reveal()
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return &bellwether.Error{Kind: bellwether.ErrUnreadable, Op: "get", ID: t.ID,
			Detail: "the access token holds characters that no header can carry", Hint: "bellwether refresh makes a new one"}
	}
	line := token
	if header {
		scheme, err := s.headerScheme(t)
		if err != nil {
			return err
		}
		line = "Authorization: " + scheme + " " + token
	}
	if s.json {
		return writeJSON(cmd.OutOrStdout(), struct {
			ID        string    `json:"id"`
			Token     string    `json:"access_token,omitempty"`
			Header    string    `json:"header,omitempty"`
			APIDomain string    `json:"api_domain,omitempty"`
			ExpiresAt time.Time `json:"expires_at,omitzero"`
		}{t.ID, pick(!header, line), pick(header, line), a.APIDomain, a.ExpiresAt})
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), line)
	return err
}

func pick(yes bool, s string) string {
	if yes {
		return s
	}
	return ""
}

// headerScheme is what the row's provider wants before the token.
func (s *settings) headerScheme(t bellwether.Token) (string, error) {
	file, err := s.readProviders()
	if err != nil {
		return "", err
	}
	p, err := providerOf(file, t)
	if err != nil {
		return "", err
	}
	return cmp.Or(p.Profile().HeaderScheme, "Bearer"), nil
}
