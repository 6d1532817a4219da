package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether"
)

// errTokenDead is what a caller meets who got a token of a grant that was revoked.
var errTokenDead = errors.New("the provider's API refuses the token")

// collect sorts the answers of the last herd and counts their times.
func (w *worker) collect(ctx context.Context, o order) (news, error) {
	n := news{Word: newsCollected, Failures: map[string]int{}, Commands: w.meter.snapshot()}
	good := map[string]bool{}
	api := newAPIClient()
	defer api.CloseIdleConnections()
	for _, a := range w.answer {
		text := a.token.Reveal()
		if _, known := good[text]; !known && a.err == nil {
			ok, err := w.accepts(ctx, api, a.token)
			if err != nil {
				return news{}, err
			}
			good[text] = ok
		}
		if a.err == nil && !good[text] {
			a.err = errTokenDead
		}
		extra := a.wait
		if a.err == nil {
			extra -= o.Service
		} else {
			n.Failures[failure(a.err)]++
		}
		if extra < 0 || text != "" && a.wait < o.Commit {
			n.Early++
			continue
		}
		if err := n.ExtraWait.Record(extra); err != nil {
			return news{}, fmt.Errorf("extra wait: %w", err)
		}
		if text != "" && o.Commit >= 0 {
			if err := n.Handover.Record(a.wait - o.Commit); err != nil {
				return news{}, fmt.Errorf("hand-over: %w", err)
			}
		}
	}
	return n, nil
}

// failure is what a caller was told, without what differs from one to the next: the
// row, a time, the ports of connections, the text of an HTTP body.
func failure(err error) string {
	if e, ok := errors.AsType[*bellwether.Error](err); ok {
		c := *e
		c.ID, c.Until, c.Hint = "", time.Time{}, ""
		err = &c
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return ports.ReplaceAllString(text, "$1")
}

// ports matches that of an address, v4 or v6.
var ports = regexp.MustCompile(`(\d\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d+`)

// accepts asks the provider's API whether it takes a token.
func (w *worker) accepts(ctx context.Context, api *http.Client, token bellwether.Secret) (bool, error) {
	p, err := w.setup.Provider.provider()
	if err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.setup.Provider.APIURL, nil)
	if err != nil {
		return false, err
	}
	scheme := p.Profile().HeaderScheme
	if scheme == "" {
		scheme = "Bearer"
	}
	req.Header.Set("Authorization", scheme+" "+token.Reveal())
	resp, err := api.Do(req)
	if err != nil {
		return false, err
	}
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection serves the next one
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusUnauthorized:
		return false, nil
	}
	return false, fmt.Errorf("bench: the provider's API answered %s", resp.Status)
}

// newAPIClient is one that asks for many tokens over one connection.
func newAPIClient() *http.Client {
	return &http.Client{Transport: &http.Transport{}, Timeout: callerPatience}
}
