package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
)

func describe(t bellwether.Token) string {
	if t.UserName == "" {
		return printable(t.ID)
	}
	return fmt.Sprintf("%s (%s)", printable(t.ID), printable(t.UserName))
}

// confirm asks on a terminal; without one, or when nobody answers, only --yes says yes.
func confirm(cmd *cobra.Command, yes bool, what string) error {
	if yes {
		return nil
	}
	nobody := &usageError{"nobody can be asked whether to " + what, "give --yes"}
	if !isTerminal(cmd.InOrStdin()) {
		return nobody
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s? [y/N] ", what)
	answer, err := (&lines{r: bufio.NewReader(cmd.InOrStdin())}).next(cmd.Context())
	switch {
	case errors.Is(err, io.EOF) && answer == "": // as /dev/null, a character device too
		fmt.Fprintln(cmd.ErrOrStderr())
		return nobody
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return nil
	}
	return errors.New("not done")
}

func (s *settings) printDone(cmd *cobra.Command, id, word, text string) error {
	if s.json {
		return writeJSON(cmd.OutOrStdout(), struct {
			ID   string `json:"id"`
			Done string `json:"done"`
		}{id, word})
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", printable(id), text)
	return err
}
