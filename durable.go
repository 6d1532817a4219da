package bellwether

import "context"

// A Durable is a Store that can stand behind Redis as the tier that survives it. What
// it adds to Store is a compare-and-set over whole rows, so that the tier above it
// decides what a row becomes, and the slower of two writers learns that it was slower.
// storetest.Durable checks every rule stated here.
//
// Save and Swap write the same rows, and each sees what the other wrote. A row that
// Save wrote, or another program that shares the storage, has the Cred, Prev and Notes
// of the last Swap, and Record.Adopted says so.
type Durable interface {
	Store

	// Record returns the row id with what Swap keeps of it, or ErrNotFound.
	Record(ctx context.Context, id string) (Record, error)

	// Swap writes next in one step if the row next.Token.ID has the version expected,
	// and returns the record as stored, with its new version. A blank expected means
	// that there is no such row yet.
	//
	// When the row has another version, or is missing, nothing is written, the error
	// matches ErrConflict, and the row as it stands is returned with it; the zero
	// Record when there is none. ErrConflict with the row in the version expected means
	// that another row owns a refresh token, a grant token or the user name of next.
	//
	// Every field of next is stored as given, Generation, State, Failure, CreatedAt and
	// UpdatedAt included; Version and Adopted are the store's. What next supersedes
	// still finds the row, as after a Save: next.Prev equal to the stored Cred is a
	// rotation within a lineage, any other Cred starts a new one.
	//
	// After an error that matches ErrUnavailable or ctx.Err() the write has happened
	// wholly or not at all; read the record to know.
	Swap(ctx context.Context, expected string, next Record) (Record, error)
}

// MaxNotesLen is how many bytes of Record.Notes a Durable keeps.
const MaxNotesLen = 64 << 10

// A Record is a row of a Durable.
type Record struct {
	Token Token
	// Cred is the nonce of the write that set the credentials, Prev the Cred that they
	// were made from; blank for a row that no Swap has written.
	Cred, Prev string
	// Notes is what the tier above keeps with the row. It is opaque to the store, and
	// sealed already where it has to be.
	Notes []byte
	// Version changes with every write of the row, by whomever. It is opaque, never
	// blank, and never one that the row has had before.
	Version string
	// Adopted is true when the newest write was not a Swap: the token may hold another
	// access token, or other credentials, than Cred speaks of.
	Adopted bool
}
