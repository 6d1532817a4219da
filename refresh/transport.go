package refresh

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redact"
)

// Client returns an HTTP client that sends row id's access token with each
// request, over base (http.DefaultTransport when nil).
//
// The token goes only to the host of the row's API domain and to Config.APIHosts,
// by https unless the provider allows http. A request to another host is
// bellwether.ErrInvalid; one that a redirect leads elsewhere is sent without the
// token. When the API's answer means that the token is dead (Provider.Rejects) the
// row is refreshed once and the request is sent a second time, if it has no body
// or a GetBody; in all other cases the API's own answer is returned. A caller's
// request is never changed. Errors of Get come wrapped in *url.Error, as usual for
// an http.Client.
func (r *Refresher) Client(id string, base http.RoundTripper) *http.Client {
	if base == nil {
		base = http.DefaultTransport
	}
	return &http.Client{Transport: &transport{r: r, id: id, base: base}}
}

type transport struct {
	r    *Refresher
	id   string
	base http.RoundTripper
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	v, err := t.r.get(req.Context(), t.id, wish{kind: bellwether.AttemptMandatory})
	if err == nil {
		err = t.r.checkAPI(req, v)
	}
	if err != nil {
		if req.Response != nil && v != nil {
			return t.base.RoundTrip(req) // a redirect to elsewhere
		}
		closeBody(req)
		return nil, err
	}
	resp, err := t.base.RoundTrip(authorized(req, v, req.Body))
	if err != nil {
		return nil, withoutToken(err, v)
	}
	if !t.r.rejects(resp, v) {
		return resp, nil
	}
	rep := Report{ID: t.id, Provider: v.snap.Provider, Generation: v.snap.Generation, Status: resp.StatusCode}
	t.r.note(EventRejected, rep)
	body, ok := again(req)
	if !ok {
		t.r.renew(t.id, v) // for the next request
		return resp, nil
	}
	next, err := t.r.get(req.Context(), t.id, wish{kind: bellwether.AttemptForced, rejected: v.snap.AccessToken})
	if err == nil {
		err = t.r.checkAPI(req, next)
	}
	if err != nil {
		t.r.cfg.Logger.Debug("bellwether: no other token for a rejected one", "id", t.id, "err", err)
		if body != nil {
			_ = body.Close()
		}
		return resp, nil
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxPeek) // so that the connection can be used again
	_ = resp.Body.Close()
	rep.Generation = next.snap.Generation
	t.r.note(EventReplayed, rep)
	if resp, err = t.base.RoundTrip(authorized(req, next, body)); err != nil {
		return nil, withoutToken(err, next)
	}
	return resp, nil
}

// withoutToken is err of a base transport, less what it quotes of an answer when that
// is the token: a broken server may send back what it was sent.
func withoutToken(err error, v *value) error {
	if redact.Reveals(err.Error(), v.snap.AccessToken) {
		return plainError(err)
	}
	return err
}

// authorized is a copy of req with the token in its header.
func authorized(req *http.Request, v *value, body io.ReadCloser) *http.Request {
	c := req.Clone(req.Context())
	c.Body = body
	c.Header.Set("Authorization", v.scheme()+" "+v.snap.AccessToken.Reveal())
	return c
}

func (v *value) scheme() string {
	if v.prov == nil {
		return "Bearer"
	}
	return v.prov.profile.HeaderScheme
}

// again returns a fresh body for a second run of req; false when there is none.
func again(req *http.Request) (io.ReadCloser, bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return req.Body, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	return body, err == nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// rejects asks the provider whether an API's answer condemns the token. It looks
// at the beginning of the body of a 4xx and puts it back.
func (r *Refresher) rejects(resp *http.Response, v *value) bool {
	if resp.StatusCode/100 != 4 || v.prov == nil {
		return false
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, maxPeek))
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = errReader{err}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), resp.Body}
	defer r.rescue("send", v.snap.ID, v.prov, new(error)) // a panic means no
	return v.prov.Rejects(resp.StatusCode, head)
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// renew starts a forced refresh of a rejected token that nobody waits for, unless it is
// known that none is made just now.
func (r *Refresher) renew(id string, v *value) {
	if e := r.l1.lookup(id); e != nil && r.denied(e, bellwether.AttemptForced) != nil {
		return
	}
	w := wish{kind: bellwether.AttemptForced, rejected: v.snap.AccessToken}
	_ = r.flights.DoChan(id, func() (any, error) { return r.fly(id, w), nil })
}

// checkAPI reports whether row v's token may be sent to where req goes.
func (r *Refresher) checkAPI(req *http.Request, v *value) error {
	invalid := func(what, hint string) error {
		return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "send", ID: v.snap.ID, Detail: what, Hint: hint}
	}
	insecure := v.prov != nil && v.prov.profile.AllowHTTP
	if req.URL.Scheme != "https" && (req.URL.Scheme != "http" || !insecure) {
		return invalid(fmt.Sprintf("a token does not go over %s", req.URL.Scheme), "use https")
	}
	host := normalHost(req.URL.Scheme, req.URL.Host)
	if host == apiHost(v.access.APIDomain, req.URL.Scheme) {
		return nil
	}
	if slices.ContainsFunc(r.cfg.APIHosts, func(h string) bool { return normalHost(req.URL.Scheme, h) == host }) {
		return nil
	}
	at := "which is not known"
	if v.access.APIDomain != "" {
		at = "which is " + v.access.APIDomain
	}
	return invalid(fmt.Sprintf("%s is not the row's API domain, %s", req.URL.Host, at), "add the host to Config.APIHosts if it may have this token")
}

// apiHost is the host of an API domain, written as a URL or as a bare host, when
// it goes with the scheme.
func apiHost(domain, scheme string) string {
	if domain == "" {
		return ""
	}
	if !strings.Contains(domain, "://") {
		return normalHost(scheme, domain)
	}
	u, err := url.Parse(domain)
	if err != nil || u.Scheme != scheme {
		return ""
	}
	return normalHost(scheme, u.Host)
}
