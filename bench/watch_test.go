package bench

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bellwether-go/bellwether/oauthtest"
)

// TestHoldOfNoCall: a hold that no call of a round reached is that of the next round,
// whose first call is held once and let go.
func TestHoldOfNoCall(t *testing.T) {
	s := &stage{server: oauthtest.New(oauthtest.Config{})}
	defer s.server.Close()
	if _, err := s.server.Start(); err != nil {
		t.Fatal(err)
	}
	done := 0
	act := func(*replica) error { done++; return nil }
	for range 2 { // in the second round a call comes
		s.letGo()
		s.atFirstCall(t.Context(), nil, act)
	}
	aside := s.atFirstCall(t.Context(), nil, act)
	grant := s.server.Issue("bot")
	answered := make(chan error, 1)
	go func() {
		resp, err := http.Post(s.server.TokenURL(), "application/x-www-form-urlencoded", strings.NewReader(url.Values{
			"grant_type":    {"refresh_token"},
			"client_id":     {grant.Token.ClientID},
			"client_secret": {grant.Token.ClientSecret.Reveal()},
			"refresh_token": {grant.Token.RefreshToken.Reveal()},
		}.Encode()))
		if err == nil {
			err = resp.Body.Close()
		}
		answered <- err
	}()
	if err := aside(news{Word: newsCalling}); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil || done != 1 || s.hold != nil {
		t.Errorf("%v; acted %d times, hold left: %v; want once, and none", err, done, s.hold != nil)
	}
}
