package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/refresh"
)

const argHelp = `The argument is an ID or, when no row has that ID, a user name.`

var oneToken = oneArgument("which token? give its ID or user name")

// withToken calls f with the row that the argument names and a Refresher, as
// withRefresher does.
func (s *settings) withToken(cmd *cobra.Command, arg string, f func(*refresh.Refresher, bellwether.Token) error) error {
	return s.withRefresher(cmd, func(store refresh.Backend, r *refresh.Refresher) error {
		t, err := find(cmd.Context(), store, arg)
		if err != nil {
			return err
		}
		return f(r, t)
	})
}

// find returns the row that a command line names, by ID or else by user name.
// With bellwether.ErrUnreadable the row exists and its ID is the argument.
func find(ctx context.Context, store bellwether.Store, arg string) (bellwether.Token, error) {
	t, err := store.FindByID(ctx, arg)
	if !errors.Is(err, bellwether.ErrNotFound) && !errors.Is(err, bellwether.ErrInvalid) {
		return t, err
	}
	if arg == "" {
		return t, &usageError{"the ID or user name is blank", "see bellwether list"}
	}
	t, err = store.Find(ctx, bellwether.Token{UserName: arg})
	switch {
	case errors.Is(err, bellwether.ErrNotFound):
		return t, &bellwether.Error{Kind: bellwether.ErrNotFound, Op: "find",
			Detail: fmt.Sprintf("no row has the ID or user name %s", printable(arg)),
			Hint:   "see bellwether list; the namespace counts too"}
	case errors.Is(err, bellwether.ErrAmbiguous):
		return t, ambiguous(ctx, store, arg)
	}
	return t, err
}

// ambiguous names the rows of one user name.
func ambiguous(ctx context.Context, store bellwether.Store, user string) error {
	const most = 10
	var rows []string
	for t, err := range store.List(ctx) {
		if errors.Is(err, bellwether.ErrUnreadable) {
			continue
		}
		if err != nil {
			return err
		}
		if t.UserName != user {
			continue
		}
		if len(rows) == most {
			rows = append(rows, "…")
			break
		}
		rows = append(rows, fmt.Sprintf("%s (%s)", printable(t.ID), printable(strings.TrimSpace(t.Provider+" "+t.AccountsURL))))
	}
	return &bellwether.Error{Kind: bellwether.ErrAmbiguous, Op: "find",
		Detail: fmt.Sprintf("user name %s", printable(user)),
		Hint:   "use one of the IDs: " + strings.Join(rows, ", ")}
}

// completeRows offers IDs and user names to the shell, where the store answers soon.
func (s *settings) completeRows(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const most, patience = 200, 2 * time.Second
	if len(args) > 0 || s.fresh() {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	cmd.SetContext(ctx)
	var found []cobra.Completion
	offer := func(word, about string) {
		fits := word != "" && strings.HasPrefix(word, prefix) && !strings.ContainsFunc(word, unprintable)
		if fits && len(found) < most {
			found = append(found, cobra.CompletionWithDesc(word, about))
		}
	}
	err := s.withStore(cmd, func(store refresh.Backend) error {
		for t, err := range store.List(ctx) {
			if err != nil && !errors.Is(err, bellwether.ErrUnreadable) {
				return err
			}
			offer(t.UserName, t.Provider)
			offer(t.ID, oneLine(t.UserName))
			if len(found) == most {
				break
			}
		}
		return nil
	})
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
