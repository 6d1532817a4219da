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
old key until the row is saved (bellwether add). An old key that no row needs can go:

  3. bellwether keys disable KEY   the old key does not open any more
     bellwether list               in every namespace of this file: a row that needs the key
                                   is unreadable; keys enable KEY brings it back, refresh
                                   and save that row (or sign in anew) and try again
     give every replica the new file and restart it
  4. bellwether keys remove KEY    the old key is destroyed

The index key, by which rows are found, never changes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&s.keyset, "keyset", "", keysetUsage)
	cmd.AddCommand(newKeysNew(s), newKeysAdd(s), newKeysPromote(s), newKeysList(s),
		newKeysDisable(s), newKeysEnable(s), newKeysRemove(s))
	return cmd
}

// keysCommand is a sub-command of keys. run is given the path of the keyset file, which
// no command guesses, and returns the keys to print.
func (s *settings) keysCommand(use, short string, run func(cmd *cobra.Command, path string, args []string) (*seal.Keys, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := s.keysetPath()
			if path == "" {
				return &usageError{"no keyset file is named", "give --keyset FILE or export " + envKeyset + "=FILE"}
			}
			keys, err := run(cmd, path, args)
			if err != nil {
				return err
			}
			return s.printKeys(cmd, keys)
		},
	}
}

func newKeysNew(s *settings) *cobra.Command {
	const short = "Make a keyset file; an existing one is never overwritten"
	return s.keysCommand("new", short, func(cmd *cobra.Command, path string, _ []string) (*seal.Keys, error) {
		keys, err := seal.Create(path)
		if errors.Is(err, os.ErrExist) {
			return nil, &usageError{path + " exists already", "a keyset that has sealed tokens cannot be made again: choose another path"}
		}
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is made. Give it to every replica, and keep a copy where Redis is not: without it no stored token can be read.\n", path)
		return keys, nil
	})
}

func newKeysList(s *settings) *cobra.Command {
	const short = "List the sealing keys by id and status"
	return s.keysCommand("list", short, func(_ *cobra.Command, path string, _ []string) (*seal.Keys, error) {
		return seal.Open(path)
	})
}

func newKeysAdd(s *settings) *cobra.Command {
	const short = "Step 1 of a rotation: add a sealing key that opens, but does not seal yet"
	return s.keysCommand("add", short, func(cmd *cobra.Command, path string, _ []string) (*seal.Keys, error) {
		var id uint32
		keys, err := seal.Update(path, func(k *seal.Keys) (err error) {
			id, err = k.Add()
			return err
		})
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Key %d is added. Give the file to every replica and restart it, then: bellwether keys promote %[1]d\n", id)
		return keys, nil
	})
}

// keyCommand is a sub-command of keys that changes one key; told is what it says then,
// with the key's id as %[1]d.
func (s *settings) keyCommand(use, short string, change func(*seal.Keys, uint32) error, told string) *cobra.Command {
	cmd := s.keysCommand(use, short, func(cmd *cobra.Command, path string, args []string) (*seal.Keys, error) {
		var id uint32
		keys, err := seal.Update(path, func(k *seal.Keys) (err error) {
			if id, err = chooseKey(k.List(), args); err != nil {
				return err
			}
			return change(k, id)
		})
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), told+"\n", id)
		return keys, nil
	})
	cmd.Args = oneArgument("which key? bellwether keys list shows them")
	cmd.ValidArgsFunction = s.completeKeys
	return cmd
}

func newKeysPromote(s *settings) *cobra.Command {
	cmd := s.keyCommand("promote [KEY]", "Step 2 of a rotation: seal by this key, once every replica has it", (*seal.Keys).Promote,
		"Key %[1]d seals from now on. Give the file to every replica and restart it; keep the older keys, they open what was not written since.")
	cmd.Long = `promote makes a key the primary, which seals all that is written from now on; without
an argument it is the newest key. A replica whose keyset lacks it cannot open those rows:
let every replica have the key first (bellwether keys add).`
	cmd.Args = cobra.MaximumNArgs(1)
	return cmd
}

func newKeysDisable(s *settings) *cobra.Command {
	cmd := s.keyCommand("disable KEY", "Stop opening by an old key; enable undoes it", (*seal.Keys).Disable,
		"Key %[1]d does not open any more. Before a replica gets the file, see with bellwether list whether rows are unreadable now; bellwether keys enable %[1]d brings the key back.")
	cmd.Long = `disable keeps an old key in the keyset and stops using it: rows that are still sealed by
it become unreadable, for whoever uses this file, until it is enabled again. The primary
key is refused: promote another first, and let every replica have that. Where replicas read
this very file, disable the key in a copy first: cp -p, then --keyset here and for list.`
	return cmd
}

func newKeysEnable(s *settings) *cobra.Command {
	return s.keyCommand("enable KEY", "Open by a disabled key again", (*seal.Keys).Enable,
		"Key %[1]d opens again. Give the file to every replica and restart it.")
}

func newKeysRemove(s *settings) *cobra.Command {
	cmd := s.keyCommand("remove KEY", "Destroy a disabled key for ever", (*seal.Keys).Remove,
		"Key %[1]d is removed. Give the file to every replica and restart it.")
	cmd.Long = `remove destroys a disabled key. Rows that are still sealed by it stay unreadable for ever,
and so do copies of Redis from that time: keep a copy of the old file as long as those.`
	var yes bool
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := confirm(cmd, yes, "destroy key "+printable(args[0])+" for ever"); err != nil {
			return err
		}
		return run(cmd, args)
	}
	return cmd
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
		return 0, &usageError{fmt.Sprintf("the newest key, %d, is %s", newest.ID, newest.Status), "add one with bellwether keys add, or name the key"}
	}
	return newest.ID, nil
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

func (s *settings) completeKeys(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	keys, err := seal.Open(s.keysetPath())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []cobra.Completion
	for _, k := range keys.List() {
		out = append(out, cobra.CompletionWithDesc(strconv.FormatUint(uint64(k.ID), 10), string(k.Status)))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
