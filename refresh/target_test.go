package refresh

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// A row that leads to a host which its provider does not list: nothing is dialled, the
// caller is told, and the row can be corrected and used at once.
func TestForeignTokenHost(t *testing.T) {
	var dialled []string
	set := func(c *Config) {
		c.Providers = []bellwether.Provider{plain{
			profile: bellwether.Profile{Hosts: []string{"auth.test"}},
			request: func(row bellwether.Token) (*http.Request, error) {
				return http.NewRequest("POST", row.AccountsURL+"/token", strings.NewReader("client_secret=hush"))
			},
		}}
		c.DialContext = func(_ context.Context, _, addr string) (net.Conn, error) {
			dialled = append(dialled, addr)
			return nil, errors.New("nobody there")
		}
	}
	inBubble(t, 1, oauthtest.Config{}, set, func(t *testing.T, fl *fleet) {
		tok := fl.save(bellwether.Token{Provider: "plain", UserName: "bob", AccountsURL: "https://auth.test.evil.test",
			RefreshToken: bellwether.NewSecret("r")})
		_, err := fl.get(tok.ID, Want{})
		if e := wantKind(t, err, bellwether.ErrInvalid); e.Hint == "" {
			t.Error("no hint")
		}
		if len(dialled) > 0 {
			t.Errorf("dialled %q", dialled)
		}
		if s := fl.peek(tok.ID); s.State != bellwether.StateActive || s.Intent {
			t.Errorf("the row is %s, intent %v; want active and none", s.State, s.Intent)
		}
		fl.wantSeen(EventUnspent, 1)
	})
}
