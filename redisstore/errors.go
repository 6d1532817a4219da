package redisstore

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
)

// hints tells what to do about an error that Redis answers, by its first word.
// All of them mean that Redis cannot serve just now, and none condemns a token.
var hints = map[string]string{
	"OOM":         "Redis has reached maxmemory: raise it, and keep maxmemory-policy noeviction",
	"READONLY":    "this is a replica: point the URL at the master, or use Sentinel (?master_name=) or Cluster (?addr=)",
	"LOADING":     "Redis is loading its data: try again shortly",
	"MASTERDOWN":  "the master is away: try again after the failover",
	"CLUSTERDOWN": "a part of the cluster has no master: try again after the failover",
	"TRYAGAIN":    "a slot is being moved: try again",
	"MISCONF":     "Redis cannot persist and refuses writes: look at its log and its disk",
	"NOREPLICAS":  "min-replicas-to-write is not met: bring a replica back",
	"BUSY":        "a script blocks Redis: look at SLOWLOG",
	"MOVED":       "this is a node of a Cluster: name it with ?addr= as well",
}

// denied are answers that no waiting cures.
var denied = map[string]string{
	"WRONGPASS": "check user and password in the Redis URL",
	"NOAUTH":    "put the password into the Redis URL: redis://:PASSWORD@host:6379",
	"NOPERM":    "give this Redis user the commands and keys of docs/redis-keys.md",
	"CROSSSLOT": "this is a bug in Bellwether: please report it",
	"WRONGTYPE": "something else uses these key names: choose another namespace",
	"NOPROTO":   "Redis 7.0 or newer is needed",
}

// fault turns an error of the client into one of ours.
func fault(ctx context.Context, op, id string, err error) error {
	if err == nil {
		return nil
	}
	if ours := (*bellwether.Error)(nil); errors.As(err, &ours) {
		return err
	}
	// The client reports the end of a ctx as a network timeout.
	if ctx.Err() != nil {
		return &bellwether.Error{Op: op, ID: id, Err: ctx.Err()}
	}
	err = unquoted(err)
	e := &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: op, ID: id, Err: err}
	var answered redis.Error
	if !errors.As(err, &answered) {
		e.Hint = "check that Redis runs and that the URL is right"
		return e
	}
	// miniredis wraps what a script's command answers, so the word may stand inside.
	text := answered.Error()
	word, _, _ := strings.Cut(text, " ")
	if hint, ok := hints[word]; ok {
		e.Hint = hint
		return e
	}
	if hint, ok := denied[word]; ok {
		e.Kind, e.Hint = bellwether.ErrMisconfigured, hint
		return e
	}
	for word, hint := range denied {
		if strings.Contains(text, word) {
			e.Kind, e.Hint = bellwether.ErrMisconfigured, hint
			return e
		}
	}
	for word, hint := range hints {
		if strings.Contains(text, word) {
			e.Hint = hint
			return e
		}
	}
	return e
}

// unquoted is err without the arguments that a server quotes of a command it does not
// know: one that does not know AUTH quotes the password.
func unquoted(err error) error {
	if before, _, found := strings.Cut(err.Error(), ", with args beginning with"); found {
		return errors.New(before)
	}
	return err
}
