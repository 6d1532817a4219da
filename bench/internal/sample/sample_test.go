package sample

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/embedded"
	"github.com/bellwether-go/bellwether/provider/zoho"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

// TestSamples: samples can be stored, served by a Refresher that is ready, and read by the
// commands that were recorded, one for each.
func TestSamples(t *testing.T) {
	ctx := t.Context()
	redis, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer redis.Close()
	keys, err := seal.New()
	if err != nil {
		t.Fatal(err)
	}
	cfg := redisstore.Config{Namespace: "sample", Sealer: keys}
	store, err := redisstore.Open(ctx, redis.URL(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var ids []string
	for n := range 3 {
		saved, err := store.Save(ctx, Token(n, time.Now()))
		if err != nil || saved.ID != ID(n) {
			t.Fatalf("token %d is saved as %q: %v", n, saved.ID, err)
		}
		ids = append(ids, saved.ID)
	}
	r, err := Refresher(ctx, store, refresh.Config{Providers: []bellwether.Provider{zoho.New(zoho.EU)}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if a, err := r.Get(ctx, ids[1], refresh.Want{}); err != nil || a.Token.Reveal() != Token(1, time.Now()).AccessToken.Reveal() {
		t.Errorf("token 1: %v", err)
	}

	sent, err := Reads(ctx, redis.URL(), cfg, ids)
	if err != nil || len(sent) != len(ids) {
		t.Fatalf("%d reads of %d rows: %v", len(sent), len(ids), err)
	}
	seen := map[string]bool{}
	for _, words := range sent {
		if len(words) < 3 || !strings.EqualFold(fmt.Sprint(words[0]), "hmget") {
			t.Errorf("a read sends %v", words)
			continue
		}
		seen[fmt.Sprint(words[1])] = true
	}
	if len(seen) != len(ids) {
		t.Errorf("reads of the keys %v, want one of each row", seen)
	}
	if _, err := Reads(ctx, redis.URL(), cfg, []string{"nobody"}); err == nil {
		t.Error("a row that is not there is read")
	}
}
