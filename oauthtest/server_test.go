package oauthtest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

func TestQuotaSlides(t *testing.T) {
	cfg := oauthtest.Config{Quotas: []bellwether.Quota{{N: 2, Per: time.Minute}, {N: 3, Per: time.Hour}}}
	bubble(t, cfg, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		start := time.Now()
		tok := srv.Issue("bob").Token
		for _, step := range []struct {
			at    time.Duration // since start
			pause time.Duration // 0: allowed
		}{
			{0, 0}, {10 * time.Second, 0},
			{20 * time.Second, 40 * time.Second}, // the first leaves the minute at 60 s
			{59500 * time.Millisecond, time.Second},
			{60 * time.Second, 0},
			{70 * time.Second, 3530 * time.Second}, // three in the hour
			{3600 * time.Second, 0},
		} {
			time.Sleep(time.Until(start.Add(step.at)))
			got, err := c.refresh(tok)
			if step.pause == 0 {
				if err != nil {
					t.Fatalf("at %v: %v", step.at, err)
				}
				tok = merged(tok, got)
				continue
			}
			e, ok := err.(*bellwether.ProviderError)
			if !ok || e.Class != bellwether.ClassThrottled || e.RetryAfter != step.pause {
				t.Fatalf("at %v: %v, want throttled for %v", step.at, err, step.pause)
			}
		}
		if n := srv.Stats().Throttled; n != 3 {
			t.Errorf("%d throttled, want 3", n)
		}
		if _, err := c.refresh(srv.Issue("ann").Token); err != nil {
			t.Errorf("another grant: %v", err)
		}
	})
}

func TestProtectedAPI(t *testing.T) {
	for _, tc := range []struct {
		dialect oauthtest.Dialect
		scheme  string
	}{{oauthtest.RFC6749, "Bearer"}, {oauthtest.Zoho, "Zoho-oauthtoken"}} {
		t.Run(string(tc.dialect), func(t *testing.T) {
			bubble(t, oauthtest.Config{Dialect: tc.dialect}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
				g := srv.Issue("bob")
				other := srv.Issue("ann")
				status, body := c.api(srv.APIURL(), tc.scheme, g.Token.AccessToken)
				who := decode[struct{ User, Grant string }](t, body)
				if status != 200 || who.User != "bob" || who.Grant != g.ID {
					t.Fatalf("%d %s", status, body)
				}
				if status, _ := c.api(srv.APIURL(), "", bellwether.Secret{}); status != 401 {
					t.Errorf("without a token: %d, want 401", status)
				}
				if status, _ := c.api(srv.APIURL(), "Basic", g.Token.AccessToken); status != 401 {
					t.Errorf("another scheme: %d, want 401", status)
				}
				status, body = c.api(srv.URL()+"/api/scope", tc.scheme, g.Token.AccessToken)
				if c.p.Rejects(status, body) {
					t.Errorf("short of a scope: %d %s counts as a dead token", status, body)
				}
				srv.ExpireAccess(g.ID)
				status, body = c.api(srv.APIURL(), tc.scheme, g.Token.AccessToken)
				if status != 401 || !c.p.Rejects(status, body) {
					t.Errorf("expired: %d %s, want a 401 that counts as a dead token", status, body)
				}
				if !srv.Accepts(other.Token.AccessToken) {
					t.Error("another grant's token was expired too")
				}
				if st := srv.Stats(); st.APICalls != 5 || st.APIRejected < 3 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

func TestAccessTokenEnds(t *testing.T) {
	bubble(t, oauthtest.Config{AccessLife: time.Minute}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		g := srv.Issue("bob")
		if want := time.Now().Add(time.Minute); !g.Token.ExpiresAt.Equal(want) {
			t.Errorf("ExpiresAt %v, want %v", g.Token.ExpiresAt, want)
		}
		time.Sleep(time.Minute - time.Millisecond)
		if !srv.Accepts(g.Token.AccessToken) {
			t.Error("dead before its end")
		}
		time.Sleep(time.Millisecond)
		if srv.Accepts(g.Token.AccessToken) {
			t.Error("alive after its end")
		}
		srv.SetAccessLife(-1)
		got, err := c.refresh(g.Token)
		if err != nil || !got.ExpiresAt.IsZero() {
			t.Errorf("a life that is not told: %v, %v", got.ExpiresAt, err)
		}
	})
}

func TestMaxAccessEvictsTheOldest(t *testing.T) {
	cfg := oauthtest.Config{MaxAccess: 2, Rotation: bellwether.RotationReusable}
	bubble(t, cfg, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		g := srv.Issue("bob")
		a, err1 := c.refresh(g.Token)
		b, err2 := c.refresh(g.Token)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if srv.Accepts(g.Token.AccessToken) || !srv.Accepts(a.AccessToken) || !srv.Accepts(b.AccessToken) {
			t.Error("want the oldest dead and the newer two alive")
		}
	})
}

func TestAuthorizationCode(t *testing.T) {
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	bubble(t, oauthtest.Config{}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		g := srv.Code("bob", "https://app.example/cb", challenge, "read", "write")
		if _, err := c.refresh(g.Token); class(t, err) != bellwether.ClassRefused {
			t.Errorf("without the verifier: %v, want refused", err)
		}
		tok := g.Token
		tok.Extra = map[string]bellwether.Secret{"code_verifier": bellwether.NewSecret(verifier)}
		elsewhere := tok
		elsewhere.RedirectURL = "https://evil.example/cb"
		if _, err := c.refresh(elsewhere); class(t, err) != bellwether.ClassRefused {
			t.Errorf("another redirect URL: %v, want refused", err)
		}
		got, err := c.refresh(tok)
		if err != nil {
			t.Fatal(err)
		}
		if got.RefreshToken.IsZero() || strings.Join(got.Scopes, " ") != "read write" {
			t.Errorf("refresh token %v, scopes %q", got.RefreshToken, got.Scopes)
		}
		if _, err := c.refresh(merged(tok, got)); err != nil {
			t.Errorf("its refresh token: %v", err)
		}
		if _, err := c.refresh(tok); class(t, err) != bellwether.ClassRefused {
			t.Errorf("the code again: %v, want refused", err)
		}
		if srv.GrantAlive(g.ID) || srv.Replays() != 1 {
			t.Errorf("alive %v, %d replays, want false and 1", srv.GrantAlive(g.ID), srv.Replays())
		}
		late := srv.Code("bob", "", "")
		time.Sleep(3 * time.Minute)
		if _, err := c.refresh(late.Token); class(t, err) != bellwether.ClassRefused {
			t.Errorf("an ended code: %v, want refused", err)
		}
	})
}

func TestClientCredentials(t *testing.T) {
	for _, dialect := range []oauthtest.Dialect{oauthtest.RFC6749, oauthtest.Zoho} {
		bubble(t, oauthtest.Config{Dialect: dialect}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
			for range 2 {
				got, err := c.refresh(srv.ClientToken("a", "b"))
				if err != nil {
					t.Fatal(err)
				}
				if !srv.Accepts(got.AccessToken) || !got.RefreshToken.IsZero() {
					t.Error("want an access token alone")
				}
			}
			if n := len(srv.Stats().Grants); n != 1 {
				t.Errorf("%d grants for one client, want 1", n)
			}
		})
	}
}

func TestRevocation(t *testing.T) {
	for _, dialect := range []oauthtest.Dialect{oauthtest.RFC6749, oauthtest.Zoho} {
		t.Run(string(dialect), func(t *testing.T) {
			bubble(t, oauthtest.Config{Dialect: dialect}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
				g := srv.Issue("bob")
				revoke := func(tok bellwether.Token) error {
					rv := c.p.(bellwether.Revoker)
					req, err := rv.RevokeRequest(tok)
					if err != nil {
						t.Fatal(err)
					}
					a, err := c.do(req.WithContext(t.Context()))
					if err != nil {
						t.Fatal(err)
					}
					return rv.ParseRevoke(tok, a)
				}
				access := g.Token
				access.RefreshToken = bellwether.Secret{}
				if err := revoke(access); err != nil {
					t.Fatal(err)
				}
				if srv.Accepts(g.Token.AccessToken) || !srv.GrantAlive(g.ID) {
					t.Error("want the access token dead and the grant alive")
				}
				if err := revoke(g.Token); err != nil {
					t.Fatal(err)
				}
				if srv.GrantAlive(g.ID) {
					t.Error("the grant outlived its revocation")
				}
				if _, err := c.refresh(g.Token); class(t, err) != bellwether.ClassRefused {
					t.Errorf("after the revocation: %v, want refused", err)
				}
				if n := srv.Stats().Revocations; n != 2 {
					t.Errorf("%d revocations, want 2", n)
				}
			})
		})
	}
}

func TestZohoDialect(t *testing.T) {
	for _, status := range []int{200, 400} {
		for _, old := range []bool{false, true} {
			cfg := oauthtest.Config{
				Dialect: oauthtest.Zoho, ErrorStatus: status, OldExpires: old,
				Quotas: []bellwether.Quota{{N: 2, Per: 10 * time.Minute}},
			}
			bubble(t, cfg, func(t *testing.T, srv *oauthtest.Server, c *caller) {
				g := srv.Issue("bob")
				got, err := c.refresh(g.Token)
				if err != nil {
					t.Fatal(err)
				}
				if got.APIDomain != srv.URL() || !got.ExpiresAt.Equal(time.Now().Add(time.Hour)) || !got.RefreshToken.IsZero() {
					t.Errorf("answer %+v", got)
				}
				srv.Inject(oauthtest.EditAnswer(func(f map[string]any) { f["api_domain"] = "https://evil.example" }))
				got, err = c.refresh(g.Token)
				if err == nil || got.APIDomain != "" || !srv.Accepts(got.AccessToken) {
					t.Errorf("api_domain elsewhere: %+v, %v; want the token, no domain and an error", got, err)
				}
				if _, err := c.refresh(g.Token); class(t, err) != bellwether.ClassThrottled {
					t.Errorf("over the quota: %v, want throttled", err)
				}
				wrong := g.Token
				wrong.ClientSecret = bellwether.NewSecret("wrong-secret")
				if _, err := c.refresh(wrong); class(t, err) != bellwether.ClassConfig {
					t.Errorf("wrong secret: %v, want config", err)
				}
				srv.Kill(g.ID)
				if _, err := c.refresh(g.Token); class(t, err) != bellwether.ClassRefused {
					t.Errorf("killed: %v, want refused", err)
				}
			})
		}
	}
}

func TestSecretsInTheURLAreRefused(t *testing.T) {
	bubble(t, oauthtest.Config{}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		g := srv.Issue("bob")
		v := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {g.Token.RefreshToken.Reveal()},
			"client_id": {g.Token.ClientID}, "client_secret": {g.Token.ClientSecret.Reveal()},
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", srv.TokenURL()+"?"+v.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.do(req)
		if err != nil || a.Status != 400 {
			t.Fatalf("status %d, %v; want 400", a.Status, err)
		}
		if log := srv.Log(); len(log) != 1 || log[0].Outcome != "invalid_request" {
			t.Errorf("log %+v", log)
		}
	})
}

func TestOverLoopbackWithStats(t *testing.T) {
	srv := oauthtest.New(oauthtest.Config{})
	defer srv.Close()
	base, err := srv.Start()
	if err != nil {
		t.Fatal(err)
	}
	c := newCaller(t, srv, &http.Transport{})
	g := srv.Issue("bob")
	got, err := c.refresh(g.Token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.refresh(g.Token); class(t, err) != bellwether.ClassRefused {
		t.Fatalf("replay: %v", err)
	}
	_, body := c.api(base+"/stats", "", bellwether.Secret{})
	st := decode[oauthtest.Stats](t, body)
	if st.Calls != 2 || st.Issued != 1 || st.Replays != 1 || st.Grants[g.ID] {
		t.Errorf("stats %+v", st)
	}
	_, body = c.api(base+"/calls", "", bellwether.Secret{})
	calls := decode[[]oauthtest.Call](t, body)
	if len(calls) != 2 || calls[0].Presented == "" || calls[0].Presented != calls[1].Presented || calls[0].Refresh == "" {
		t.Errorf("calls %s", body)
	}
	log, err := json.Marshal(srv.Log())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []bellwether.Secret{
		g.Token.RefreshToken, g.Token.ClientSecret, got.AccessToken, got.RefreshToken,
	} {
		if bytes.Contains(log, []byte(secret.Reveal())) || bytes.Contains(body, []byte(secret.Reveal())) {
			t.Error("the log holds a secret")
		}
	}
}

func TestConcurrentUseOverLoopback(t *testing.T) {
	srv := oauthtest.New(oauthtest.Config{})
	defer srv.Close()
	if _, err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	c := newCaller(t, srv, &http.Transport{MaxIdleConnsPerHost: 16, MaxConnsPerHost: 16})
	g := srv.Issue("bob")
	errs := make([]error, 100)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = c.refresh(g.Token) })
	}
	wg.Wait()
	ok := 0
	for _, err := range errs {
		if err == nil {
			ok++
		} else if class(t, err) != bellwether.ClassRefused {
			t.Errorf("%v, want refused", err)
		}
	}
	if ok != 1 || srv.Replays() != 99 || srv.GrantAlive(g.ID) {
		t.Errorf("%d successes, %d replays, alive %v; want 1, 99, false", ok, srv.Replays(), srv.GrantAlive(g.ID))
	}
}

func TestConfigThatContradictsItself(t *testing.T) {
	for _, cfg := range []oauthtest.Config{
		{Dialect: "soap"},
		{Dialect: oauthtest.Zoho, Rotation: bellwether.RotationStrict},
		{Grace: time.Second},
		{Rotation: bellwether.RotationGrace},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was taken", cfg)
				}
			}()
			oauthtest.New(cfg)
		}()
	}
}
