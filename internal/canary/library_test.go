package canary

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/provider/oauth"
	"github.com/bellwether-go/bellwether/provider/zoho"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

// A panicky provider panics with what it is given.
type panicky struct {
	bellwether.Provider
	name string
}

func (p panicky) Name() string { return p.name }

func (p panicky) Request(t bellwether.Token) (*http.Request, error) {
	if p.name == "panic-request" {
		panic(t.RefreshToken.Reveal())
	}
	return p.Provider.Request(t)
}

func (p panicky) Parse(_ bellwether.Token, a bellwether.Answer) (bellwether.Token, error) {
	panic(fmt.Errorf("cannot parse %s", a.Body))
}

// parrots answer with the body or the header that they were sent.
var parrots = map[string]string{
	"parrot-header": "HTTP/1.1 200 OK\r\n%s\r\n\r\n",
	"parrot-status": "HTTP/1.1 %s\r\n\r\n",
	"parrot-length": "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
	"parrot-chunk":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n",
}

func (g *ground) providers() []bellwether.Provider {
	make := func(name, at string, style oauth.AuthStyle, format oauth.BodyFormat) bellwether.Provider {
		p, err := oauth.New(oauth.Config{Name: name, TokenURL: "http://" + at + "/token", RevokeURL: "http://" + at + "/revoke",
			AuthStyle: style, BodyFormat: format, AllowHTTP: true})
		g.check(err)
		return p
	}
	z, err := zoho.NewWith(zoho.Config{AllowHTTP: true, Endpoints: []zoho.Endpoints{{DataCenter: "test", Accounts: g.zoho.url, API: []string{g.zoho.url}}}})
	g.check(err)
	idp := make("idp", g.idp.tap.addr, oauth.AuthParams, oauth.BodyForm)
	all := []bellwether.Provider{
		idp, z, make("basic", g.idp.tap.addr, oauth.AuthBasic, oauth.BodyJSON), make("away", "127.0.0.1:1", "", ""),
		panicky{idp, "panic-request"}, panicky{idp, "panic-parse"},
	}
	for name, format := range parrots {
		all = append(all, make(name, parrot(g.t, format), "", ""))
	}
	return all
}

func (g *ground) refresher(store refresh.Backend, apiHosts ...string) *refresh.Refresher {
	g.t.Helper()
	bomb := g.secret("what an Observer panics with").Reveal()
	r, err := refresh.New(store, refresh.Config{
		Providers: g.providers(), Logger: g.log, APIHosts: apiHosts,
		Observer: func(rep refresh.Report) {
			if rep.Event == refresh.EventRevoked {
				panic(bomb)
			}
			show(g.on(reports), rep)
		},
	})
	g.check(err)
	g.t.Cleanup(func() { _ = r.Close() })
	return r
}

// ctx bounds a call.
func (g *ground) ctx() context.Context {
	ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Second)
	g.t.Cleanup(cancel)
	return ctx
}

// want records err and checks that the path has ended as it should.
func (g *ground) want(path string, err, want error) {
	g.t.Helper()
	g.saw(err)
	if !errors.Is(err, want) {
		g.t.Errorf("%s: got %v, want %v", path, err, want)
	}
}

func (g *ground) save(path string, s bellwether.Store, t bellwether.Token) bellwether.Token {
	g.t.Helper()
	saved, err := s.Save(g.ctx(), t)
	g.want(path+": save", err, nil)
	show(g.on(printed), saved)
	return saved
}

func (g *ground) get(path string, r *refresh.Refresher, id string, w refresh.Want, want error) bellwether.Secret {
	g.t.Helper()
	a, err := r.Get(g.ctx(), id, w)
	g.want(path+": get", err, want)
	g.learn("access token of "+path, a.Token)
	show(g.on(printed), a)
	return a.Token
}

// lifecycle is the good path, and the bad ones that a row survives.
func (g *ground) lifecycle(s *redisstore.Store, on site) {
	parroting := parrot(g.t, parrots["parrot-header"])
	r := g.refresher(s, "127.0.0.1:1", parroting)
	t := g.issue(on)
	saved := g.save("save", s, t)
	id := saved.ID
	for _, partial := range []bellwether.Token{{UserName: t.UserName}, {RefreshToken: t.RefreshToken}, {AccessToken: t.AccessToken}} {
		found, err := s.Find(g.ctx(), partial)
		g.want("find", err, nil)
		show(g.on(printed), found)
	}
	other := g.issue(g.idp)
	other.ID, other.RefreshToken = "other", t.RefreshToken
	_, err := s.Save(g.ctx(), other)
	g.want("save another's refresh token", err, bellwether.ErrConflict)
	saved.Generation += 7
	_, err = s.Save(g.ctx(), saved)
	g.want("save over another generation", err, bellwether.ErrConflict)

	token := g.get("first", r, id, refresh.Want{}, nil)
	g.get("beyond its life", r, id, refresh.Want{MinTTL: 9 * time.Hour}, bellwether.ErrMinTTL)
	token = g.get("rejected", r, id, refresh.Want{Rejected: token}, nil)
	g.get("rejected again", r, id, refresh.Want{Rejected: token}, bellwether.ErrRejected)
	_, err = r.Refresh(g.ctx(), id)
	g.want("refresh too soon", err, bellwether.ErrThrottled)
	_, err = r.Source(id).Token()
	g.want("source", err, nil)
	g.api(s, r, on, parroting)
	g.dump()
	g.want("revoke", r.Revoke(g.ctx(), id), nil)
	g.get("revoked", r, id, refresh.Want{}, bellwether.ErrNotFound)
	g.want("delete again", s.Delete(g.ctx(), id), bellwether.ErrNotFound)
	g.want("close", r.Close(), nil)
	g.get("closed", r, id, refresh.Want{}, bellwether.ErrClosed)
	g.showAtRest(r)
}

// api sends a token to APIs, good and bad.
func (g *ground) api(s *redisstore.Store, r *refresh.Refresher, on site, parroting string) {
	client := r.Client(g.save("api", s, g.issue(on)).ID, nil)
	show(g.on(printed), client)
	for _, tc := range []struct {
		url    string
		status int // 0: an error
	}{
		{on.url + "/api/me", 200}, {on.url + "/api/me", 200}, // the second finds its token dead
		{on.url + "/api/me", 401}, // too soon for a third
		{"http://127.0.0.1:1/me", 0}, {"http://" + parroting + "/me", 0}, {"http://elsewhere.test/me", 0},
	} {
		resp, err := client.Get(tc.url)
		g.saw(err)
		status := 0
		if err == nil {
			resp.Body.Close()
			status = resp.StatusCode
		}
		if status != tc.status {
			g.t.Errorf("%s: status %d, %v; want %d", tc.url, status, err, tc.status)
		}
		on.ExpireAccess("")
	}
}

// A misbehaviour is what a provider does to the bearer of a token.
type misbehaviour func(t bellwether.Token) oauthtest.Fault

func always(f oauthtest.Fault) misbehaviour {
	return func(bellwether.Token) oauthtest.Fault { return f }
}

// echo answers with a text made of the refresh token, wherever an answer has room.
func echo(status int, format string, change func(string) string) misbehaviour {
	return func(t bellwether.Token) oauthtest.Fault {
		text := fmt.Sprintf(format, change(t.RefreshToken.Reveal()))
		h := http.Header{"Www-Authenticate": {text}, "Retry-After": {text}, "Location": {"https://elsewhere.test/?t=" + url.QueryEscape(text)}}
		return oauthtest.Fault{Answer: &oauthtest.Answer{Status: status, Header: h, Body: text}}
	}
}

// edit commits and answers with other members.
func edit(f func(t bellwether.Token, m map[string]any)) misbehaviour {
	return func(t bellwether.Token) oauthtest.Fault {
		return oauthtest.EditAnswer(func(m map[string]any) { f(t, m) })
	}
}

func (g *ground) misbehaviours() []misbehaviour {
	whole := func(s string) string { return s }
	start := func(s string) string { return s[:len(s)/2] }
	end := func(s string) string { return s[len(s)-14:] }
	encoded := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return []misbehaviour{
		always(oauthtest.Throttle(30 * time.Second)), always(oauthtest.ServerError(503)), always(oauthtest.HTML(502)),
		always(oauthtest.Garbage()), always(oauthtest.Redirect("https://elsewhere.test/")), always(oauthtest.CutAfterCommit()),
		always(oauthtest.DropAfterCommit()), always(oauthtest.DropBeforeCommit()),
		always(oauthtest.ErrorBody(400, "invalid_grant")), always(oauthtest.ErrorBody(200, "invalid_code")),
		echo(200, "<html>%s", whole), echo(307, "%s", whole), echo(500, "%s", whole), echo(400, `{"error":"%s"}`, whole),
		echo(400, `{"error":"x","error_description":"%s"}`, whole), echo(400, `{"error":"bad token %s, sorry"}`, whole),
		echo(400, `{"error":"bad token %s…"}`, start), echo(429, `{"error":"bad token …%s"}`, end), echo(200, `{"error":"%s"}`, encoded),
		edit(func(_ bellwether.Token, m map[string]any) {
			m["error"], m["access_token"] = m["access_token"], map[string]any{"value": m["access_token"]}
		}),
		edit(func(_ bellwether.Token, m map[string]any) { m["access_token"] = g.secret("odd").Reveal() + "\n" }),
		edit(func(_ bellwether.Token, m map[string]any) { m["error"] = "for " + m["access_token"].(string) }),
		edit(func(t bellwether.Token, m map[string]any) {
			m["access_token"], m["refresh_token"] = g.secret("access token").Reveal(), g.secret("refresh token").Reveal()
			m["id_token"], m["session"] = g.secret("id token").Reveal(), map[string]any{"key": g.secret("nested").Reveal()}
			m["api_domain"] = "https://elsewhere.test/?" + url.QueryEscape(t.RefreshToken.Reveal())
			m["expires_in"] = g.secret("life").Reveal()
		}),
	}
}

// faulty sends rows through all that a provider can do.
func (g *ground) faulty(s *redisstore.Store) {
	r := g.refresher(s)
	for i, fault := range g.misbehaviours() {
		for provider, on := range map[string]site{"idp": g.idp, "basic": g.idp, "zoho": g.zoho} {
			t := g.issue(on)
			t.Provider = provider
			id := g.save(fmt.Sprint("fault ", i), s, t).ID
			on.Inject(fault(t))
			calls := on.Calls()
			for range 2 { // what the row remembers is told the second time
				a, err := r.Get(g.ctx(), id, refresh.Want{})
				g.saw(err)
				show(g.on(printed), a)
			}
			if on.Calls() == calls {
				g.t.Errorf("fault %d of %s was not met", i, provider)
			}
			found, err := s.FindByID(g.ctx(), id)
			g.want("find after a fault", err, nil)
			show(g.on(printed), found)
		}
	}
	for _, p := range g.providers()[3:] { // away, panics, parrots
		t := g.issue(g.idp)
		t.Provider, t.AccountsURL = p.Name(), ""
		id := g.save(p.Name(), s, t).ID
		a, err := r.Get(g.ctx(), id, refresh.Want{})
		g.saw(err)
		if err == nil {
			g.t.Errorf("%s: got %v", p.Name(), a)
		}
		if p.Name() == "away" {
			g.want("revoke at a provider that is away", r.Revoke(g.ctx(), id), bellwether.ErrProvider)
		}
	}
	t := g.issue(g.idp)
	t.IssuedAt, t.ExpiresAt = time.Now().Add(-time.Hour), time.Now().Add(30*time.Second)
	id := g.save("nearly ended", s, t).ID
	g.idp.Inject(oauthtest.ServerError(500))
	g.get("nearly ended", r, id, refresh.Want{}, nil)
	t = g.issue(g.idp)
	t.Provider, t.AccountsURL = "nobody", ""
	g.get("unknown provider", r, g.save("unknown provider", s, t).ID, refresh.Want{}, bellwether.ErrUnknownProvider)
}

// signIns spends grant codes and client credentials.
func (g *ground) signIns(s *redisstore.Store) {
	r := g.refresher(s)
	for _, fail := range []bool{false, true} {
		verifier := g.secret("code verifier")
		sum := sha256.Sum256([]byte(verifier.Reveal()))
		t := g.idp.Code(fmt.Sprint("coder ", fail), "https://app.test/back", base64.RawURLEncoding.EncodeToString(sum[:])).Token
		t.ID, t.AccountsURL, t.Extra = fmt.Sprint("code ", fail), g.idp.url, map[string]bellwether.Secret{oauth.ExtraCodeVerifier: verifier}
		g.learn("grant token", t.GrantToken)
		g.learn("client secret", t.ClientSecret)
		g.save("code", s, t)
		if !fail {
			g.get("code", r, t.ID, refresh.Want{}, nil)
			continue
		}
		g.idp.Inject(oauthtest.DropAfterCommit())
		g.get("code whose answer is lost", r, t.ID, refresh.Want{}, bellwether.ErrReauthRequired)
	}
	t := g.idp.ClientToken("read")
	t.ID, t.AccountsURL = "client credentials", g.idp.url
	g.save(t.ID, s, t)
	g.get(t.ID, r, t.ID, refresh.Want{}, nil)
	t.ClientSecret = g.secret("wrong client secret")
	g.save(t.ID, s, t)
	_, err := r.Refresh(g.ctx(), t.ID)
	g.want("wrong client secret", err, bellwether.ErrProvider)
}

// stored breaks what lies in Redis, and Redis itself.
func (g *ground) stored(s *redisstore.Store) {
	for field, damage := range map[string]func(string) string{
		"cr": func(v string) string { return v[:len(v)/2] }, "at": func(string) string { return "damaged" },
		"sec": func(v string) string { return v[1:] }, "gen": func(string) string { return "x" },
	} {
		id := g.save("damaged", s, g.issue(g.idp)).ID
		key := g.admin.Keys(g.t.Context(), "bw1:canary:*:t:"+id).Val()[0]
		g.check(g.admin.HSet(g.t.Context(), key, field, damage(g.admin.HGet(g.t.Context(), key, field).Val())).Err())
		_, err := s.FindByID(g.ctx(), id)
		g.saw(err)
		if err == nil {
			g.t.Errorf("a damaged %s was read", field)
		}
		_, err = g.refresher(s).Get(g.ctx(), id, refresh.Want{})
		g.saw(err)
		for t, err := range s.List(g.ctx()) {
			g.saw(err)
			show(g.on(printed), t)
		}
		g.want("delete a damaged row", s.Delete(g.ctx(), id), nil)
	}
	// Sealed by a key that this store does not have.
	newer, err := seal.Update(g.keyset, func(k *seal.Keys) error {
		id, err := k.Add()
		return errors.Join(err, k.Promote(id))
	})
	g.check(err)
	g.openKeys()
	id := g.save("newer key", g.store(newer), g.issue(g.idp)).ID
	g.get("unknown sealing key", g.refresher(s), id, refresh.Want{}, bellwether.ErrUnreadable)
	foreign, err := seal.New()
	g.check(err)
	echoing, err := server.NewServer("127.0.0.1:0") // knows no command, and quotes each
	g.check(err)
	g.t.Cleanup(echoing.Close)
	password := url.QueryEscape(g.password)
	for path, tc := range map[string]struct {
		url    string
		sealer bellwether.Sealer
		want   error
	}{
		"wrong keyset":        {g.redisURL(g.password), foreign, bellwether.ErrMisconfigured},
		"wrong password":      {g.redisURL(g.wrong), g.keys, bellwether.ErrMisconfigured},
		"Redis away":          {"redis://:" + password + "@127.0.0.1:1", g.keys, bellwether.ErrUnavailable},
		"no Redis":            {"redis://:" + password + "@" + echoing.Addr().String(), g.keys, nil},
		"no port":             {"redis://:" + password + "@localhost:port", g.keys, bellwether.ErrInvalid},
		"no scheme":           {"default:" + g.password + "@localhost", g.keys, bellwether.ErrInvalid},
		"bad database":        {"redis://:" + password + "@localhost:6379/x", g.keys, bellwether.ErrInvalid},
		"bad parameter":       {"redis://:" + password + "@localhost:6379?db=" + password, g.keys, bellwether.ErrInvalid},
		"Sentinel away":       {"redis://:" + password + "@127.0.0.1:1?master_name=m", g.keys, bellwether.ErrUnavailable},
		"Cluster away":        {"redis://:" + password + "@127.0.0.1:1?addr=127.0.0.1:2", g.keys, bellwether.ErrUnavailable},
		"escape that is none": {"redis://:%zz" + password + "@localhost", g.keys, bellwether.ErrInvalid},
	} {
		_, err := redisstore.Open(g.ctx(), tc.url, g.storeConfig(tc.sealer))
		g.saw(err)
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			g.t.Errorf("%s: got %v, want %v", path, err, tc.want)
		}
	}
	for path, edit := range map[string]func(*bellwether.Token){
		"password in a URL": func(t *bellwether.Token) { t.AccountsURL = "https://me:" + t.ClientSecret.Reveal() + "@idp.test" },
		"no URL":            func(t *bellwether.Token) { t.APIDomain = "https://%zz" + t.ClientSecret.Reveal() },
		"too long": func(t *bellwether.Token) {
			t.RefreshToken = bellwether.NewSecret(strings.Repeat(t.RefreshToken.Reveal(), 4000))
		},
		"no UTF-8": func(t *bellwether.Token) { t.GrantToken = bellwether.NewSecret(t.RefreshToken.Reveal() + "\xff") },
	} {
		t := g.issue(g.idp)
		edit(&t)
		_, err := s.Save(g.ctx(), t)
		g.want(path, err, bellwether.ErrInvalid)
	}
}

// away takes Redis away while a provider's answer is under way.
func (g *ground) away(s *redisstore.Store) {
	r := g.refresher(s)
	t := g.save("Redis away", s, g.issue(g.idp))
	hold := g.idp.HoldNext(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.get("from memory", r, t.ID, refresh.Want{}, nil)
	}()
	<-hold.Arrived()
	g.gate.Refuse()
	hold.Release()
	<-done
	_, err := s.FindByID(g.ctx(), t.ID)
	g.want("find while Redis is away", err, bellwether.ErrUnavailable)
	g.get("another row while Redis is away", r, "another", refresh.Want{}, bellwether.ErrUnavailable)
	g.check(g.gate.Resume())
	g.want("close", r.Close(), nil) // stores the answer first
	if _, err := s.FindByID(g.ctx(), t.ID); err != nil {
		g.t.Errorf("the answer is not stored: %v", err)
	}
}
