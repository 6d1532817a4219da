package redisstore_test

import (
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// poll calls f until it succeeds.
func poll(t *testing.T, what string, f func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// survivesFailover kills the master under a store in use: what was replicated is
// there afterwards, and an attempt that began before commits after.
func survivesFailover(t *testing.T, s *redisstore.Store, master func(key string) (*redistest.Server, error), kill func(key string) error) {
	resync := make(chan struct{}, 100)
	defer s.Subscribe(func(e bellwether.Event) {
		if e.Kind == bellwether.EventResync {
			select {
			case resync <- struct{}{}:
			default:
			}
		}
	})()
	<-resync // the subscription stands
	tok := save(t, s, newToken("p"))
	a := attempt(t, s, tok.ID)
	ans := begin(t, s, a)
	wantWord(t, ans, bellwether.BeginGo)
	// Replication is in order: once a later write has arrived, so has the row.
	srv, err := master(s.RowKey(tok.ID))
	if err != nil {
		t.Fatal(err)
	}
	conn := srv.Client(t).Conn()
	defer conn.Close()
	if err := conn.Set(t.Context(), s.RowKey(tok.ID)+":later", 1, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Wait(t.Context(), 1, 10*time.Second).Result(); n < 1 {
		t.Fatalf("not replicated: %v", err)
	}
	if err := kill(s.RowKey(tok.ID)); err != nil {
		t.Fatal(err)
	}
	next := ans.Token
	next.AccessToken, next.RefreshToken = bellwether.NewSecret("at-after"), bellwether.NewSecret("rt-after")
	var got bellwether.CommitAnswer
	poll(t, "commit after the failover", func() (err error) {
		got, err = s.Commit(t.Context(), bellwether.Commit{Attempt: a, Token: next})
		return err
	})
	if got.Word != bellwether.CommitOK || got.Generation != tok.Generation+1 {
		t.Fatalf("commit = %+v, want ok and generation %d", got, tok.Generation+1)
	}
	var stored bellwether.Token
	poll(t, "read after the failover", func() (err error) {
		stored, err = s.FindByID(t.Context(), tok.ID)
		return err
	})
	if !stored.RefreshToken.Equal(next.RefreshToken) || !stored.ClientSecret.Equal(tok.ClientSecret) {
		t.Error("the row is not what was committed")
	}
	poll(t, "save after the failover", func() error {
		_, err := s.Save(t.Context(), newToken("p"))
		return err
	})
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	servers := redistest.Sentinel(t, redistest.Config{})
	survivesFailover(t, openStore(t, servers.URL(), newSealer(t)),
		func(string) (*redistest.Server, error) { return servers.Master() },
		func(string) error { _, err := servers.KillMaster(); return err })
}

func TestClusterFailover(t *testing.T) {
	t.Parallel()
	servers := redistest.Cluster(t, redistest.Config{})
	survivesFailover(t, openStore(t, servers.URL(), newSealer(t)), servers.Master,
		func(key string) error { _, err := servers.KillMaster(key); return err })
}
