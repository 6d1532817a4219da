package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether"
)

// Exit codes. Scripts branch on them, so they never change.
const (
	exitOK          = 0
	exitOther       = 1
	exitUsage       = 2 // what was asked for or configured cannot be right
	exitNotFound    = 3
	exitSignIn      = 4 // only a new sign-in helps
	exitUnavailable = 5 // a store or the provider cannot be reached or cannot serve, or is another's
	exitThrottled   = 6 // try again later; the message says when
)

const exitCodesHelp = `Exit codes:
  0 ok    1 other    2 usage    3 not found    4 sign in again
  5 store or provider unavailable    6 throttled (the message says until when)`

// A usageError is a command line or environment that cannot be right.
type usageError struct{ what, hint string }

func (e *usageError) Error() string { return e.what }

// exitCode reports err on stderr, as one line that says what happened and one that
// says what to do, and returns the exit code.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	for _, err := range parts(err) {
		what, hint := explain(err, time.Now())
		fmt.Fprintln(stderr, "bellwether: "+what)
		if hint != "" {
			fmt.Fprintln(stderr, "hint: "+hint)
		}
	}
	return codeOf(parts(err)[0])
}

// parts takes apart what errors.Join has joined, the first error first.
func parts(err error) []error {
	_, ours := err.(*bellwether.Error)
	j, joined := err.(interface{ Unwrap() []error })
	if ours || !joined {
		return []error{err}
	}
	var all []error
	for _, err := range j.Unwrap() {
		all = append(all, parts(err)...)
	}
	return all
}

func codeOf(err error) int {
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	e, ok := errors.AsType[*bellwether.Error](err)
	if !ok {
		return exitOther
	}
	switch e.Kind {
	case bellwether.ErrInvalid, bellwether.ErrAmbiguous:
		return exitUsage
	case bellwether.ErrNotFound:
		return exitNotFound
	case bellwether.ErrReauthRequired:
		return exitSignIn
	case bellwether.ErrUnavailable:
		return exitUnavailable
	case bellwether.ErrThrottled, bellwether.ErrRejected, bellwether.ErrRecovering:
		return exitThrottled
	case bellwether.ErrProvider:
		return codeOfProvider(err)
	}
	return exitOther
}

// codeOfProvider tells a provider that cannot serve from one that says no.
func codeOfProvider(err error) int {
	p, ok := errors.AsType[*bellwether.ProviderError](err)
	if !ok {
		return exitUnavailable
	}
	switch p.Class {
	case bellwether.ClassRefused:
		return exitSignIn
	case bellwether.ClassThrottled:
		return exitThrottled
	case bellwether.ClassConfig:
		return exitOther
	}
	return exitUnavailable
}

// explain splits an error into what happened, with the time until which it holds,
// and what to do about it.
func explain(err error, now time.Time) (what, hint string) {
	if u, ok := errors.AsType[*usageError](err); ok {
		return oneLine(u.what), oneLine(u.hint)
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted", ""
	}
	var m message
	what = strings.Join(m.add(err, true, nil, ""), ": ")
	if !m.until.IsZero() {
		what += "; not before " + when(m.until, now)
	}
	return oneLine(what), oneLine(m.hint)
}

// A message is what a chain of errors says beside its text; the outermost say wins.
type message struct {
	hint  string
	until time.Time
}

// add returns the words of err. kind and id are what the errors around it have said;
// top is true for the outermost, which alone says what was done.
func (m *message) add(err error, top bool, kind error, id string) (words []string) {
	switch e := err.(type) {
	case *bellwether.Error:
		m.hint = cmp.Or(m.hint, e.Hint)
		if m.until.IsZero() {
			m.until = e.Until
		}
		var subject []string
		if top && e.Op != "" {
			subject = append(subject, e.Op)
		}
		if e.ID != id && e.ID != "" {
			subject = append(subject, printable(e.ID))
		}
		words = append(words, strings.Join(subject, " "))
		if e.Kind != kind && e.Kind != nil {
			words = append(words, e.Kind.Error())
			if e.Reason != "" {
				words[len(words)-1] += fmt.Sprintf(" (%s)", e.Reason)
			}
		}
		words = append(words, e.Detail)
		if e.Err != nil {
			words = append(words, m.add(e.Err, false, cmp.Or(e.Kind, kind), cmp.Or(e.ID, id))...)
		}
		return slices.DeleteFunc(words, func(w string) bool { return w == "" })
	case *bellwether.ProviderError:
		m.hint = cmp.Or(m.hint, e.Hint)
		c := *e
		c.Hint = ""
		return []string{c.Error()}
	}
	return []string{err.Error()}
}

// oneLine keeps what a server or a file may have put into a message from breaking
// the line or steering the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
