package bench

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// TestCollectEarly: a caller who returned before the provider can have answered, or before
// the new token was written, is told apart; its wait is in no figure. It has failed all the
// same when the API refuses its token.
func TestCollectEarly(t *testing.T) {
	cfg := oauthtest.Config{}
	srv := oauthtest.New(cfg)
	defer srv.Close()
	if _, err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	token := srv.Issue("bot").Token.AccessToken
	w := &worker{setup: setup{Provider: specOf(srv, cfg)}, answer: []answer{
		{wait: 99 * time.Millisecond, token: token},
		{wait: 104 * time.Millisecond, token: token},
		{wait: 106 * time.Millisecond, token: token},
		{wait: 98 * time.Millisecond, token: bellwether.NewSecret("an old one")},
		{wait: time.Millisecond, err: errors.New("refused")},
	}}
	n, err := w.collect(t.Context(), order{Service: 100 * time.Millisecond, Commit: 105 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if n.Early != 3 || n.ExtraWait.Count() != 2 || n.Handover.Count() != 1 || len(n.Failures) != 2 || n.Failures[errTokenDead.Error()] != 1 {
		t.Errorf("%d early, %d waits, %d hand-overs, failures %v; want 3, 2, 1 and one of each kind",
			n.Early, n.ExtraWait.Count(), n.Handover.Count(), n.Failures)
	}
}

// TestHerdLate: a replica that reads its order after the release says so.
func TestHerdLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for after, late := range map[time.Duration]bool{lead: false, -time.Millisecond: true} {
			w := &worker{setup: setup{Callers: 3, Rows: []string{"a"}}, source: scriptedSource(func(context.Context, int) (bellwether.Secret, error) {
				return bellwether.Secret{}, nil
			})}
			if n := w.herd(t.Context(), order{At: time.Now().Add(after).UnixNano()}); n.Late != late {
				t.Errorf("released in %v: late %v, want %v", after, n.Late, late)
			}
		}
	})
}
