package refresh

import (
	"net/http"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

func TestRowChangesDuringARefresh(t *testing.T) {
	t.Run("deleted", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			hold := fl.srv.HoldNext(true)
			done := make(chan error)
			go func() { _, err := fl.get(tok.ID, Want{}); done <- err }()
			<-hold.Arrived()
			unexpected(t, fl.replicas[0].store.Delete(t.Context(), tok.ID))
			hold.Release()
			wantKind(t, <-done, bellwether.ErrNotFound)
			fl.wantSeen(EventCommitGone, 1)
			if _, err := fl.replicas[0].store.FindByID(t.Context(), tok.ID); !isNotFound(err) {
				t.Errorf("the row is back: %v", err)
			}
		})
	})
	t.Run("signed in again", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			hold := fl.srv.HoldNext(true)
			done := make(chan outcome)
			go func() { a, err := fl.get(tok.ID, Want{}); done <- outcome{access: a, err: err} }()
			<-hold.Arrived()
			again := fl.srv.Issue("bob")
			again.Token.ID = tok.ID
			fl.save(again.Token)
			hold.Release()
			o := <-done
			unexpected(t, o.err)
			fl.wantSeen(EventCommitStale, 1)
			if !o.access.Token.Equal(again.Token.AccessToken) {
				t.Error("the new sign-in was overwritten")
			}
		})
	})
	t.Run("corrected by an operator", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			hold := fl.srv.HoldNext(true)
			done := make(chan outcome)
			go func() { a, err := fl.get(tok.ID, Want{}); done <- outcome{access: a, err: err} }()
			<-hold.Arrived()
			fl.save(bellwether.Token{ID: tok.ID, APIDomain: "https://corrected.test"})
			hold.Release()
			o := <-done
			unexpected(t, o.err)
			fl.wantSeen(EventRefreshed, 1)
			if o.access.APIDomain != "https://corrected.test" || o.access.Token.Equal(tok.AccessToken) {
				t.Errorf("API domain %q, refreshed %v", o.access.APIDomain, !o.access.Token.Equal(tok.AccessToken))
			}
		})
	})
}

// invalid_grant after another party has rotated: the row has the newer token.
func TestRefusedAfterAPeerRotated(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{Rotation: bellwether.RotationReusable}, nil, func(t *testing.T, fl *fleet) {
		tok, _ := fl.expired("bob")
		hold := oauthtest.NewHold()
		refused := oauthtest.ErrorBody(http.StatusBadRequest, "invalid_grant")
		refused.Hold = hold
		fl.srv.Inject(refused)
		done := make(chan outcome)
		go func() { a, err := fl.get(tok.ID, Want{}); done <- outcome{access: a, err: err} }()
		<-hold.Arrived()
		fl.dropLock(tok.ID)
		newer, err := fl.replicas[1].Get(t.Context(), tok.ID, Want{})
		unexpected(t, err)
		hold.Release()
		o := <-done
		unexpected(t, o.err)
		if !o.access.Token.Equal(newer.Token) {
			t.Error("the peer's token was not adopted")
		}
		if s := fl.peek(tok.ID); s.State != bellwether.StateActive {
			t.Errorf("the row is %s", s.State)
		}
	})
}

func TestGrantCode(t *testing.T) {
	t.Run("is spent once", func(t *testing.T) {
		inBubble(t, 3, oauthtest.Config{Rotation: bellwether.RotationReusable, Latency: second}, nil, func(t *testing.T, fl *fleet) {
			tok := fl.save(fl.srv.Code("bob", "https://app.test/cb", "").Token)
			one(t, fl, fl.herd(16, tok.ID, Want{}), second+5*time.Millisecond)
			fl.wantCalls(1)
			got, err := fl.replicas[0].store.FindByID(t.Context(), tok.ID)
			unexpected(t, err)
			if !got.GrantToken.IsZero() || got.RefreshToken.IsZero() {
				t.Error("the code stayed, or no refresh token came")
			}
		})
	})
	t.Run("is not sent twice", func(t *testing.T) {
		inBubble(t, 2, oauthtest.Config{Rotation: bellwether.RotationReusable}, nil, func(t *testing.T, fl *fleet) {
			tok := fl.save(fl.srv.Code("bob", "https://app.test/cb", "").Token)
			fl.srv.Inject(oauthtest.DropAfterCommit())
			for range 3 {
				for _, o := range fl.herd(4, tok.ID, Want{}) {
					if e := wantKind(t, o.err, bellwether.ErrReauthRequired); e.Reason != bellwether.ReasonCodeOutcomeUnknown {
						t.Errorf("reason %q", e.Reason)
					}
				}
				time.Sleep(time.Minute)
			}
			fl.wantCalls(1)
			fl.wantSeen(EventReauthRequired, 1)
		})
	})
	t.Run("used before", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok := fl.save(bellwether.Token{Provider: "oauthtest", ClientID: "test-client", GrantToken: bellwether.NewSecret("used"),
				ClientSecret: fl.srv.ClientToken().ClientSecret})
			_, err := fl.get(tok.ID, Want{})
			if e := wantKind(t, err, bellwether.ErrReauthRequired); e.Hint == "" {
				t.Error("no hint")
			}
			fl.wantCalls(1)
		})
	})
}

func TestClientCredentialsAreReusable(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{Rotation: bellwether.RotationStrict}, nil, func(t *testing.T, fl *fleet) {
		tok := fl.save(fl.srv.ClientToken())
		fl.srv.Inject(oauthtest.DropAfterCommit())
		_, err := fl.get(tok.ID, Want{})
		wantKind(t, err, bellwether.ErrProvider)
		time.Sleep(second + 10*time.Millisecond)
		fl.mustGet(tok.ID)
		fl.wantCalls(2)
	})
}
