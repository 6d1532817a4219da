package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/bellwether-go/bellwether"
)

// ParseURL checks the URL of an endpoint that will receive secrets: absolute,
// https (or http when allowed), with a host, without user info or fragment
// (RFC 6749 section 3.2). Scheme and host come back in lower case, without a
// default port.
func ParseURL(raw string, allowHTTP bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL") // url.Error would repeat the text
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch {
	case u.Scheme == "http" && !allowHTTP:
		return nil, errors.New("not https")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("not an absolute https URL")
	case u.Hostname() == "":
		return nil, errors.New("no host")
	case u.User != nil:
		return nil, errors.New("user info in a URL")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, errors.New("fragment in a URL")
	}
	if p := u.Port(); p == "443" && u.Scheme == "https" || p == "80" && u.Scheme == "http" {
		u.Host = strings.TrimSuffix(u.Host, ":"+p)
	}
	return u, nil
}

// Base returns scheme and host of raw, checked like ParseURL does and with
// neither path nor query.
func Base(raw string, allowHTTP bool) (string, error) {
	u, err := ParseURL(raw, allowHTTP)
	if err != nil {
		return "", err
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery {
		return "", errors.New("path or query in a base URL")
	}
	return u.Scheme + "://" + u.Host, nil
}

// PostForm builds a POST with the values form-encoded in its body.
func PostForm(u string, v url.Values) (*http.Request, error) {
	return post(u, "application/x-www-form-urlencoded", v.Encode())
}

// PostJSON builds a POST with the values as one JSON object of strings.
func PostJSON(u string, v url.Values) (*http.Request, error) {
	m := make(map[string]string, len(v))
	for k := range v {
		m[k] = v.Get(k)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return post(u, "application/json", string(b))
}

func post(u, contentType, body string) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, u, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// Invalid builds the error for a token from which no request can be built.
func Invalid(t bellwether.Token, op, detail, hint string) error {
	return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: op, ID: t.ID, Detail: detail, Hint: hint}
}

// CheckName checks a provider's name: lower-case letters, digits, '-', '_', '.'.
func CheckName(name string) error {
	if name == "" {
		return errors.New("no name")
	}
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return fmt.Errorf("name %q: only lower-case letters, digits, '-', '_' and '.' are allowed", name)
		}
	}
	return nil
}

// CheckQuotas checks quotas against the limits of bellwether.Profile.
func CheckQuotas(quotas []bellwether.Quota) error {
	if len(quotas) > 4 {
		return errors.New("more than 4 quotas")
	}
	for _, q := range quotas {
		if q.N < 1 || q.N > 100 || q.Per <= 0 {
			return fmt.Errorf("quota %d per %v: N must be 1 to 100 and Per positive", q.N, q.Per)
		}
	}
	return nil
}
