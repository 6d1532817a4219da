package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// watch tells whoever sits at a terminal how far long work is, every other second, until
// stop is called.
func watch(cmd *cobra.Command, progress func() string) (stop func()) {
	w := cmd.ErrOrStderr()
	if !isTerminal(w) {
		return func() {}
	}
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintln(w, "bellwether: "+progress())
			case <-end:
				return
			}
		}
	})
	return func() {
		close(end)
		wg.Wait()
	}
}

// tellRefused tells of a row that is left out, and why: with --json as an object of its
// own, else on standard error.
func (s *settings) tellRefused(cmd *cobra.Command, name string, why error) error {
	what, hint := explain(why, time.Now())
	if s.json {
		return writeJSON(cmd.OutOrStdout(), struct {
			Refused string `json:"refused"`
			Why     string `json:"why"`
			Hint    string `json:"hint,omitempty"`
		}{name, what, hint})
	}
	if hint != "" {
		hint = "; " + hint
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "bellwether: %s: %s%s\n", name, what, hint)
	return err
}
