package refresh

import (
	"testing"
	"time"

	"github.com/bellwether-go/bellwether/oauthtest"
)

// The first failure comes when callers wait for the attempt: a token that lives, and
// was not rejected, is served all the same.
func TestFirstFailureInTheMandatoryWindow(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{Latency: second}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.lively("bob")
		time.Sleep(59*time.Minute + 30*second)
		fl.srv.Inject(oauthtest.ServerError(503))
		got := one(t, fl, fl.herd(8, tok.ID, Want{}), second+5*time.Millisecond)
		if !got.Token.Equal(tok.AccessToken) {
			t.Error("another token than the current one was served")
		}
		fl.wantCalls(1)
		fl.wantSeen(EventUnknown, 1)
	})
}
