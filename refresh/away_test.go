package refresh

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

func TestRedisAway(t *testing.T) {
	srv := oauthtest.Config{Latency: second}
	t.Run("at read", func(t *testing.T) {
		inBubble(t, 1, srv, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.lively("bob")
			_, err := fl.get("other", Want{})
			wantKind(t, err, bellwether.ErrNotFound)
			had := fl.mustGet(tok.ID)
			defer fl.replicas[0].store.away("peek", "lock", "begin", "commit", "fail")()
			fl.replicas[0].store.tell(bellwether.Event{Kind: bellwether.EventResync})
			if got := fl.mustGet(tok.ID); !got.Token.Equal(had.Token) {
				t.Error("another token")
			}
			_, err = fl.get("another", Want{})
			wantKind(t, err, bellwether.ErrUnavailable)
			time.Sleep(59*time.Minute + 30*second) // in the mandatory window
			if got := fl.mustGet(tok.ID); !got.Token.Equal(had.Token) {
				t.Error("another token")
			}
			time.Sleep(31 * second)
			_, err = fl.get(tok.ID, Want{})
			wantKind(t, err, bellwether.ErrUnavailable)
		})
	})
	for _, op := range []string{"peek", "lock", "begin"} {
		t.Run("at "+op, func(t *testing.T) {
			inBubble(t, 1, srv, nil, func(t *testing.T, fl *fleet) {
				tok, _ := fl.expired("bob")
				back := fl.replicas[0].store.away(op)
				_, err := fl.get(tok.ID, Want{})
				wantKind(t, err, bellwether.ErrUnavailable)
				fl.wantCalls(0)
				back()
				fl.mustGet(tok.ID)
				fl.wantCalls(1)
			})
		})
	}
	t.Run("begin happened and its reply is lost", func(t *testing.T) {
		inBubble(t, 1, srv, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			back := fl.replicas[0].store.loseReplies("begin")
			_, err := fl.get(tok.ID, Want{})
			wantKind(t, err, bellwether.ErrUnavailable)
			back()
			synctest.Wait()
			if fl.peek(tok.ID).Intent {
				t.Error("our own intent stayed")
			}
			start := time.Now()
			fl.mustGet(tok.ID)
			if took := time.Since(start); took > second+5*time.Millisecond {
				t.Errorf("the next attempt took %v", took)
			}
			fl.wantCalls(1)
		})
	})
	t.Run("at commit", func(t *testing.T) {
		inBubble(t, 2, srv, nil, func(t *testing.T, fl *fleet) {
			tok, grant := fl.expired("bob")
			back := fl.replicas[0].store.away("commit")
			got := fl.mustGet(tok.ID) // from memory
			if !fl.srv.Accepts(got.Token) {
				t.Error("not the new token")
			}
			fl.wantSeen(EventCommitRetried, 1)
			if s := fl.peek(tok.ID); s.AccessToken.Equal(got.Token) {
				t.Fatal("the commit went through")
			}
			time.Sleep(5 * time.Minute)
			if again := fl.mustGet(tok.ID); !again.Token.Equal(got.Token) {
				t.Error("another token while the first is kept")
			}
			back()
			time.Sleep(2 * second)
			if s := fl.peek(tok.ID); !s.AccessToken.Equal(got.Token) {
				t.Error("the kept answer was not stored")
			}
			fl.wantSeen(EventRefreshed, 1)
			other, err := fl.replicas[1].Get(t.Context(), tok.ID, Want{})
			unexpected(t, err)
			if !other.Token.Equal(got.Token) {
				t.Error("another replica has another token")
			}
			fl.wantCalls(1)
			if !fl.srv.GrantAlive(grant.ID) {
				t.Error("the grant is dead")
			}
		})
	})
	t.Run("commit happened and its reply is lost", func(t *testing.T) {
		inBubble(t, 1, srv, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			back := fl.replicas[0].store.loseReplies("commit")
			got := fl.mustGet(tok.ID)
			time.Sleep(second)
			back()
			time.Sleep(2 * second)
			if s := fl.peek(tok.ID); !s.AccessToken.Equal(got.Token) || s.Generation != 2 {
				t.Errorf("generation %d, want 2: one commit in many runs", s.Generation)
			}
			fl.wantSeen(EventRefreshed, 1)
			fl.wantCalls(1)
		})
	})
	t.Run("at fail", func(t *testing.T) {
		inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
			tok, _ := fl.expired("bob")
			back := fl.replicas[0].store.away("fail")
			fl.srv.Inject(oauthtest.Throttle(40 * second))
			_, err := fl.get(tok.ID, Want{})
			wantKind(t, err, bellwether.ErrThrottled)
			time.Sleep(3 * second)
			back()
			time.Sleep(2 * second)
			if fl.peek(tok.ID).Intent {
				t.Error("the intent of an unspent attempt stayed")
			}
			fl.wantCalls(1)
		})
	})
}

// A kept answer is offered before anything else is begun.
func TestNoAttemptWhileAnAnswerIsKept(t *testing.T) {
	inBubble(t, 1, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, grant := fl.expired("bob")
		back := fl.replicas[0].store.away("commit")
		got := fl.mustGet(tok.ID)
		_, err := fl.get(tok.ID, Want{Rejected: got.Token})
		wantKind(t, err, bellwether.ErrUnavailable)
		fl.wantCalls(1)
		back()
		time.Sleep(2 * second)
		next, err := fl.get(tok.ID, Want{Rejected: got.Token})
		unexpected(t, err)
		if next.Token.Equal(got.Token) || !fl.srv.GrantAlive(grant.ID) {
			t.Error("the rejected token was not replaced by its successor")
		}
		fl.wantCalls(2)
	})
}
