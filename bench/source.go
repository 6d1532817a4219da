package bench

import (
	"context"
	"slices"
	"time"

	"github.com/bsm/redislock"

	"github.com/bellwether-go/bellwether"
)

// Source says where the callers of a replica get their token.
type Source string

// The sources. All but SourceBellwether are there to be compared with.
const (
	SourceBellwether           Source = "bellwether"            // refresh.Refresher over redisstore
	SourceEach                 Source = "x-oauth2-each"         // x/oauth2 in each replica, which share nothing
	SourceShared               Source = "x-oauth2-shared"       // x/oauth2 over a shared store, without a lock
	SourceRedislockLinear      Source = "redislock-linear"      // every waiter obtains in turn, tries each 10 ms
	SourceRedislockExponential Source = "redislock-exponential" // the same, tries after 50 ms to 1 s
	SourcePolling              Source = "lock-polling"          // one obtains, the others poll the store
	SourceBare                 Source = "bare"                  // the round trips of SourceBellwether and nothing else
)

// Raw limits: what a source cannot be faster than. They hand out no token.
const (
	SourceHMGet  Source = "hmget"          // the HMGET of SourceBellwether's read and nothing else
	SourceReuse  Source = "x-oauth2-reuse" // oauth2.ReuseTokenSource, which a hit in memory replaces
	SourceAtomic Source = "atomic-load"    // of one pointer
)

// raw reports whether what the source hands out is no token of the provider's.
func (s Source) raw() bool { return s == SourceHMGet }

// A source is what the callers of a replica ask for a token.
type source interface {
	// warm opens connections and reads what can be cached; it refreshes nothing. With
	// errLate the replica does not hold what was saved for it.
	warm(ctx context.Context) error
	// token returns the token of a row, by its number in setup.Rows.
	token(ctx context.Context, row int) (bellwether.Secret, error)
	close()
}

type opener func(context.Context, setup, *meter) (source, error)

var openers = map[Source]opener{
	SourceBellwether: openBellwether,
	SourceBare:       openBare,
	SourceEach:       openBaseline(renewEach),
	SourceShared:     openBaseline(renewShared),
	SourceRedislockLinear: openBaseline(renewLocked(func() redislock.RetryStrategy {
		return redislock.LinearBackoff(10 * time.Millisecond)
	})),
	SourceRedislockExponential: openBaseline(renewLocked(func() redislock.RetryStrategy {
		return redislock.ExponentialBackoff(50*time.Millisecond, time.Second)
	})),
	SourcePolling: openBaseline(renewPolling),
	SourceHMGet:   openHMGet,
	SourceReuse:   openReuse,
}

// Sources are all of them, Bellwether first and the raw limits last.
func Sources() []Source {
	return append(herdSources(), SourceHMGet, SourceReuse, SourceAtomic)
}

// herdSources are those that refresh.
func herdSources() []Source {
	return []Source{
		SourceBellwether, SourceBare, SourcePolling, SourceRedislockLinear, SourceRedislockExponential, SourceShared, SourceEach,
	}
}

func knownSource(s Source) bool { return slices.Contains(Sources(), s) }
