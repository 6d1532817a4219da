package refresh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// A fleet is a few replicas on one miniredis and one strict provider, inside a
// synctest bubble: the real store, the real lock and a real http.Transport, on a
// clock that jumps.
type fleet struct {
	t        *testing.T
	srv      *oauthtest.Server
	redis    *miniredis.Miniredis
	replicas []*replica
	log      syncBuffer
}

type replica struct {
	*Refresher
	store *faulty
	seen  *sightings
}

// inBubble runs f with a fleet of n replicas. set may change each one's Config.
func inBubble(t *testing.T, n int, srv oauthtest.Config, set func(*Config), f func(t *testing.T, fl *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fl := &fleet{t: t, srv: oauthtest.New(srv)}
		t.Cleanup(fl.srv.Close)
		var first *redis.Client
		fl.redis, first = redistest.Mini(t)
		for i := range n {
			client := first
			if i > 0 {
				client = redis.NewClient(redistest.MiniOptions(fl.redis))
				t.Cleanup(func() { _ = client.Close() })
			}
			fl.add(client, set)
		}
		f(t, fl)
	})
}

func (fl *fleet) add(client redis.UniversalClient, set func(*Config)) *replica {
	fl.t.Helper()
	logger := slog.New(slog.NewTextHandler(&fl.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store, err := redisstore.New(fl.t.Context(), client, redisstore.Config{Namespace: "test", Sealer: seal.Plaintext{}, Logger: logger})
	if err != nil {
		fl.t.Fatal(err)
	}
	fl.t.Cleanup(func() { _ = store.Close() })
	rep := &replica{store: &faulty{Store: store}, seen: newSightings()}
	cfg := Config{
		Providers: []bellwether.Provider{fl.srv.Provider()}, DialContext: fl.srv.DialContext,
		Logger: logger, Observer: rep.seen.add, jitter: func() float64 { return 0 },
	}
	if set != nil {
		set(&cfg)
	}
	rep.Refresher, err = New(rep.store, cfg)
	if err != nil {
		fl.t.Fatal(err)
	}
	fl.t.Cleanup(func() { _ = rep.Close() })
	fl.replicas = append(fl.replicas, rep)
	synctest.Wait() // the subscription stands
	return rep
}

// save stores a token by the first replica's store.
func (fl *fleet) save(tok bellwether.Token) bellwether.Token {
	fl.t.Helper()
	got, err := fl.replicas[0].store.Save(fl.t.Context(), tok)
	if err != nil {
		fl.t.Fatal(err)
	}
	synctest.Wait()
	return got
}

// expired issues a grant and stores it with an access token that has ended.
func (fl *fleet) expired(user string) (bellwether.Token, oauthtest.Grant) {
	fl.t.Helper()
	g := fl.srv.Issue(user)
	g.Token.IssuedAt = time.Now().Add(-time.Hour)
	g.Token.ExpiresAt = time.Now().Add(-time.Second)
	return fl.save(g.Token), g
}

// lively issues a grant and stores it with its access token.
func (fl *fleet) lively(user string) (bellwether.Token, oauthtest.Grant) {
	fl.t.Helper()
	g := fl.srv.Issue(user)
	return fl.save(g.Token), g
}

func (fl *fleet) peek(id string) bellwether.Snapshot {
	fl.t.Helper()
	s, err := fl.replicas[0].store.Store.Peek(fl.t.Context(), id, "")
	if err != nil {
		fl.t.Fatal(err)
	}
	return s
}

// wantCalls checks the provider's own count.
func (fl *fleet) wantCalls(want int) {
	fl.t.Helper()
	if got := fl.srv.Calls(); got != want {
		fl.t.Errorf("the provider saw %d calls, want %d", got, want)
	}
}

// An outcome is what one caller got, and when.
type outcome struct {
	access Access
	err    error
	took   time.Duration
}

// herd makes callers per replica want the token at once and waits for them all.
func (fl *fleet) herd(callers int, id string, w Want) []outcome {
	var mu sync.Mutex
	var out []outcome
	var wg sync.WaitGroup
	start := time.Now()
	for _, r := range fl.replicas {
		for range callers {
			wg.Go(func() {
				a, err := r.Get(fl.t.Context(), id, w)
				mu.Lock()
				defer mu.Unlock()
				out = append(out, outcome{a, err, time.Since(start)})
			})
		}
	}
	wg.Wait()
	return out
}

// get is Get by the first replica.
func (fl *fleet) get(id string, w Want) (Access, error) {
	return fl.replicas[0].Get(fl.t.Context(), id, w)
}

func (fl *fleet) mustGet(id string) Access {
	fl.t.Helper()
	a, err := fl.get(id, Want{})
	if err != nil {
		fl.t.Fatalf("Get: %v", err)
	}
	return a
}

// wantKind checks an error's kind and returns the *Error.
func wantKind(t *testing.T, err, kind error) *bellwether.Error {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error is %v, want %v", err, kind)
	}
	e, ok := errors.AsType[*bellwether.Error](err)
	if !ok {
		t.Fatalf("error %v is no *bellwether.Error", err)
	}
	return e
}

func unexpected(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sightings collects what an Observer was told.
type sightings struct {
	mu      sync.Mutex
	reports map[Event][]Report
}

func newSightings() *sightings { return &sightings{reports: make(map[Event][]Report)} }

func (s *sightings) add(r Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports[r.Event] = append(s.reports[r.Event], r)
}

func (s *sightings) of(event Event) []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reports[event]
}

// wantSeen checks how often an event was reported, over all replicas.
func (fl *fleet) wantSeen(event Event, want int) {
	fl.t.Helper()
	n := 0
	for _, r := range fl.replicas {
		n += len(r.seen.of(event))
	}
	if n != want {
		fl.t.Errorf("event %s was reported %d times, want %d", event, n, want)
	}
}

// syncBuffer collects logs.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// tally groups outcomes by what they were.
func tally(out []outcome) map[string]int {
	m := make(map[string]int)
	for _, o := range out {
		if o.err != nil {
			m[o.err.Error()]++
		} else {
			m[o.access.Token.Reveal()]++
		}
	}
	return m
}

// errs are the errors of outcomes.
func errs(out []outcome) (all []error) {
	for _, o := range out {
		all = append(all, o.err)
	}
	return all
}

func isDeadline(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// writeAll writes values by every verb that could reveal something.
func writeAll(w io.Writer, v any, err error) {
	fmt.Fprintf(w, "%v %+v %#v %s\n", v, v, v, v)
	for ; err != nil; err = errors.Unwrap(err) {
		fmt.Fprintf(w, "%v %+v %#v\n", err, err, err)
	}
}
