package sharedrow

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/embedded"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// TestRenew: a living token is only read; an ended one is refreshed and stored; a refresh
// token that another replica has spent is refused, and its result found.
func TestRenew(t *testing.T) {
	redis, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer redis.Close()
	client, err := redisstore.Dial(redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	srv := oauthtest.New(oauthtest.Config{Rotation: bellwether.RotationStrict})
	defer srv.Close()
	if _, err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	grant := srv.Issue("bot").Token
	ended := &oauth2.Token{AccessToken: "old", RefreshToken: grant.RefreshToken.Reveal(), Expiry: time.Now().Add(-time.Minute)}
	calling, saving := 0, 0
	row := &Row{Client: client, Key: "row", HTTP: http.DefaultClient, Conf: oauth2.Config{
		ClientID:     grant.ClientID,
		ClientSecret: grant.ClientSecret.Reveal(),
		Endpoint:     oauth2.Endpoint{TokenURL: srv.TokenURL(), AuthStyle: oauth2.AuthStyleInParams},
	}, Calling: func() { calling++ }, Saving: func(time.Time) { saving++ }}
	ctx := t.Context()
	if err := row.Save(ctx, ended); err != nil {
		t.Fatal(err)
	}

	fresh, err := row.Renew(ctx)
	if err != nil || fresh.AccessToken == "old" || calling != 1 || saving != 2 {
		t.Fatalf("%v; %d calls, %d saves; want a new token by one call, stored", err, calling, saving)
	}
	again, err := row.Renew(ctx)
	if err != nil || again.AccessToken != fresh.AccessToken || calling != 1 {
		t.Errorf("a living token: %v, %d calls", err, calling)
	}

	// Another replica is faster: it stores its token while this one is about to call with
	// the refresh token that is spent by now.
	if err := row.Save(ctx, ended); err != nil {
		t.Fatal(err)
	}
	faster := &Row{Client: client, Key: "row"}
	row.Calling = func() {
		if err := faster.Save(ctx, fresh); err != nil {
			t.Error(err)
		}
	}
	if got, err := row.Renew(ctx); err != nil || got.AccessToken != fresh.AccessToken {
		t.Errorf("after a refusal: %v", err)
	}
	row.Calling = nil
	if err := row.Save(ctx, ended); err != nil {
		t.Fatal(err)
	}
	if _, err := row.Renew(ctx); err == nil {
		t.Error("a spent refresh token is refused, and that is no error")
	} else if _, refused := errors.AsType[*oauth2.RetrieveError](err); !refused {
		t.Errorf("got %v, want the provider's refusal", err)
	}
}
