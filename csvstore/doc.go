// Package csvstore keeps tokens in the file of Zoho's SDKs: ten columns, one row a line,
// in clear text. It is a [bellwether.Store] and a [bellwether.Durable].
//
// What holds: a file written by the Java, Node, TypeScript, PHP or Python SDK is read, and
// what is written here those SDKs read; see [Dialect]. A refresh by the one is used by the
// other. A file keeps its line ends, its header and columns of others. A write has
// happened wholly or not at all, whenever the process or the machine ends. Processes that
// use this package take turns by a lock file, on a local disk of Linux, macOS, the BSDs or
// Windows. Renames are synced where the system can sync a folder, which Windows cannot.
//
// What does not hold: the file is not safe beside an SDK that is running. SDKs rewrite the
// whole file without a lock, from what they have read before, and so undo what was written
// meanwhile, credentials included; only one side at a time may write. Tokens are readable
// to whoever can read the file. Nothing is sealed. A network file system whose locks or
// renames are not those of a local disk loses both promises.
//
// Example:
//
//	store, err := csvstore.Open("sdk_tokens.txt", csvstore.Config{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer store.Close()
//	t, err := store.Find(ctx, bellwether.Token{UserName: "ada@example.com:7"})
//
// # Files
//
// Beside NAME stand NAME.bellwether.json, NAME.bellwether.lock and, for a moment,
// NAME.bellwether.tmp. The first is the sidecar: what the ten columns lack (provider,
// accounts URL, token type, scopes, Extra, times), generations, what a tier above keeps,
// and digests of what the rows have superseded. It holds Extra in clear, and must not be
// readable to others. Without it no credential is lost, but all the rest is.
//
// Files that are made here have mode 0600; a file that is there keeps its mode and its
// owner. One that others may read is warned of, since SDKs make theirs so; one that
// everybody may write is refused. A symbolic link to the file is followed once, by [Open];
// after that no link is.
//
// # What SDKs write
//
// The sidecar keeps a digest of each line as it was last written here. A line with another
// one was written by an SDK, and is adopted by the next call: its generation grows, what it
// has superseded becomes past, and Record.Adopted says so. A line that is missing was
// deleted; a line that is new was saved. A row that shares neither user name nor token
// with what its ID stood for is another user's, and nothing goes over to it.
//
// Rows of one ID, which the Node SDK makes from its eleventh row on, get IDs of their own,
// but for the first. A row that is inserted without an ID gets the next number.
//
// A file without its header, which SDKs that write at the same time leave behind, is
// refused. A line that is no row is kept as it is, and ErrUnreadable; Delete removes it.
// When the file ends in the middle of a line, rows that are missing are ErrUnreadable too,
// and nothing is taken for deleted.
//
// # Cost
//
// Both files are read whole at every call and written whole at every change: some
// thousands of rows, not millions. Bytes that have not changed are not parsed again. A
// write syncs two files and their folder twice.
package csvstore
