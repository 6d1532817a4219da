// Package providerfile reads the providers of a fleet from a JSON file, so that
// commands and services that share tokens agree on how each provider behaves.
//
// What holds: a key that is not known is an error, and so is a key of the other
// kind; a file that is accepted gives providers that their packages accept.
// What does not: the file is no secret and holds none. Client id, client secret
// and tokens belong to the rows.
//
//	{"providers": [
//	  {"name": "crm", "token_url": "https://login.example.com/oauth/token",
//	   "auth_style": "basic", "rotation": "grace", "grace": "30s"},
//	  {"name": "zoho", "kind": "zoho", "home": "eu"}
//	]}
//
// The keys of an entry are the fields of [oauth.Config] or, with "kind": "zoho", of
// [zoho.Config], written as token_url for TokenURL; durations are text, as "90s". The
// "endpoints" of an entry for Zoho come on top of Zoho's own and replace those of the
// same data centre.
//
// Open is all that a service needs:
//
//	providers, err := providerfile.Open(os.Getenv("BELLWETHER_PROVIDERS"))
package providerfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/provider/oauth"
	"github.com/bellwether-go/bellwether/provider/zoho"
)

// A File lists providers. The zero File is valid: it gives Zoho alone.
type File struct {
	Entries []Entry
}

// An Entry describes one provider; exactly one of the fields is set.
type Entry struct {
	OAuth *oauth.Config // "kind": "oauth", or no kind
	Zoho  *zoho.Config  // "kind": "zoho"
}

// Name is what Token.Provider says of rows of this provider.
func (e Entry) Name() string {
	switch {
	case e.OAuth != nil:
		return e.OAuth.Name
	case e.Zoho != nil && e.Zoho.Name != "":
		return e.Zoho.Name
	default:
		return zohoName
	}
}

const zohoName = "zoho"

func (e Entry) provider() (bellwether.Provider, error) {
	if e.OAuth != nil {
		return oauth.New(*e.OAuth)
	}
	return zoho.NewWith(*e.Zoho)
}

// Open reads the file at path and returns its providers, and Zoho. A blank path is
// Zoho alone. An error of the file system comes as it is; one of the file's contents
// matches bellwether.ErrInvalid.
func Open(path string) ([]bellwether.Provider, error) {
	var f File
	if path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if f, err = Parse(data); err != nil {
			return nil, err
		}
	}
	return f.Providers()
}

// Parse reads a file. Blank data is the zero File. An error matches
// bellwether.ErrInvalid and says which entry and why.
func Parse(data []byte) (File, error) {
	var doc document
	if len(bytes.TrimSpace(data)) > 0 {
		if err := strict(data, &doc); err != nil {
			return File{}, invalid("", err)
		}
	}
	var f File
	for i, raw := range doc.Providers {
		e, err := parseEntry(raw)
		if err != nil {
			return File{}, invalid(label(i, e), err)
		}
		if _, err := e.provider(); err != nil {
			return File{}, invalid(label(i, e), cause(err))
		}
		if f.has(e.Name()) {
			return File{}, invalid(label(i, e), errors.New("this name stands twice"))
		}
		f.Entries = append(f.Entries, e)
	}
	return f, nil
}

// Lookup returns the entry of that name. Zoho is there though no entry says so,
// with the United States as home.
func (f File) Lookup(name string) (Entry, bool) {
	for _, e := range f.Entries {
		if e.Name() == name {
			return e, true
		}
	}
	if name == zohoName {
		return Entry{Zoho: &zoho.Config{}}, true
	}
	return Entry{}, false
}

func (f File) has(name string) bool {
	for _, e := range f.Entries {
		if e.Name() == name {
			return true
		}
	}
	return false
}

// Providers returns the providers of the file, and Zoho.
func (f File) Providers() ([]bellwether.Provider, error) {
	entries := f.Entries
	if !f.has(zohoName) {
		entries = append(entries[:len(entries):len(entries)], Entry{Zoho: &zoho.Config{}})
	}
	var out []bellwether.Provider
	for _, e := range entries {
		p, err := e.provider()
		if err != nil {
			return nil, invalid(fmt.Sprintf("provider %q", e.Name()), cause(err))
		}
		out = append(out, p)
	}
	return out, nil
}

// Encode writes the file, indented. Parse(Encode(f)) is f.
func (f File) Encode() ([]byte, error) {
	doc := document{Providers: []json.RawMessage{}}
	for _, e := range f.Entries {
		raw, err := json.Marshal(e.json())
		if err != nil {
			return nil, err
		}
		doc.Providers = append(doc.Providers, raw)
	}
	out, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}

type document struct {
	Providers []json.RawMessage `json:"providers"`
}

func parseEntry(raw json.RawMessage) (Entry, error) {
	var head struct{ Name, Kind string }
	if err := json.Unmarshal(raw, &head); err != nil {
		return Entry{}, errors.New("an entry is an object")
	}
	switch head.Kind {
	case "", kindOAuth:
		var j oauthJSON
		err := strict(raw, &j)
		return Entry{OAuth: j.config()}, err
	case kindZoho:
		var j zohoJSON
		err := strict(raw, &j)
		return Entry{Zoho: j.config()}, err
	}
	return Entry{OAuth: &oauth.Config{Name: head.Name}},
		fmt.Errorf("kind %q is neither %q nor %q", head.Kind, kindOAuth, kindZoho)
}

// strict decodes one JSON value and refuses unknown keys and anything behind it.
func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the end")
	}
	return nil
}

func label(i int, e Entry) string {
	if (e.OAuth != nil || e.Zoho != nil) && e.Name() != "" {
		return fmt.Sprintf("provider %q", e.Name())
	}
	return fmt.Sprintf("entry %d", i+1)
}

// cause takes the error of a provider's package out of its wrapping, which would
// name the provider again.
func cause(err error) error {
	if e, ok := errors.AsType[*bellwether.Error](err); ok && e.Err != nil {
		return e.Err
	}
	return err
}

func invalid(where string, err error) error {
	detail := err.Error()
	if where != "" {
		detail = where + ": " + detail
	}
	return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "read providers", Detail: detail,
		Hint: "the keys are described in package providerfile"}
}
