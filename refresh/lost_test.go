package refresh

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// What gets lost: a holder, the newest write of the store, the key of a row.

func TestHolderKilledBeforeBegin(t *testing.T) {
	inBubble(t, 2, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
		tok, grant := fl.expired("bob")
		ctx, cancel := context.WithCancel(t.Context())
		// The maximum hold is the TTL: the lock is not renewed.
		_, err := fl.replicas[0].store.Lock(ctx, tok.ID, rand.Text(), 10*second, 10*second)
		cancel()
		unexpected(t, err)
		one(t, fl, fl.herd(8, tok.ID, Want{}), 10*second+100*time.Millisecond)
		fl.wantCalls(1)
		if !fl.srv.GrantAlive(grant.ID) {
			t.Error("the grant is dead")
		}
	})
}

// rowKey finds the hash of the one row.
func (fl *fleet) rowKey(id string) string {
	fl.t.Helper()
	for _, key := range fl.redis.Keys() {
		if len(key) > len(id) && key[len(key)-len(id):] == id && fl.redis.Type(key) == "hash" {
			return key
		}
	}
	fl.t.Fatal("no row")
	return ""
}

// rollBack returns a func that brings the row back to what it is now, as a failover to
// a replica that lagged behind does.
func (fl *fleet) rollBack(id string) func() {
	key, client := fl.rowKey(id), redis.NewClient(redistest.MiniOptions(fl.redis))
	fl.t.Cleanup(func() { _ = client.Close() })
	was, err := client.HGetAll(fl.t.Context(), key).Result()
	unexpected(fl.t, err)
	return func() {
		fl.t.Helper()
		unexpected(fl.t, client.Del(fl.t.Context(), key).Err())
		unexpected(fl.t, client.HSet(fl.t.Context(), key, was).Err())
		for _, r := range fl.replicas {
			r.store.tell(bellwether.Event{Kind: bellwether.EventResync})
		}
	}
}

// A failover has lost the commit. Who has its token serves it to its end; then the old
// refresh token is presented once more, which a strict provider takes for a replay.
func TestStoreLosesTheLastWrite(t *testing.T) {
	for _, rotation := range []bellwether.Rotation{bellwether.RotationReusable, bellwether.RotationStrict} {
		t.Run(string(rotation), func(t *testing.T) {
			inBubble(t, 2, oauthtest.Config{Rotation: rotation}, nil, func(t *testing.T, fl *fleet) {
				tok, _ := fl.expired("bob")
				back := fl.rollBack(tok.ID)
				had := one(t, fl, fl.herd(4, tok.ID, Want{}), 5*time.Millisecond)
				back()
				if got := one(t, fl, fl.herd(4, tok.ID, Want{}), 5*time.Millisecond); !got.Token.Equal(had.Token) {
					t.Error("another token is served")
				}
				fl.wantCalls(1)
				time.Sleep(time.Hour)
				if rotation == bellwether.RotationReusable {
					for range 100 {
						if _, err := fl.get(tok.ID, Want{}); err == nil {
							break
						}
						time.Sleep(second)
					}
					one(t, fl, fl.herd(4, tok.ID, Want{}), 5*time.Millisecond)
					fl.wantCalls(2)
					return
				}
				for _, o := range fl.herd(4, tok.ID, Want{}) {
					if e := wantKind(t, o.err, bellwether.ErrReauthRequired); e.Reason != bellwether.ReasonRotationLost {
						t.Errorf("reason %q, want rotation_lost: nobody has revoked the grant", e.Reason)
					}
				}
				fl.wantCalls(2)
			})
		})
	}
}

// addSealed adds a replica that seals with keys.
func (fl *fleet) addSealed(keys bellwether.Sealer) {
	fl.t.Helper()
	client := redis.NewClient(redistest.MiniOptions(fl.redis))
	fl.t.Cleanup(func() { _ = client.Close() })
	store, err := redisstore.New(fl.t.Context(), client, redisstore.Config{Namespace: "sealed", Sealer: keys})
	unexpected(fl.t, err)
	fl.t.Cleanup(func() { _ = store.Close() })
	rep := &replica{store: &faulty{Store: store}, seen: newSightings()}
	rep.Refresher, err = New(rep.store, Config{Providers: []bellwether.Provider{fl.srv.Provider()},
		DialContext: fl.srv.DialContext, Observer: rep.seen.add})
	unexpected(fl.t, err)
	fl.t.Cleanup(func() { _ = rep.Close() })
	fl.replicas = append(fl.replicas, rep)
}

// A replica without the key of a row makes no call, and whoever has it goes on as if
// nothing had been tried.
func TestRowOfAnUnknownKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	old, err := seal.Create(path)
	unexpected(t, err)
	newer, err := seal.Update(path, func(k *seal.Keys) error {
		id, err := k.Add()
		if err != nil {
			return err
		}
		return k.Promote(id)
	})
	unexpected(t, err)
	for name, access := range map[string]bool{"found when it is read": true, "found in begin": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 0, oauthtest.Config{}, nil, func(t *testing.T, fl *fleet) {
				fl.addSealed(newer)
				fl.addSealed(old)
				synctest.Wait()
				g := fl.srv.Issue("bob")
				if !access {
					g.Token.AccessToken = bellwether.Secret{}
				}
				g.Token.ExpiresAt = time.Now().Add(-second)
				tok := fl.save(g.Token)
				for range 5 {
					_, err := fl.replicas[1].Get(t.Context(), tok.ID, Want{})
					if e := wantKind(t, err, bellwether.ErrUnreadable); e.Hint == "" {
						t.Error("no hint")
					}
				}
				synctest.Wait()
				fl.wantCalls(0)
				if s := fl.peek(tok.ID); s.State != bellwether.StateActive || s.Intent || s.Failure != nil {
					t.Errorf("the row is %s, intent %v, failure %+v; want it as it was", s.State, s.Intent, s.Failure)
				}
				start := time.Now()
				got := fl.mustGet(tok.ID)
				if took := time.Since(start); took > 5*time.Millisecond || !fl.srv.Accepts(got.Token) {
					t.Errorf("the replica with the key got a token after %v, accepted %v", took, fl.srv.Accepts(got.Token))
				}
				fl.wantCalls(1)
			})
		})
	}
}
