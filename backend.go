package bellwether

import (
	"context"
	"time"
)

// This file holds what crosses between package refresh and the backend that
// coordinates it. refresh.Backend is the interface over these types. A user of
// the library meets none of them but in what an Observer is told.

// A Lease is the distributed lock on one row, held by one attempt.
type Lease interface {
	// Context ends when the lease can no longer be trusted; context.Cause says why.
	Context() context.Context
	// Release gives the lock back. It works though the ctx of the attempt has
	// ended, and a lock that is already gone is no error.
	Release(ctx context.Context) error
}

// A LockedError says that another attempt holds the lock of a row.
type LockedError struct {
	Remaining time.Duration // what is left of the holder's lock
}

func (*LockedError) Error() string { return "bellwether: locked by another attempt" }

// A Cooldown forbids attempts until a time on the backend's clock.
type Cooldown struct {
	Until  time.Time
	Class  Class
	Code   string
	Client bool // it concerns every token of the OAuth client
}

// A Snapshot is a row as seen by the hot read: one round trip, no refresh token.
type Snapshot struct {
	ID         string
	Provider   string
	Generation int64
	Cred       string // nonce of the write that set the current credentials
	State      State
	Failure    *Failure

	AccessToken Secret
	TokenType   string
	APIDomain   string
	IssuedAt    time.Time
	ExpiresAt   time.Time
	Extra       map[string]Secret // what came with the access token

	// Intent is true when an attempt has presented this cred and left no outcome.
	Intent bool
	// Client is an opaque digest of the row's OAuth client, to be handed to the
	// next Peek so that the client's cooldown is read along.
	Client   string
	Cooldown Cooldown // the later of the row's and the client's; zero when none
}

// AttemptKind says what leads to an attempt.
type AttemptKind string

// The kinds, from the one that yields most easily.
const (
	AttemptBackground AttemptKind = "background" // ahead of expiry; leaves two calls of each quota unused
	AttemptMandatory  AttemptKind = "mandatory"  // callers wait
	AttemptForced     AttemptKind = "forced"     // an API rejected the token, or an operator asked
)

// An Attempt is one run of a holder, from begin to commit or fail.
type Attempt struct {
	ID    string
	Nonce string // 26 characters; owner token of the lock, name of the intent, cred after success
	// Expected is the cred that the attempt has seen, MinGeneration the highest
	// generation its replica has seen.
	Expected      string
	MinGeneration int64
	Kind          AttemptKind
	// ForcedInterval is the least time between two forced refreshes of a row.
	ForcedInterval time.Duration
	// Budget is what the call and its commit may take, counted from begin: the
	// intent forbids others until then.
	Budget   time.Duration
	Rotation Rotation
	Quotas   []Quota
}

// BeginWord is begin's decision.
type BeginWord string

// The words of begin. Any but BeginGo has deleted the attempt's lock.
const (
	BeginGo        BeginWord = "go"        // call the provider
	BeginLost      BeginWord = "lost"      // the lock is not ours
	BeginGone      BeginWord = "gone"      // no such row
	BeginState     BeginWord = "state"     // the row is not active
	BeginChanged   BeginWord = "changed"   // other credentials than Expected
	BeginDenied    BeginWord = "denied"    // cooldown, quota or forced interval
	BeginRecover   BeginWord = "recover"   // another attempt may still end
	BeginRegressed BeginWord = "regressed" // the row is older than what this replica has seen
)

// Denial says what makes begin deny an attempt.
type Denial string

// The denials.
const (
	DenialCooldown Denial = "cooldown" // of the row, after a failure
	DenialQuota    Denial = "quota"    // of the provider's token requests
	DenialForced   Denial = "forced"   // the last forced refresh is not Attempt.ForcedInterval ago
)

// A BeginAnswer is the answer of begin.
type BeginAnswer struct {
	Word       BeginWord
	Now        time.Time // the backend's clock
	Generation int64
	Token      Token // with BeginGo: the whole row, secrets included
	// Extra is the part of Token.Extra that earlier answers brought, to be carried
	// into Commit.Extra.
	Extra     map[string]Secret
	Corrected bool      // with BeginGo: a save has corrected what answers bring; only the store knows what holds
	Doubt     bool      // with BeginGo: the refresh token may have been spent already
	Failures  int       // failures in a row so far
	State     State     // with BeginState
	Reason    Reason    // with BeginState
	Until     time.Time // with BeginDenied, BeginRecover: when to try again
	Why       Denial    // with BeginDenied
	Class     Class     // with DenialCooldown
	Code      string
}

// A Commit offers the outcome of a successful attempt to the fence.
type Commit struct {
	Attempt Attempt
	Token   Token // the row to be: the answer merged over what begin gave; its Extra is not looked at
	// Extra is BeginAnswer.Extra with what this answer brought laid over it. What an
	// operator saved is kept apart, so that a commit never undoes a save.
	Extra map[string]Secret
	// Doubt: the answer broke off and brought no refresh token, so a rotated one may be
	// lost. A refusal at the next refresh then is ReasonRotationLost.
	Doubt bool
}

// CommitWord is the fence's decision.
type CommitWord string

// The words of commit. Each has deleted the attempt's lock.
const (
	CommitOK      CommitWord = "ok"      // written, now or by an earlier run of the same commit
	CommitGone    CommitWord = "gone"    // the row was deleted meanwhile: dropped
	CommitSibling CommitWord = "sibling" // another attempt from the same cred came first: kept as the spare
	CommitStale   CommitWord = "stale"   // the credentials were replaced meanwhile: dropped
)

// A CommitAnswer is the answer of commit.
type CommitAnswer struct {
	Word       CommitWord
	Generation int64
}

// Outcome sorts how an attempt ended, in the order in which it is decided.
type Outcome string

// The outcomes of an attempt.
const (
	OutcomeSpent   Outcome = "spent"   // tokens came: commit
	OutcomeRefused Outcome = "refused" // the provider says that the credential is dead
	OutcomeUnspent Outcome = "unspent" // not sent, or an answer that consumes nothing
	OutcomeUnknown Outcome = "unknown" // all else that was sent
)

// A Fail reports an attempt that brought no token.
type Fail struct {
	Attempt Attempt
	Outcome Outcome
	Sent    bool // false: proven not sent, it does not count against a quota
	// Lost means that the provider has rotated (or spent a code) and the answer
	// cannot be used: the row then needs a sign-in.
	Lost     bool
	Class    Class
	Code     string
	Cooldown time.Duration // of the row; 0 for none
	// ClientCooldown cools every token of the client whose digest is Client.
	ClientCooldown time.Duration
	Client         string
}

// A FailAnswer is the answer of fail.
type FailAnswer struct {
	Applied bool // false: other credentials or another intent by now; nothing was changed
	State   State
	Reason  Reason
	Until   time.Time // end of the cooldown
}

// EventKind says what happened to a row.
type EventKind string

// The kinds of events.
const (
	EventCommitted EventKind = "committed" // new credentials
	EventSaved     EventKind = "saved"     // written by a Save
	EventDeleted   EventKind = "deleted"
	EventFailed    EventKind = "failed" // an attempt failed; state or cooldown may have changed
	EventRevoking  EventKind = "revoking"
	// EventResync concerns every row: messages may have been lost.
	EventResync EventKind = "resync"
	// EventClock concerns every row: the local clock jumped (suspend), so no
	// deadline computed before can be trusted.
	EventClock EventKind = "clock"
)

// An Event tells every replica of a change. It carries no secret.
type Event struct {
	ID         string // blank for EventResync and EventClock
	Generation int64
	Kind       EventKind
}
