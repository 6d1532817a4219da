package oauthtest_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// A caller drives a server the way package refresh does: Provider.Request, one
// HTTP call that follows nothing, Provider.Parse.
type caller struct {
	t      *testing.T
	srv    *oauthtest.Server
	p      bellwether.Provider
	client *http.Client
}

// pipeCaller reaches srv over net.Pipe.
func pipeCaller(t *testing.T, srv *oauthtest.Server) *caller {
	return newCaller(t, srv, &http.Transport{DialContext: srv.DialContext})
}

func newCaller(t *testing.T, srv *oauthtest.Server, tr *http.Transport) *caller {
	t.Cleanup(tr.CloseIdleConnections)
	return &caller{t: t, srv: srv, p: srv.Provider(), client: &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// errNoAnswer wraps a transport's error.
var errNoAnswer = errors.New("no answer")

func (c *caller) refresh(tok bellwether.Token) (bellwether.Token, error) {
	req, err := c.p.Request(tok)
	if err != nil {
		return bellwether.Token{}, err
	}
	a, err := c.do(req.WithContext(c.t.Context()))
	if err != nil {
		return bellwether.Token{}, err
	}
	return c.p.Parse(tok, a)
}

func (c *caller) do(req *http.Request) (bellwether.Answer, error) {
	now := time.Now()
	resp, err := c.client.Do(req)
	if err != nil {
		return bellwether.Answer{}, errors.Join(errNoAnswer, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a := bellwether.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body, Time: now}
	if err != nil && len(body) == 0 {
		return a, errors.Join(errNoAnswer, err)
	}
	return a, nil // a cut body is Parse's business
}

// merged lays an answer over a token, for the fields that these tests look at.
func merged(t, answer bellwether.Token) bellwether.Token {
	t.AccessToken, t.GrantToken = answer.AccessToken, bellwether.Secret{}
	if !answer.RefreshToken.IsZero() {
		t.RefreshToken = answer.RefreshToken
	}
	return t
}

// api calls the protected API and returns the status and the body.
func (c *caller) api(url string, scheme string, token bellwether.Secret) (int, []byte) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), "GET", url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if scheme != "" {
		req.Header.Set("Authorization", scheme+" "+token.Reveal())
	}
	a, err := c.do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	return a.Status, a.Body
}

func class(t *testing.T, err error) bellwether.Class {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*bellwether.ProviderError](err)
	if !ok {
		t.Fatalf("error %v is no *ProviderError", err)
	}
	return e.Class
}

func decode[T any](t *testing.T, body []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return v
}
