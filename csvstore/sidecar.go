package csvstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/rules"
)

// sidecarHead is the first line of the sidecar file; another layout gets another one.
const sidecarHead = `{"format":"bellwether-csv-1"}` + "\n"

// An entry is what the sidecar knows of an ID, on a line of JSON of its own. It is never
// changed once it is made.
//
// The Token of its row holds all, once the row was found in the CSV; the JSON only what
// the ten columns lack.
type entry struct {
	row     *rules.Row
	version string
	// digest and held are of the CSV line as this store wrote it. A tombstone keeps what
	// its row held, to tell whether a row that an SDK inserts under its ID is of the same
	// user.
	digest rules.Key
	held   rules.Held
	buried time.Time // of a tombstone: when
	// was is what stood before, as long as it is not known whether the CSV was written:
	// the line in the CSV tells by its digest. A blank entry when nothing stood.
	was *entry

	encoded []byte // the line of the sidecar
}

// entryJSON is the layout of a line.
type entryJSON struct {
	ID         string     `json:"id,omitempty"`
	Version    string     `json:"version,omitempty"`
	Generation int64      `json:"generation,omitempty"`
	Live       bool       `json:"live,omitempty"`
	Digest     rules.Key  `json:"digest,omitzero"`
	Held       rules.Held `json:"held,omitzero"`
	Buried     int64      `json:"buried,omitempty"`
	Past       rules.Past `json:"past,omitzero"`

	Cred    string `json:"cred,omitempty"`
	Prev    string `json:"prev,omitempty"`
	Notes   []byte `json:"notes,omitempty"`
	Adopted bool   `json:"adopted,omitempty"`

	Created int64            `json:"created,omitempty"`
	Updated int64            `json:"updated,omitempty"`
	State   bellwether.State `json:"state,omitempty"`
	Failure *failureJSON     `json:"failure,omitempty"`

	Provider       string            `json:"provider,omitempty"`
	AccountsURL    string            `json:"accounts_url,omitempty"`
	TokenType      string            `json:"token_type,omitempty"`
	Scopes         []string          `json:"scopes,omitempty"`
	Issued         int64             `json:"issued,omitempty"`
	RefreshExpires int64             `json:"refresh_expires,omitempty"`
	Extra          map[string]string `json:"extra,omitempty"`

	Was *entryJSON `json:"was,omitempty"`
}

type failureJSON struct {
	Reason bellwether.Reason `json:"reason,omitempty"`
	Class  bellwether.Class  `json:"class,omitempty"`
	Code   string            `json:"code,omitempty"`
	Count  int               `json:"count,omitempty"`
	At     int64             `json:"at,omitempty"`
	Until  int64             `json:"until,omitempty"`
}

// encode returns e with its line.
func (e *entry) encode() (*entry, error) {
	line, err := json.Marshal(e.layout())
	if err != nil {
		return nil, fmt.Errorf("csvstore: sidecar: %w", err)
	}
	c := *e
	c.encoded = append(line, '\n')
	return &c, nil
}

func (e *entry) layout() *entryJSON {
	t := e.row.Token
	j := &entryJSON{
		ID: t.ID, Version: e.version, Generation: t.Generation, Live: e.row.Live,
		Digest: e.digest, Held: e.held, Buried: milli(e.buried), Past: e.row.Past,
		Cred: e.row.Cred, Prev: e.row.Prev, Notes: e.row.Notes, Adopted: e.row.Adopted,
		Created: milli(t.CreatedAt), Updated: milli(t.UpdatedAt), State: t.State,
		Provider: t.Provider, AccountsURL: t.AccountsURL, TokenType: t.TokenType, Scopes: t.Scopes,
		Issued: milli(t.IssuedAt), RefreshExpires: milli(t.RefreshExpiresAt),
	}
	if f := t.Failure; f != nil {
		j.Failure = &failureJSON{Reason: f.Reason, Class: f.Class, Code: f.Code, Count: f.Count, At: milli(f.At), Until: milli(f.Until)}
	}
	if len(t.Extra) > 0 {
		j.Extra = make(map[string]string, len(t.Extra))
		for k, v := range t.Extra {
			j.Extra[k] = v.Reveal()
		}
	}
	if e.was != nil {
		j.Was = e.was.layout()
		j.Was.ID = ""
	}
	return j
}

func (j *entryJSON) entry(id string) *entry {
	t := bellwether.Token{
		ID: id, Generation: j.Generation, CreatedAt: fromMilli(j.Created), UpdatedAt: fromMilli(j.Updated), State: j.State,
		Provider: j.Provider, AccountsURL: j.AccountsURL, TokenType: j.TokenType, Scopes: j.Scopes,
		IssuedAt: fromMilli(j.Issued), RefreshExpiresAt: fromMilli(j.RefreshExpires),
	}
	if f := j.Failure; f != nil {
		t.Failure = &bellwether.Failure{Reason: f.Reason, Class: f.Class, Code: f.Code, Count: f.Count, At: fromMilli(f.At), Until: fromMilli(f.Until)}
	}
	if len(j.Extra) > 0 {
		t.Extra = make(map[string]bellwether.Secret, len(j.Extra))
		for k, v := range j.Extra {
			t.Extra[k] = bellwether.NewSecret(v)
		}
	}
	e := &entry{
		row:     &rules.Row{Token: t, Past: j.Past, Live: j.Live, Cred: j.Cred, Prev: j.Prev, Notes: j.Notes, Adopted: j.Adopted},
		version: j.Version, digest: j.Digest, held: j.Held, buried: fromMilli(j.Buried),
	}
	if j.Was != nil {
		e.was = j.Was.entry(id)
	}
	return e
}

func milli(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

func fromMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// readSidecar returns the entries of a sidecar file in its order.
func readSidecar(data []byte) ([]*entry, error) {
	if len(data) == 0 {
		return nil, nil
	}
	lines, ok := bytes.CutPrefix(data, []byte(sidecarHead))
	if !ok {
		return nil, damaged(1)
	}
	var entries []*entry
	seen := make(map[string]bool)
	n := 1
	for line := range bytes.Lines(lines) {
		n++
		var j entryJSON
		if err := json.Unmarshal(line, &j); err != nil || !bytes.HasSuffix(line, []byte("\n")) ||
			bellwether.ValidateID(j.ID) != nil || seen[j.ID] || j.Version == "" {
			return nil, damaged(n) // the error would quote the line
		}
		seen[j.ID] = true
		e := j.entry(j.ID)
		e.encoded = bytes.Clone(line)
		entries = append(entries, e)
	}
	return entries, nil
}

func damaged(line int) error {
	return &bellwether.Error{Kind: bellwether.ErrMisconfigured, Op: "read sidecar",
		Detail: fmt.Sprintf("line %d is damaged, or of another version of this program", line),
		Hint: "restore the sidecar from a backup; without it all tokens are kept, but generations, " +
			"the past of the rows and what the ten columns lack is lost"}
}

// withColumns returns e, read from the sidecar, with the fields that stand in the CSV.
func (e *entry) withColumns(found bellwether.Token) *entry {
	c, row := *e, *e.row
	t := e.row.Token
	t.Extra = maps.Clone(t.Extra)
	t.UserName, t.ClientID, t.ClientSecret = found.UserName, found.ClientID, found.ClientSecret
	t.RedirectURL, t.APIDomain = found.RedirectURL, found.APIDomain
	t.GrantToken, t.RefreshToken, t.AccessToken = found.GrantToken, found.RefreshToken, found.AccessToken
	t.ExpiresAt = found.ExpiresAt
	row.Token, c.row = t, &row
	return &c
}
