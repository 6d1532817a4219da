package wire_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/wire"
)

func TestReadJSONKeepsWhatStandsBeforeTheFault(t *testing.T) {
	for _, tc := range []struct {
		body string
		want []string // names of the members
		err  error
	}{
		{`{}`, nil, nil},
		{"\xef\xbb\xbf {\"a\":\"1\"}", []string{"a"}, nil},
		{`{"a":"1","b":{"c":[1,2]}} trailing`, []string{"a", "b"}, nil},
		{`{"a":"1","b":"2`, []string{"a"}, wire.ErrCut},
		{`{"a":"1","b":`, []string{"a"}, wire.ErrCut},
		{`{"a":"1"`, []string{"a"}, wire.ErrCut},
		{`{`, nil, wire.ErrCut},
		{`{"a":"1","b":nope}`, []string{"a"}, wire.ErrGarbage},
		{`{"a":"1" "b":"2"}`, []string{"a"}, wire.ErrGarbage},
		{`["a"]`, nil, wire.ErrGarbage},
		{`"a"`, nil, wire.ErrGarbage},
		{``, nil, wire.ErrGarbage},
		{"\n <html>{}", nil, wire.ErrHTML},
		{`{"a":` + strings.Repeat("[", 20000), nil, wire.ErrGarbage},
	} {
		f, err := wire.ReadJSON([]byte(tc.body))
		if !errors.Is(err, tc.err) || tc.err == nil && err != nil {
			t.Errorf("%.40q: error %v, want %v", tc.body, err, tc.err)
		}
		if len(f) != len(tc.want) {
			t.Errorf("%.40q: members %v, want %v", tc.body, f, tc.want)
		}
		for _, k := range tc.want {
			if _, ok := f[k]; !ok {
				t.Errorf("%.40q: member %q is lost", tc.body, k)
			}
		}
	}
}

func TestReadForm(t *testing.T) {
	h := http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}
	f, err := wire.Read(h, []byte("access_token=a%20b&scope=repo%2Cgist&token_type=bearer&flag"))
	if err != nil {
		t.Fatal(err)
	}
	want := wire.Fields{"access_token": "a b", "scope": "repo,gist", "token_type": "bearer", "flag": ""}
	if d := cmp.Diff(want, f); d != "" {
		t.Error(d)
	}
	f, err = wire.Read(h, []byte("refresh_token=keep&bad=%zz"))
	if !errors.Is(err, wire.ErrGarbage) || f.String("refresh_token") != "keep" {
		t.Errorf("a bad pair: %v, %v; want the token and an error", f, err)
	}
	for _, body := range []string{"Bad Gateway", "a=b", "\x00\xff"} {
		if f, err := wire.Read(h, []byte(body)); err == nil || len(f) != 0 {
			t.Errorf("%q: %v, %v; want nothing and an error", body, f, err)
		}
	}
}

func TestSeconds(t *testing.T) {
	for _, tc := range []struct {
		value string // JSON
		want  time.Duration
		bad   bool
	}{
		{`3600`, time.Hour, false},
		{`"3600"`, time.Hour, false},
		{`" 3600 "`, time.Hour, false},
		{`3600.5`, time.Hour + 500*time.Millisecond, false},
		{`"3600.5"`, time.Hour + 500*time.Millisecond, false},
		{`3.6e3`, time.Hour, false},
		{`0.0004`, 0, false},
		{`null`, 0, false},
		{`""`, 0, false},
		{`0`, 0, false},
		{`-1`, 0, false},
		{`-1e400`, 0, false},
		{`1e400`, wire.MaxLife, false},
		{`9223372036854775807`, wire.MaxLife, false},
		{`"Infinity"`, wire.MaxLife, false},
		{`"NaN"`, 0, true},
		{`"soon"`, 0, true},
		{`true`, 0, true},
		{`[3600]`, 0, true},
		{`{"n":3600}`, 0, true},
	} {
		f, err := wire.ReadJSON([]byte(`{"expires_in":` + tc.value + `}`))
		if err != nil {
			t.Fatal(tc.value, err)
		}
		got, err := f.Seconds("expires_in")
		if got != tc.want || (err != nil) != tc.bad {
			t.Errorf("%s: %v, %v; want %v, bad %v", tc.value, got, err, tc.want, tc.bad)
		}
	}
	if got, err := (wire.Fields{}).Seconds("expires_in"); got != 0 || err != nil {
		t.Errorf("absent: %v, %v", got, err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		value string
		want  time.Duration
	}{
		{"", 0},
		{"120", 2 * time.Minute},
		{" 1.5 ", 1500 * time.Millisecond},
		{"0", 0},
		{"-5", 0},
		{"999999999999999999999", wire.MaxRetryAfter},
		{"Mon, 23 Nov 2026 12:00:30 GMT", 30 * time.Second},
		{"Mon, 23 Nov 2026 11:00:00 GMT", 0},
		{"Mon, 23 Nov 2099 11:00:00 GMT", wire.MaxRetryAfter},
		{"later", 0},
	} {
		if got := wire.RetryAfter(http.Header{"Retry-After": {tc.value}}, now); got != tc.want {
			t.Errorf("%q: %v, want %v", tc.value, got, tc.want)
		}
	}
	if got := wire.RetryAfter(nil, now); got != 0 {
		t.Errorf("no header: %v", got)
	}
}

// TestJudgeOrder walks the order of the outcomes: refused by the table whatever
// the status, then 429, then the table below 500, then nothing is known.
func TestJudgeOrder(t *testing.T) {
	table := wire.RFC.With(wire.Table{
		"slow":    {Class: bellwether.ClassThrottled, Concern: bellwether.ConcernToken, RetryAfter: time.Minute},
		"unclear": {Class: bellwether.ClassUnknown, Concern: bellwether.ConcernToken},
	})
	const (
		tok    = bellwether.ConcernToken
		client = bellwether.ConcernClient
	)
	for _, tc := range []struct {
		status  int
		code    string
		fault   error
		class   bellwether.Class
		concern bellwether.Concern
		retry   time.Duration
	}{
		{400, "invalid_grant", nil, bellwether.ClassRefused, tok, 0},
		{200, "invalid_grant", nil, bellwether.ClassRefused, tok, 0},
		{500, "invalid_grant", nil, bellwether.ClassRefused, tok, 0},
		{429, "invalid_grant", nil, bellwether.ClassRefused, tok, 0},
		{401, "invalid_client", nil, bellwether.ClassConfig, client, 0},
		{503, "invalid_client", nil, bellwether.ClassUnknown, tok, 0},
		{429, "invalid_client", nil, bellwether.ClassThrottled, client, 0},
		{429, "", nil, bellwether.ClassThrottled, client, 0},
		{429, "", wire.ErrHTML, bellwether.ClassThrottled, client, 0},
		{429, "slow", nil, bellwether.ClassThrottled, tok, time.Minute},
		{200, "slow", nil, bellwether.ClassThrottled, tok, time.Minute},
		{500, "slow", nil, bellwether.ClassUnknown, tok, 0},
		{503, "temporarily_unavailable", nil, bellwether.ClassUnknown, tok, 0},
		{400, "temporarily_unavailable", nil, bellwether.ClassUnavailable, client, 0},
		{400, "server_error", nil, bellwether.ClassUnknown, tok, 0},
		{400, "Invalid_Grant", nil, bellwether.ClassUnknown, tok, 0},
		{400, "invalid_grant ", nil, bellwether.ClassUnknown, tok, 0},
		{200, "unclear", nil, bellwether.ClassUnknown, tok, 0},
		{200, "something else", nil, bellwether.ClassUnknown, tok, 0},
		{200, "", nil, bellwether.ClassUnusable, tok, 0},
		{204, "", wire.ErrGarbage, bellwether.ClassUnusable, tok, 0},
		{200, "", wire.ErrHTML, bellwether.ClassUnknown, tok, 0},
		{200, "", wire.ErrCut, bellwether.ClassUnknown, tok, 0},
		{401, "", nil, bellwether.ClassUnknown, tok, 0},
		{400, "", wire.ErrGarbage, bellwether.ClassUnknown, tok, 0},
		{302, "", nil, bellwether.ClassUnknown, tok, 0},
		{500, "", nil, bellwether.ClassUnknown, tok, 0},
	} {
		e := table.Judge("p", tc.code, bellwether.Answer{Status: tc.status}, tc.fault)
		got := []any{e.Class, e.Concern, e.RetryAfter, e.Status, e.Provider}
		want := []any{tc.class, tc.concern, tc.retry, tc.status, "p"}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d %q %v: %s", tc.status, tc.code, tc.fault, d)
		}
		if e.Class == bellwether.ClassUnknown && tc.code != "unclear" && e.Hint == "" {
			t.Errorf("%d %q %v: no hint", tc.status, tc.code, tc.fault)
		}
	}
}

func TestAnswersOwnPauseWins(t *testing.T) {
	table := wire.Table{"slow": {Class: bellwether.ClassThrottled, RetryAfter: time.Minute}}
	a := bellwether.Answer{Status: 400, Header: http.Header{"Retry-After": {"5"}}}
	if e := table.Judge("p", "slow", a, nil); e.RetryAfter != 5*time.Second {
		t.Errorf("pause %v, want the answer's 5s", e.RetryAfter)
	}
}

func TestCleanCode(t *testing.T) {
	secret := bellwether.NewSecret("s3cret-refresh-token-0123456789")
	for _, tc := range []struct{ code, want string }{
		{"invalid_grant", "invalid_grant"},
		{"Access Denied", "Access Denied"},
		{"a\x00b\nc\x7f\xffé", "abc"},
		{strings.Repeat("x", 100), strings.Repeat("x", 64)},
		{"bad s3cret-refresh-token-0123456789", ""},
		{"s3cret-refresh-token", ""},
		{"bad s3cret-refresh…", ""},
		{"bad …-0123456789", ""},
		{"bad s3cret%2Drefresh%2Dtoken", ""},
		{"s3c\x00ret-refre\x00sh-token", ""},
		{"s3cret", "s3cret"},
		{"", ""},
	} {
		if got := wire.CleanCode(tc.code, bellwether.Secret{}, secret); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.code, got, tc.want)
		}
	}
}

func TestParseURL(t *testing.T) {
	for _, tc := range []struct {
		raw  string
		http bool
		want string // "" is an error
	}{
		{"https://A.Example/Token?x=1", false, "https://a.example/Token?x=1"},
		{"HTTPS://a.example:443/t", false, "https://a.example/t"},
		{"https://a.example:8443/t", false, "https://a.example:8443/t"},
		{"http://127.0.0.1:80/t", true, "http://127.0.0.1/t"},
		{"http://127.0.0.1/t", false, ""},
		{"https://user:pw@a.example/", false, ""},
		{"https://a.example/#f", false, ""},
		{"https://a.example/#", false, ""},
		{"https:///t", false, ""},
		{"https://:443/t", false, ""},
		{"//a.example/t", false, ""},
		{"a.example", false, ""},
		{"ftp://a.example", true, ""},
		{"https://a.example/%zz", false, ""},
		{"", false, ""},
	} {
		u, err := wire.ParseURL(tc.raw, tc.http)
		switch {
		case tc.want == "" && err == nil:
			t.Errorf("%q was taken as %v", tc.raw, u)
		case tc.want != "" && (err != nil || u.String() != tc.want):
			t.Errorf("%q: %v, %v; want %q", tc.raw, u, err, tc.want)
		}
	}
	for _, raw := range []string{"https://a.example/x", "https://a.example?q", "https://a.example/?"} {
		if got, err := wire.Base(raw, false); err == nil {
			t.Errorf("base %q was taken as %q", raw, got)
		}
	}
}

func TestIssuedIgnoresAnEcho(t *testing.T) {
	row := bellwether.Token{RefreshToken: bellwether.NewSecret("old")}
	for _, tc := range []struct {
		f      wire.Fields
		code   string
		status int
		want   bool
	}{
		{wire.Fields{"refresh_token": "new"}, "", 200, true},
		{wire.Fields{"refresh_token": "old"}, "", 200, true},
		{wire.Fields{"refresh_token": "new"}, "oops", 200, true},
		{wire.Fields{"refresh_token": "old"}, "", 400, false},
		{wire.Fields{"refresh_token": "old"}, "invalid_grant", 400, false},
		{wire.Fields{"refresh_token": "new"}, "invalid_grant", 400, false},
		{wire.Fields{"refresh_token": "new"}, "", 500, true},
		{wire.Fields{"access_token": "a"}, "", 302, true},
		{wire.Fields{"access_token": 1, "refresh_token": ""}, "", 200, false},
	} {
		if got := wire.Issued(tc.f, tc.code, tc.status, row); got != tc.want {
			t.Errorf("%v %q %d: %v, want %v", tc.f, tc.code, tc.status, got, tc.want)
		}
	}
}
