package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/bellwether-go/bellwether"
)

// What can be wrong with a body as a whole.
var (
	// ErrCut: the body ends in the middle of an object.
	ErrCut = errors.New("the body is cut short")
	// ErrHTML: the body is a web page.
	ErrHTML = errors.New("the body is HTML")
	// ErrGarbage: the body is neither a JSON object nor a form.
	ErrGarbage = errors.New("the body cannot be read")
)

// Fields are the members of an answer's object. A value is nil, a bool, a
// string, a json.Number, a []any or a map[string]any.
type Fields map[string]any

// ReadJSON reads the object in body member by member. With an error it returns
// the members that stand whole before the fault, so that a token in front of it
// is not lost. What follows the object is ignored; of a repeated member the last
// counts.
func ReadJSON(body []byte) (Fields, error) {
	f := Fields{}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if looksHTML(body) {
		return f, ErrHTML
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return f, ErrGarbage
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return f, fault(err)
		}
		name, ok := key.(string)
		if !ok {
			return f, ErrGarbage
		}
		var v any
		if err := d.Decode(&v); err != nil {
			return f, fault(err)
		}
		f[name] = v
	}
	if _, err := d.Token(); err != nil {
		return f, fault(err)
	}
	return f, nil
}

func fault(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return ErrGarbage
}

// Read reads a JSON object or, where the body does not begin like one, a form
// (GitHub answers so unless asked for JSON). A form counts only when it has one
// of the members that a token answer has; a form that is cut cannot be told from
// a whole one.
func Read(h http.Header, body []byte) (Fields, error) {
	trimmed := bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(trimmed) == 0 || trimmed[0] == '{' || looksHTML(trimmed) ||
		strings.Contains(h.Get("Content-Type"), "json") {
		return ReadJSON(body)
	}
	f := Fields{}
	bad := false
	for pair := range strings.SplitSeq(string(trimmed), "&") {
		key, value, _ := strings.Cut(pair, "=")
		k, err1 := url.QueryUnescape(key)
		v, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			bad = true
			continue
		}
		if k != "" {
			f[k] = v
		}
	}
	if f.String("access_token") == "" && f.String("refresh_token") == "" && f.String("error") == "" {
		return Fields{}, ErrGarbage
	}
	if bad {
		return f, ErrGarbage
	}
	return f, nil
}

func looksHTML(body []byte) bool {
	body = bytes.TrimSpace(body)
	return len(body) > 0 && body[0] == '<'
}

// String returns the member key when it is a string, else "".
func (f Fields) String(key string) string {
	s, _ := f[key].(string)
	return s
}

// Object returns the member key when it is an object, else nil.
func (f Fields) Object(key string) Fields {
	o, _ := f[key].(map[string]any)
	return o
}

// HasTokens reports whether f holds an access or a refresh token.
func (f Fields) HasTokens() bool {
	return f.String("access_token") != "" || f.String("refresh_token") != ""
}

// Scopes reads a list of scopes: one string with any of the characters in seps
// between them (RFC 6749 section 3.3 has a space), or an array of strings.
func (f Fields) Scopes(key, seps string) []string {
	switch v := f[key].(type) {
	case string:
		return strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(seps, r) })
	case []any:
		var out []string
		for _, e := range v {
			if s, ok := e.(string); ok && s != "" {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// Extra returns, as secrets, every member that is not in known. Numbers, objects
// and arrays become their JSON text; null, empty strings and empty names are
// left out. It returns nil when nothing is left.
func (f Fields) Extra(known map[string]bool) map[string]bellwether.Secret {
	var out map[string]bellwether.Secret
	for k, v := range f {
		if k == "" || known[k] {
			continue
		}
		text := Text(v)
		if text == "" {
			continue
		}
		if out == nil {
			out = map[string]bellwether.Secret{}
		}
		out[k] = bellwether.NewSecret(text)
	}
	return out
}

// Text returns a member's value as text: a string as it is, "" for null, all
// else as JSON.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// Code returns the error code: the first of the members keys that is a
// non-empty string, or an object that holds one under code, status or type (as
// Google's and Facebook's APIs write it).
func (f Fields) Code(keys ...string) string {
	for _, k := range keys {
		if s := f.String(k); s != "" {
			return s
		}
		o := f.Object(k)
		for _, in := range []string{"code", "status", "type"} {
			if s := o.String(in); s != "" {
				return s
			}
		}
	}
	return ""
}
