package canary

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/memstore"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/provider/oauth"
	"github.com/bellwether-go/bellwether/provider/zoho"
	"github.com/bellwether-go/bellwether/refresh"
)

func TestCanary(t *testing.T) {
	build := buildCommand(t.TempDir())
	go build() // meanwhile
	t.Cleanup(func() { _, _ = build() })
	for _, on := range []struct {
		name  string
		start func(*testing.T, *ground) string
	}{{"miniredis", startMiniredis}, {"redis", startServer}} {
		t.Run(on.name, func(t *testing.T) {
			if on.name == "redis" {
				redistest.Need(t)
			}
			g := newGround(t, on.start)
			g.build = build
			s := g.store(g.keys)
			g.lifecycle(s, g.idp)
			g.lifecycle(s, g.zoho)
			g.faulty(s)
			g.signIns(s)
			g.stored(s)
			g.away(s)
			g.dump()
			g.commands()
			g.want("delete all", s.DeleteAll(g.ctx()), nil)
			planted := g.plant()
			g.values()
			g.check(s.Close())
			g.showAtRest(s)
			g.collect()
			g.wentEverywhere()
			total := 0
			for _, surface := range slices.Sorted(maps.Keys(planted)) {
				t.Run(surface, func(t *testing.T) {
					b := g.bytes(surface)
					total += len(b)
					t.Logf("%d bytes searched", len(b))
					for _, f := range g.secrets.search(b) {
						t.Errorf("%s, %s: %q", f.secret, f.form, b[max(0, f.at-150):min(len(b), f.at+60)])
					}
					control := new(searcher)
					control.add("the planted leak", planted[surface])
					if len(control.search(b)) == 0 {
						t.Error("the leak that was planted here is not found")
					}
				})
			}
			for surface := range g.seen {
				if planted[surface] == "" {
					t.Errorf("no leak is planted in %s", surface)
				}
			}
			t.Logf("%d secrets, %d bytes searched", g.known, total)
		})
	}
}

// plant leaks one secret on each surface, by the surface's own means.
func (g *ground) plant() map[string]string {
	ctx, planted := g.t.Context(), make(map[string]string)
	leak := func(surface string) string {
		planted[surface] = newSecret()
		return planted[surface]
	}
	client := redis.NewClient(&redis.Options{Addr: g.redisAt.addr, Password: g.password})
	defer client.Close()
	g.check(client.Echo(ctx, leak(wireBytes)).Err())
	g.check(g.admin.Set(ctx, "planted:"+leak(keyNames), "x", 0).Err())
	g.check(g.admin.HSet(ctx, "planted", "field", "x"+leak(keyValues)).Err())
	g.check(g.admin.Publish(ctx, "planted", leak(messages)).Err())
	g.hear(planted[messages])
	g.dump()
	if g.appendOnlyFiles() != nil {
		g.check(g.admin.Set(ctx, "planted:file", leak(appendOnly), 0).Err())
	}
	g.log.Debug("planted", "token", leak(logLines))
	g.saw(&bellwether.Error{Kind: bellwether.ErrProvider, Err: errors.New(leak(errorTexts))})
	show(g.on(printed), struct{ Token string }{leak(printed)})
	show(g.on(reports), refresh.Report{Err: errors.New(leak(reports))})
	resp, err := http.Get(g.idp.url + "/token?refresh_token=" + url.QueryEscape(leak(requests)))
	g.check(err)
	resp.Body.Close()
	resp, err = http.PostForm(g.idp.url+"/token", url.Values{"client_id": {leak(providerLog)}})
	g.check(err)
	resp.Body.Close()
	add := []string{"add", "--provider", "idp", "--client-id", "c", "--client-secret-file", "-"}
	g.run(run{args: append(add, "--id", leak(stdout)), stdin: "0123456789\n"})
	g.run(run{args: append(add, "--user", leak(arguments)), env: []string{"PLANTED=" + leak(environment)}, stdin: "0123456789\n"})
	g.run(run{args: []string{leak(stderr)}, code: 2})
	g.check(os.WriteFile(filepath.Join(g.work, "planted"), []byte(leak(files)), 0o600))
	return planted
}

// values prints what the public packages can hand out or be given.
func (g *ground) values() {
	t := g.issue(g.idp)
	t.GrantToken = g.secret("grant token")
	memory := memstore.New()
	g.save("memstore", memory, t)
	srv := oauthtest.New(oauthtest.Config{ClientSecret: g.secret("client secret")})
	grant := srv.Issue("bob")
	g.learn("refresh token", grant.Token.RefreshToken)
	g.learn("access token", grant.Token.AccessToken)
	srv.Close()
	sealed, err := g.keys.Seal([]byte(t.RefreshToken.Reveal()), nil)
	g.check(err)
	type inner struct{ secret bellwether.Secret }
	secret, extra := t.ClientSecret, t.Extra
	body := []byte(`{"access_token":"` + t.AccessToken.Reveal() + `"}`)
	for _, v := range []any{
		secret, &secret, []bellwether.Secret{secret}, extra, struct{ inner }{inner{secret}}, &inner{secret}, bellwether.Secret{},
		t, &t, []bellwether.Token{t}, map[string]bellwether.Token{"t": t}, grant, srv, *new(oauthtest.Call), srv.Stats(),
		bellwether.Snapshot{AccessToken: t.AccessToken, Extra: extra}, bellwether.BeginAnswer{Token: t, Extra: extra},
		bellwether.Commit{Token: t, Extra: extra}, &bellwether.Commit{Token: t},
		bellwether.Answer{Header: http.Header{"X": {secret.Reveal()}}, Body: body}, &bellwether.Answer{Body: body},
		refresh.Access{Token: t.AccessToken, Extra: extra}, refresh.Want{Rejected: t.AccessToken},
		refresh.Config{Providers: g.providers()}, g.storeConfig(g.keys), g.keys, g.keys.List(), memory, sealed,
		oauth.Config{Name: "x"}, zoho.Config{}, oauthtest.Config{ClientSecret: secret}, g.providers(),
	} {
		show(g.on(printed), v)
	}
}

// collect records what is only known at the end.
func (g *ground) collect() {
	for _, on := range []site{g.idp, g.zoho} {
		asked, answered := on.tap.bytes()
		for _, b := range asked {
			heads(g.on(requests), b)
		}
		for _, b := range answered {
			for text := range tokens(b) {
				g.learn("issued token", bellwether.NewSecret(text))
			}
		}
		show(g.on(providerLog), on.Log())
		show(g.on(providerLog), on.Stats())
	}
	asked, answered := g.redisAt.bytes()
	for _, b := range append(asked, answered...) {
		_, _ = g.on(wireBytes).Write(withoutAuth(b, g.password, g.wrong))
	}
	for _, name := range g.appendOnlyFiles() {
		b, err := os.ReadFile(name)
		g.check(err)
		_, _ = g.on(appendOnly).Write(b)
	}
	g.collectFiles()
}

// appendOnlyFiles are the files of a Redis that is a process.
func (g *ground) appendOnlyFiles() []string {
	conf, err := g.admin.ConfigGet(g.t.Context(), "dir").Result()
	if err != nil {
		return nil // miniredis
	}
	names, err := filepath.Glob(filepath.Join(conf["dir"], "appendonlydir", "*"))
	g.check(err)
	return names
}

// wentEverywhere makes sure that the paths have led to all that a Refresher tells.
func (g *ground) wentEverywhere() {
	log := string(g.bytes(logLines))
	for _, what := range []string{
		"calling", "committing", "refreshed", "refused", "throttled", "unspent", "unknown", "denied", "reauth_required",
		"commit_retried", "served_current", "rejected", "replayed", "revoked", "panicked", "panic in the Observer", "resynced",
		"subscription lost",
	} {
		if !strings.Contains(log, "bellwether: "+what+`"`) {
			g.t.Errorf("no path leads to %q", what)
		}
	}
}
