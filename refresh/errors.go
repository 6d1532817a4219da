package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-go/bellwether"
)

func isNotFound(err error) bool { return errors.Is(err, bellwether.ErrNotFound) }

// isDecided reports whether an error forbids even a token that lives.
func isDecided(err error) bool {
	return isNotFound(err) || errors.Is(err, bellwether.ErrRevoking) || errors.Is(err, bellwether.ErrClosed)
}

var errSlowStore = &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "get", Detail: "the store is slow to answer"}

// storeError passes on what the store says. The end of our own timeout is not the
// end of a caller's ctx and must not look like it.
func storeError(op, id string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: op, ID: id, Detail: "the store did not answer in time",
			Hint: "check that Redis runs and is reachable"}
	}
	if _, ok := errors.AsType[*bellwether.Error](err); ok {
		return err
	}
	return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: op, ID: id, Err: err}
}

func clockUnknown(id string) error {
	return &bellwether.Error{Kind: bellwether.ErrUnavailable, Op: "get", ID: id,
		Detail: "the store's clock is not known yet", Hint: "the machine was suspended, or the store cannot be reached"}
}

var reasonHints = map[bellwether.Reason]string{
	bellwether.ReasonRevoked:            "the user or the provider ended the grant: sign in again",
	bellwether.ReasonRotationLost:       "an answer of the provider was lost on the way: sign in again; nobody revoked the grant",
	bellwether.ReasonCodeOutcomeUnknown: "the code was sent and no answer came: get a new one; a code is never sent twice",
}

// stateError says why a row that is not active is not refreshed.
func stateError(id string, p *provider, state bellwether.State, f *bellwether.Failure) *bellwether.Error {
	if state == bellwether.StateRevoking {
		return &bellwether.Error{Kind: bellwether.ErrRevoking, Op: "get", ID: id,
			Hint: "repeat the revocation until it succeeds, or delete the token"}
	}
	e := &bellwether.Error{Kind: bellwether.ErrReauthRequired, Op: "get", ID: id}
	if f != nil {
		e.Reason, e.Hint = f.Reason, reasonHints[f.Reason]
		e.Err = cause(p, f.Class, f.Code, "")
	}
	return e
}

// cause is what a row remembers of a provider's answer; nil when that is nothing.
func cause(p *provider, class bellwether.Class, code string, concern bellwether.Concern) error {
	if class == "" {
		return nil
	}
	name := "provider"
	if p != nil {
		name = p.name
	}
	return &bellwether.ProviderError{Provider: name, Class: class, Code: code, Concern: concern}
}

// cooldownError says that an earlier failure forbids attempts until a local time.
func cooldownError(id string, p *provider, until time.Time, class bellwether.Class, code string, client bool) *bellwether.Error {
	e := &bellwether.Error{Kind: bellwether.ErrProvider, Op: "get", ID: id, Until: until, Detail: "an earlier refresh failed"}
	concern := bellwether.ConcernToken
	if client {
		concern = bellwether.ConcernClient
		e.Detail = "an earlier refresh of another token of this client failed"
	}
	if class == bellwether.ClassThrottled {
		e.Kind = bellwether.ErrThrottled
	}
	e.Err = cause(p, class, code, concern)
	return e
}

// recovering returns the time until which an unresolved attempt has to be waited
// for.
func recovering(err error) (time.Time, bool) {
	e, ok := errors.AsType[*bellwether.Error](err)
	if !ok || e.Kind != bellwether.ErrRecovering || e.Until.IsZero() {
		return time.Time{}, false
	}
	return e.Until, true
}

func panicked(op, id string, p any) error {
	return &bellwether.Error{Kind: bellwether.ErrProvider, Op: op, ID: id, Detail: fmt.Sprintf("panic (%T)", p),
		Hint: "the panic is in a Provider or a Backend; its stack is in the log"}
}
