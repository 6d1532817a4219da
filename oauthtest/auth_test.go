package oauthtest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/provider/oauth"
)

// TestAuthStyles: the server takes every form in which provider/oauth sends a
// client's credentials, with characters that need encoding.
func TestAuthStyles(t *testing.T) {
	for _, style := range []oauth.AuthStyle{oauth.AuthParams, oauth.AuthBasic} {
		for _, format := range []oauth.BodyFormat{oauth.BodyForm, oauth.BodyJSON} {
			t.Run(string(style)+" "+string(format), func(t *testing.T) {
				cfg := oauthtest.Config{ClientID: "a:b c", ClientSecret: bellwether.NewSecret("p:%+ö&=")}
				bubble(t, cfg, func(t *testing.T, srv *oauthtest.Server, c *caller) {
					p, err := oauth.New(oauth.Config{
						Name: "x", TokenURL: srv.TokenURL(), AuthStyle: style, BodyFormat: format, AllowHTTP: true,
					})
					if err != nil {
						t.Fatal(err)
					}
					c.p = p
					g := srv.Issue("bob")
					got, err := c.refresh(g.Token)
					if err != nil || !srv.Accepts(got.AccessToken) {
						t.Fatalf("%v", err)
					}
					wrong := merged(g.Token, got)
					wrong.ClientSecret = bellwether.NewSecret("wrong")
					if _, err := c.refresh(wrong); class(t, err) != bellwether.ClassConfig {
						t.Errorf("wrong secret: %v, want config", err)
					}
					if log := srv.Log(); log[0].ClientID != "a:b c" || log[1].Outcome != "invalid_client" {
						t.Errorf("log %+v", log)
					}
				})
			})
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name, method, contentType, body string
		basic                           bool
		status                          int
		outcome                         string
	}{
		{"GET", "GET", "", "", false, 400, "invalid_request"},
		{"body that is no JSON", "POST", "application/json", "{", false, 400, "invalid_request"},
		{"body that is no form", "POST", "application/x-www-form-urlencoded", "a=%zz", false, 400, "invalid_request"},
		{"two ways to authenticate", "POST", "application/x-www-form-urlencoded",
			"grant_type=refresh_token&client_id=test-client&client_secret=x", true, 400, "invalid_request"},
		{"unknown client", "POST", "application/x-www-form-urlencoded",
			"grant_type=refresh_token&client_id=nobody&client_secret=x", false, 401, "invalid_client"},
		{"unknown grant type", "POST", "application/x-www-form-urlencoded",
			"grant_type=password", true, 400, "unsupported_grant_type"},
		{"unknown refresh token", "POST", "application/x-www-form-urlencoded",
			"grant_type=refresh_token&refresh_token=rt_x", true, 400, "invalid_grant"},
		{"no refresh token", "POST", "application/x-www-form-urlencoded",
			"grant_type=refresh_token", true, 400, "invalid_grant"},
		{"unknown code", "POST", "application/x-www-form-urlencoded",
			"grant_type=authorization_code&code=x", true, 400, "invalid_grant"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := oauthtest.Config{ClientSecret: bellwether.NewSecret("right")}
			bubble(t, cfg, func(t *testing.T, srv *oauthtest.Server, c *caller) {
				req, err := http.NewRequestWithContext(t.Context(), tc.method, srv.TokenURL(), strings.NewReader(tc.body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", tc.contentType)
				if tc.basic {
					req.SetBasicAuth("test-client", "right")
				}
				a, err := c.do(req)
				if err != nil || a.Status != tc.status {
					t.Fatalf("status %d, %v; want %d", a.Status, err, tc.status)
				}
				log := srv.Log()
				if len(log) != 1 || log[0].Outcome != tc.outcome || log[0].Status != tc.status || log[0].Committed {
					t.Errorf("log %+v, want outcome %q", log, tc.outcome)
				}
				if srv.Replays() != 0 {
					t.Error("counted as a replay")
				}
			})
		})
	}
}

func TestRevocationThatIsRefused(t *testing.T) {
	bubble(t, oauthtest.Config{}, func(t *testing.T, srv *oauthtest.Server, c *caller) {
		srv.AddClient("other", bellwether.NewSecret("other-secret"))
		g := srv.Issue("bob")
		revoke := func(edit func(*bellwether.Token)) error {
			tok := g.Token
			edit(&tok)
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
		if err := revoke(func(t *bellwether.Token) { t.ClientSecret = bellwether.NewSecret("wrong") }); class(t, err) != bellwether.ClassConfig {
			t.Errorf("wrong client secret: %v, want config", err)
		}
		err := revoke(func(t *bellwether.Token) {
			t.ClientID, t.ClientSecret = "other", bellwether.NewSecret("other-secret")
		})
		if err != nil {
			t.Errorf("another client's token counts as unknown (RFC 7009 section 2.1): %v", err)
		}
		if !srv.GrantAlive(g.ID) {
			t.Error("the grant was revoked all the same")
		}
	})
}
