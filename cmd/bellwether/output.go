package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bellwether-go/bellwether"
)

// A row is a token as it may be shown: what is secret is only named.
type row struct {
	ID               string    `json:"id"`
	Provider         string    `json:"provider,omitempty"`
	AccountsURL      string    `json:"accounts_url,omitempty"`
	User             string    `json:"user,omitempty"`
	ClientID         string    `json:"client_id,omitempty"`
	RedirectURL      string    `json:"redirect_url,omitempty"`
	APIDomain        string    `json:"api_domain,omitempty"`
	Scopes           []string  `json:"scopes,omitempty"`
	Holds            []string  `json:"holds,omitempty"` // names of the secrets
	Extra            []string  `json:"extra,omitempty"` // names only
	State            string    `json:"state"`
	Reason           string    `json:"reason,omitempty"`
	IssuedAt         time.Time `json:"issued_at,omitzero"`
	ExpiresAt        time.Time `json:"expires_at,omitzero"`
	RefreshExpiresAt time.Time `json:"refresh_expires_at,omitzero"`
	CreatedAt        time.Time `json:"created_at,omitzero"`
	UpdatedAt        time.Time `json:"updated_at,omitzero"`
	Generation       int64     `json:"generation"`
	Failure          *failure  `json:"failure,omitempty"`
}

type failure struct {
	Class string    `json:"class,omitempty"`
	Code  string    `json:"code,omitempty"`
	Count int       `json:"count,omitempty"`
	At    time.Time `json:"at,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// stateUnreadable is shown for a row that this keyset does not open.
const stateUnreadable = "unreadable"

func newRow(t bellwether.Token) row {
	r := row{
		ID: t.ID, Provider: t.Provider, AccountsURL: t.AccountsURL, User: t.UserName,
		ClientID: t.ClientID, RedirectURL: t.RedirectURL, APIDomain: t.APIDomain, Scopes: t.Scopes,
		State: string(t.State), IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt, RefreshExpiresAt: t.RefreshExpiresAt,
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, Generation: t.Generation,
	}
	for _, held := range []struct {
		name   string
		secret bellwether.Secret
	}{
		{"client_secret", t.ClientSecret}, {"grant_token", t.GrantToken},
		{"refresh_token", t.RefreshToken}, {"access_token", t.AccessToken},
	} {
		if !held.secret.IsZero() {
			r.Holds = append(r.Holds, held.name)
		}
	}
	for name := range t.Extra {
		r.Extra = append(r.Extra, name)
	}
	slices.Sort(r.Extra)
	if f := t.Failure; f != nil {
		r.Reason = string(f.Reason)
		if f.Class != "" || f.Count > 0 {
			r.Failure = &failure{Class: string(f.Class), Code: f.Code, Count: f.Count, At: f.At, Until: f.Until}
		}
	}
	return r
}

// state is the state with its reason.
func (r row) state() string {
	if r.Reason == "" {
		return r.State
	}
	return fmt.Sprintf("%s (%s)", r.State, r.Reason)
}

// expiry says when the access token ends.
func (r row) expiry(now time.Time) string {
	switch {
	case !slices.Contains(r.Holds, "access_token"):
		return "–"
	case r.ExpiresAt.IsZero():
		return "unknown"
	case r.ExpiresAt.Before(now):
		return "expired"
	default:
		return span(r.ExpiresAt.Sub(now))
	}
}

// print writes every field that has a value, one a line.
func (r row) print(w io.Writer, now time.Time) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(tw, "%s\t%s\n", name, value)
		}
	}
	moment := func(name string, t time.Time) {
		if !t.IsZero() {
			line(name, when(t, now))
		}
	}
	line("id", printable(r.ID))
	line("provider", printable(r.Provider))
	line("accounts URL", printable(r.AccountsURL))
	line("user", printable(r.User))
	line("client id", printable(r.ClientID))
	line("redirect URL", printable(r.RedirectURL))
	line("API domain", printable(r.APIDomain))
	line("scopes", printable(strings.Join(r.Scopes, " ")))
	for _, name := range r.Holds {
		line(strings.ReplaceAll(name, "_", " "), "[redacted]")
	}
	for _, name := range r.Extra {
		line("extra "+printable(name), "[redacted]")
	}
	line("state", r.state())
	moment("issued", r.IssuedAt)
	if slices.Contains(r.Holds, "access_token") && r.ExpiresAt.IsZero() {
		line("expires", "unknown")
	}
	moment("expires", r.ExpiresAt)
	moment("refresh token expires", r.RefreshExpiresAt)
	if f := r.Failure; f != nil {
		line("failure", strings.TrimSpace(fmt.Sprintf("%s %s, %d in a row", f.Class, printable(f.Code), f.Count)))
		moment("failed", f.At)
		moment("no attempt before", f.Until)
	}
	moment("created", r.CreatedAt)
	moment("updated", r.UpdatedAt)
	line("generation", strconv.FormatInt(r.Generation, 10))
	return tw.Flush()
}

// writeJSON writes one object on a line of its own.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// when writes a time in the local zone and how far away it is.
func when(t, now time.Time) string {
	stamp := t.Local().Format("2006-01-02 15:04:05 MST")
	if d := t.Sub(now); d >= 0 {
		return fmt.Sprintf("%s (in %s)", stamp, span(d))
	}
	return fmt.Sprintf("%s (%s ago)", stamp, span(now.Sub(t)))
}

// span writes a duration with no more precision than a reader wants.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(1, int(d.Round(time.Second)/time.Second)))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d/time.Hour), int(d%time.Hour/time.Minute))
	default:
		return fmt.Sprintf("%dd", int(d/(24*time.Hour)))
	}
}

// printable is s, quoted when it holds what a terminal would not show as it is.
func printable(s string) string {
	if strings.ContainsFunc(s, unprintable) {
		return strconv.Quote(s)
	}
	return s
}
