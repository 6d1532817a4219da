package main

import "github.com/spf13/cobra"

// newStoresTopic is a page of the help.
func newStoresTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "stores",
		Short: "Where tokens are kept: without Redis, and behind it",
		Long: `Without a Redis (neither --redis nor $` + envRedis + `) tokens are kept in a SQLite
database in the state folder, $XDG_STATE_HOME/bellwether or ~/.local/state/bellwether, or
that of --state. One process at a time uses the folder; others wait for it, 5 s or
--state-wait, then exit with 5. Without --keyset the tokens are sealed by keyset.json in
that folder, which is made at the first use: keep a copy of it.

A durable store (--durable or $` + envDurable + `) keeps what a flushed, lost or restored
Redis forgets. All replicas of a namespace name the same one, and each namespace one of
its own:

  sqlite:///var/lib/bellwether/tokens.db     SQLite; ?table=NAME
  mysql://user:password@host:3306/database   MySQL or MariaDB; ?table=NAME, ?tls=true
  file:///srv/app/sdk_tokens.txt             the CSV file of Zoho's SDKs;
                                             ?dialect=standard, python or node

What others see of the command line they see of --durable: a URL with a password belongs
into the environment (--durable env says that it is meant). Secrets in a table are sealed
by the keyset, so that Zoho's SDKs cannot use it; ?sdk=true leaves them in clear, in a
table that SDKs use too. The CSV file is always in clear, and no SDK may write it while
bellwether does.

Without a Redis, sqlite:// and file:// take the place of the database in the state folder,
whose lock still counts; let no other folder and no Redis work on the same store.`,
	}
}
