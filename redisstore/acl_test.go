package redisstore_test

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// documentedACL is the line of docs/redis-keys.md that makes a Redis user, with the
// password put in.
func documentedACL(t *testing.T, password string) []any {
	t.Helper()
	doc, err := os.ReadFile("../docs/redis-keys.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(doc)) {
		if !strings.HasPrefix(line, "ACL SETUSER ") {
			continue
		}
		var args []any
		for word := range strings.FieldsSeq(line) {
			args = append(args, strings.ReplaceAll(word, "PASSWORD", password))
		}
		return args
	}
	t.Fatal("docs/redis-keys.md has no ACL SETUSER line")
	return nil
}

// The Redis user of docs/redis-keys.md may do all that a store does.
func TestDocumentedACL(t *testing.T) {
	redistest.Need(t)
	srv := redistest.Single(t, redistest.Config{Directives: []string{"maxmemory-policy allkeys-lru"}})
	admin := srv.Client(t)
	args := documentedACL(t, "sesame")
	user := args[2].(string)
	if err := admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cfg := config(newSealer(t))
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	u := url.URL{Scheme: "redis", User: url.UserPassword(user, "sesame"), Host: srv.Addr()}
	s, err := redisstore.Open(t.Context(), u.String(), cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer s.Close()
	// CONFIG GET is allowed: the policy of this server is warned of.
	if !strings.Contains(log.String(), "allkeys-lru") {
		t.Errorf("no warning about maxmemory-policy; logged: %s", log.String())
	}

	events := make(chan bellwether.Event, 100)
	defer s.Subscribe(func(ev bellwether.Event) { events <- ev })()
	await := func(kind bellwether.EventKind) {
		t.Helper()
		for {
			select {
			case ev := <-events:
				if ev.Kind == kind {
					return
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("no event of kind %v", kind)
			}
		}
	}
	await(bellwether.EventResync)

	given := newToken("p")
	given.ExpiresAt = time.Now().Add(time.Hour)
	tok := save(t, s, given)
	tok = save(t, s, bellwether.Token{ID: tok.ID, RefreshToken: secret("rt-" + rand.Text()), UserName: "renamed"})
	dead, doomed := save(t, s, newToken("p")), save(t, s, newToken("p"))

	a := attempt(t, s, tok.ID)
	ans := begin(t, s, a)
	wantWord(t, ans, bellwether.BeginGo)
	if got := commit(t, s, a, ans.Token); got.Word != bellwether.CommitOK {
		t.Errorf("commit answered %q, want ok", got.Word)
	}
	await(bellwether.EventCommitted)

	b := attempt(t, s, dead.ID)
	wantWord(t, begin(t, s, b), bellwether.BeginGo)
	fail(t, s, bellwether.Fail{Attempt: b, Outcome: bellwether.OutcomeUnspent, Sent: true, Class: bellwether.ClassThrottled,
		ClientCooldown: time.Minute, Client: peek(t, s, dead.ID).Client})
	wantSound(t, s, 3)

	if err := s.MarkRevoking(t.Context(), dead.ID); err != nil {
		t.Errorf("MarkRevoking: %v", err)
	}
	if err := s.DeleteRevoking(t.Context(), dead.ID); err != nil {
		t.Errorf("DeleteRevoking: %v", err)
	}
	if err := s.Delete(t.Context(), doomed.ID); err != nil {
		t.Errorf("Delete: %v", err)
	}
	await(bellwether.EventDeleted)
	if err := s.DeleteAll(t.Context()); err != nil {
		t.Errorf("DeleteAll: %v", err)
	}
	wantSound(t, s, 0)

	allowed := func(cmd string) bool {
		args := []any{"ACL", "DRYRUN", user}
		for word := range strings.FieldsSeq(cmd) {
			args = append(args, word)
		}
		got, err := admin.Do(t.Context(), args...).Text()
		if err != nil {
			t.Errorf("%s: %v", cmd, err)
		}
		return got == "OK"
	}
	// What the client asks of a Cluster, and what only an older Redis is asked.
	for _, cmd := range []string{"CLUSTER SLOTS", "CLUSTER SHARDS", "COMMAND", "ASKING", "READONLY", "INFO server"} {
		if !allowed(cmd) {
			t.Errorf("%s is not allowed", cmd)
		}
	}
	for _, cmd := range []string{"FLUSHALL", "KEYS *", "CONFIG SET maxmemory 1", "GET other"} {
		if allowed(cmd) {
			t.Errorf("%s is allowed", cmd)
		}
	}
	// Also what the store takes in its stride was never refused.
	refused, err := admin.ACLLog(t.Context(), 10).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range refused {
		t.Errorf("refused: %s %s in %s", r.Reason, r.Object, r.Context)
	}
}
