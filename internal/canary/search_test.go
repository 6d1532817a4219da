package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// fragment is how much of a secret is a leak, in bytes.
const fragment = 12

// head is how many bytes the shortest needle has.
const head = 8

// A searcher finds fragments of secrets, also when they are encoded.
type searcher struct {
	needles map[string][]needle // by their first bytes
	pairs   [1 << 16]bool       // most places begin no needle: seen by two bytes
}

// A needle is a fragment of a secret in one form.
type needle struct{ text, secret, form string }

// A finding is a leak.
type finding struct {
	needle
	at int
}

// add makes the searcher look for a secret.
func (s *searcher) add(name, secret string) {
	if s.needles == nil {
		s.needles = make(map[string][]needle)
	}
	for i := 0; i+fragment <= len(secret); i++ {
		w := secret[i : i+fragment]
		put := func(form, text string) {
			if text != w || form == "as it is" { // most forms change nothing of most texts
				s.needles[text[:head]] = append(s.needles[text[:head]], needle{text, name, form})
				s.pairs[int(text[0])<<8|int(text[1])] = true
			}
		}
		put("as it is", w)
		put("in hexadecimal", hex.EncodeToString([]byte(w)))
		put("in HEXADECIMAL", strings.ToUpper(hex.EncodeToString([]byte(w))))
		put("as bytes", strings.Trim(fmt.Sprint([]byte(w)), "[]"))
		put("as Go bytes", strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(w)), "[]byte{"), "}"))
		// Wherever a text stands in what is encoded, some nine bytes of a fragment fill
		// twelve characters of base64.
		put("in base64", base64.StdEncoding.EncodeToString([]byte(w[:9])))
		put("in base64url", base64.URLEncoding.EncodeToString([]byte(w[:9])))
		if strings.ContainsFunc(w, func(r rune) bool { return r < ' ' || r > '~' }) {
			continue // escapes are for texts
		}
		quoted, err := json.Marshal(w)
		if err != nil {
			panic(err) // no text is that
		}
		put("in JSON", strings.Trim(string(quoted), `"`))
		put("quoted", strings.Trim(strconv.Quote(w), `"`))
		put("in a query", url.QueryEscape(w))
		put("in a path", url.PathEscape(w))
	}
}

// search returns the leaks in b, one of each secret.
func (s *searcher) search(b []byte) []finding {
	var found []finding
	seen := make(map[string]bool)
	for i := 0; i+head <= len(b); i++ {
		if !s.pairs[int(b[i])<<8|int(b[i+1])] {
			continue
		}
		for _, n := range s.needles[string(b[i:i+head])] {
			if !seen[n.secret] && bytes.HasPrefix(b[i:], []byte(n.text)) {
				seen[n.secret] = true
				found = append(found, finding{n, i})
			}
		}
	}
	return found
}

func TestSearch(t *testing.T) {
	const secret = `kRz8Wq+/="Vb3\Nx<5&Tm%9 Lc7Jd2`
	s := new(searcher)
	s.add("secret", secret)
	jsonText, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, text string }{
		{"as it is", secret},
		{"a fragment", "x" + secret[9:9+fragment] + "x"},
		{"its end", secret[len(secret)-fragment:]},
		{"base64", base64.StdEncoding.EncodeToString([]byte(secret))},
		{"base64, one byte on", base64.RawStdEncoding.EncodeToString([]byte("x" + secret))},
		{"base64url, two bytes on", base64.RawURLEncoding.EncodeToString([]byte("xx" + secret))},
		{"hexadecimal", hex.EncodeToString([]byte(secret))},
		{"upper case", fmt.Sprintf("%X", secret)},
		{"query", url.Values{"t": {secret}}.Encode()},
		{"path", "/t/" + url.PathEscape(secret)},
		{"JSON", string(jsonText)},
		{"JSON in a log", fmt.Sprintf("msg=%q", secret)},
		{"bytes", fmt.Sprint([]byte(secret))},
		{"Go bytes", fmt.Sprintf("%#v", []byte(secret))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if len(s.search([]byte("before "+tc.text+" after"))) == 0 {
				t.Errorf("not found in %q", tc.text)
			}
		})
	}
	for _, text := range []string{"", "nothing", secret[:fragment-1], strings.ToLower(secret), "[redacted]"} {
		if got := s.search([]byte(text)); len(got) > 0 {
			t.Errorf("%v found in %q", got, text)
		}
	}
}
