package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether/seal"
)

func newKeys(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make and rotate the keys that seal stored tokens",
		Long: `A keyset file (mode 0600) holds the sealing keys and the index key of an installation.
All replicas share it. Who reads it reads every token; who loses it loses them.

Sealing keys rotate in two steps, since replicas restart one by one:

  1. bellwether keys add       the new key opens, but does not seal yet
     give every replica the new file and restart it
  2. bellwether keys promote   the new key seals what is written from now on
     give every replica the new file and restart it

A refresh seals the tokens anew; the client secret and what an operator gave keep their
old key until the row is saved. Keep the old key: nothing yet says when no row needs it.
The index key, by which rows are found, never changes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&s.keyset, "keyset", "", keysetUsage)
	cmd.AddCommand(newKeysNew(s), newKeysAdd(s), newKeysPromote(s), newKeysList(s))
	return cmd
}

// keyset returns the path of the keyset file, which no command guesses.
func (s *settings) keysetFile() (string, error) {
	if path := s.keysetPath(); path != "" {
		return path, nil
	}
	return "", &usageError{"no keyset file is named", "give --keyset FILE or export " + envKeyset + "=FILE"}
}

// keysCommand is a sub-command of keys without arguments.
func keysCommand(use, short string, run func(cmd *cobra.Command) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return run(cmd) },
	}
}

func newKeysNew(s *settings) *cobra.Command {
	return keysCommand("new", "Make a keyset file; an existing one is never overwritten", func(cmd *cobra.Command) error {
		path, err := s.keysetFile()
		if err != nil {
			return err
		}
		keys, err := seal.Create(path)
		if errors.Is(err, os.ErrExist) {
			return &usageError{path + " exists already", "a keyset that has sealed tokens cannot be made again: choose another path"}
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is made. Give it to every replica, and keep a copy where Redis is not: without it no stored token can be read.\n", path)
		return s.printKeys(cmd, keys)
	})
}

func newKeysAdd(s *settings) *cobra.Command {
	return keysCommand("add", "Step 1 of a rotation: add a sealing key that opens, but does not seal yet", func(cmd *cobra.Command) error {
		path, err := s.keysetFile()
		if err != nil {
			return err
		}
		var id uint32
		keys, err := seal.Update(path, func(k *seal.Keys) (err error) {
			id, err = k.Add()
			return err
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Key %d is added. Give the file to every replica and restart it, then: bellwether keys promote %d\n", id, id)
		return s.printKeys(cmd, keys)
	})
}

func newKeysPromote(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "promote [KEY]",
		Short: "Step 2 of a rotation: seal by this key, once every replica has it",
		Long: `promote makes a key the primary, which seals all that is written from now on; without
an argument it is the newest key. A replica whose keyset lacks it cannot open those rows:
let every replica have the key first (bellwether keys add).`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return s.completeKeys(args), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := s.keysetFile()
			if err != nil {
				return err
			}
			var id uint32
			keys, err := seal.Update(path, func(k *seal.Keys) (err error) {
				if id, err = chooseKey(k.List(), args); err != nil {
					return err
				}
				return k.Promote(id)
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Key %d seals from now on. Give the file to every replica and restart it; keep the older keys, they open what was not written since.\n", id)
			return s.printKeys(cmd, keys)
		},
	}
}

// chooseKey returns the key that an argument names, else the newest that opens.
func chooseKey(keys []seal.Key, args []string) (uint32, error) {
	if len(args) == 1 {
		id, err := strconv.ParseUint(args[0], 10, 32)
		if err != nil {
			return 0, &usageError{fmt.Sprintf("%s is no key id", printable(args[0])), "bellwether keys list shows them"}
		}
		if !slices.ContainsFunc(keys, func(k seal.Key) bool { return k.ID == uint32(id) }) {
			return 0, &usageError{fmt.Sprintf("no key %d", id), "bellwether keys list shows them"}
		}
		return uint32(id), nil
	}
	newest := keys[len(keys)-1]
	if newest.Status != seal.StatusEnabled {
		return 0, &usageError{fmt.Sprintf("the newest key, %d, is %s already", newest.ID, newest.Status), "add one with bellwether keys add, or name the key"}
	}
	return newest.ID, nil
}

func newKeysList(s *settings) *cobra.Command {
	return keysCommand("list", "List the sealing keys by id and status", func(cmd *cobra.Command) error {
		path, err := s.keysetFile()
		if err != nil {
			return err
		}
		keys, err := seal.Open(path)
		if err != nil {
			return err
		}
		return s.printKeys(cmd, keys)
	})
}

func (s *settings) printKeys(cmd *cobra.Command, keys *seal.Keys) error {
	if s.json {
		for _, k := range keys.List() {
			err := writeJSON(cmd.OutOrStdout(), struct {
				ID      uint32      `json:"id"`
				Status  seal.Status `json:"status"`
				Created time.Time   `json:"created,omitzero"`
			}{k.ID, k.Status, k.Created})
			if err != nil {
				return err
			}
		}
		return nil
	}
	tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "KEY\tSTATUS\tCREATED")
	for _, k := range keys.List() {
		created := "–"
		if !k.Created.IsZero() {
			created = k.Created.Local().Format("2006-01-02 15:04:05 MST")
		}
		fmt.Fprintf(tw, "%d\t%s\t%s\n", k.ID, k.Status, created)
	}
	return tw.Flush()
}

func (s *settings) completeKeys(args []string) []cobra.Completion {
	path, err := s.keysetFile()
	if err != nil || len(args) > 0 {
		return nil
	}
	keys, err := seal.Open(path)
	if err != nil {
		return nil
	}
	var out []cobra.Completion
	for _, k := range keys.List() {
		out = append(out, cobra.CompletionWithDesc(strconv.FormatUint(uint64(k.ID), 10), string(k.Status)))
	}
	return out
}
