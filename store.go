package bellwether

import (
	"context"
	"iter"
)

// A Store keeps tokens. Its methods are those of the token stores of Zoho's
// SDKs (find_token, find_token_by_id, save_token, delete_token, get_tokens,
// delete_tokens). Package storetest checks every rule stated here.
//
// All methods are safe for concurrent use, by goroutines and, where the store is
// shared, by processes. A cancelled or expired ctx is reported by an error that
// matches ctx.Err(), and a write then has happened wholly or not at all. Tokens
// returned share no memory with the store.
//
// # Identity
//
// A token without an ID is looked for by the first of these rules that applies
// and finds a row:
//
//  1. by user name;
//  2. by access token, when client id and client secret are both absent;
//  3. by refresh token or grant token, current or superseded. When a user name is
//     given too, only a row without a user name matches, and takes it.
//
// Provider, AccountsURL and ClientID narrow every rule: a given value matches the
// same stored value or a stored blank, which a Save then fills. Several matching
// rows are ErrAmbiguous, never the first of them.
type Store interface {
	// Find returns the row that partial identifies, by ID when it has one. No row
	// is ErrNotFound; nothing to look for is ErrInvalid.
	Find(ctx context.Context, partial Token) (Token, error)

	// FindByID returns the row id, or ErrNotFound.
	FindByID(ctx context.Context, id string) (Token, error)

	// Save inserts or updates one row and returns it as stored, with its ID.
	//
	// With an ID the row is that one; unknown to the store, it is inserted under
	// it. Without an ID the row is found by identity, else inserted under a new ID.
	//
	// With Generation 0 an absent field keeps the stored value (Extra is merged by
	// key). With Generation > 0 the row is replaced as given, absent fields are
	// cleared, and ErrConflict is returned unless the row exists and has that
	// generation.
	//
	// A refresh or grant token belongs to one row: a Save that carries one owned by
	// another row is ErrConflict, as is a Save by ID that would give two rows one
	// identity. A refresh, grant or access token that the row has superseded is
	// treated as absent: replicas boot with an old token from their environment.
	//
	// A new refresh or grant token starts a lineage: it makes the row active again
	// and drops what an earlier refresh left behind. A new grant token that comes
	// without a refresh token also supersedes the stored refresh and access token,
	// or it could not be spent in time. A result without any credential
	// (Token.HasCredential) is ErrInvalid. Token.Validate, Token.Merge and
	// Token.Replace are these rules in code.
	Save(ctx context.Context, t Token) (Token, error)

	// Delete removes the row id; a missing row is ErrNotFound. A refresh in flight
	// does not bring it back.
	Delete(ctx context.Context, id string) error

	// List yields every row, in no order, in bounded memory. A row that lives
	// through the whole listing is yielded exactly once; one saved or deleted
	// meanwhile may or may not be. After an error the sequence ends, but for
	// ErrUnreadable, which concerns one row: its Token holds the ID alone.
	List(ctx context.Context) iter.Seq2[Token, error]

	// DeleteAll removes every row; on an empty store it does nothing.
	DeleteAll(ctx context.Context) error
}

// A Sealer encrypts what a store keeps and computes the digests that it looks
// things up by. It is safe for concurrent use. Package seal implements it.
type Sealer interface {
	// Seal encrypts plaintext and binds it to aad.
	Seal(plaintext, aad []byte) ([]byte, error)
	// Open is the inverse of Seal; a foreign key, another aad or damaged bytes
	// give an error that matches ErrUnreadable.
	Open(ciphertext, aad []byte) ([]byte, error)
	// MAC returns a 32-byte keyed digest of the parts under the index key. Parts
	// are told apart: MAC("ab","c") differs from MAC("a","bc").
	MAC(parts ...string) []byte
	// Fingerprint identifies the index key without revealing it.
	Fingerprint() string
}
