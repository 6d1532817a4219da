package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// checkRun runs the small demo and checks what is printed and what was measured.
func checkRun(t *testing.T, o Options) {
	t.Helper()
	var b bytes.Buffer
	results, err := Run(t.Context(), o, NewJSON(&b))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n != 3 {
		t.Errorf("%d lines of JSON, want 3:\n%s", n, b.String())
	}
	dec := json.NewDecoder(&b)
	for i, want := range []Mode{ModeWithout, ModeBellwether, ModeHolderKilled} {
		var r Result
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Mode != want || results[i].Mode != want {
			t.Fatalf("line %d is of mode %q, result of %q, want %q", i, r.Mode, results[i].Mode, want)
		}
		if r.Replicas != o.Replicas || r.Callers != o.Callers || r.RedisCommands == 0 || r.ExtraWait == nil {
			t.Errorf("%s: %+v", want, r)
		}
		if err := results[i].Check(); err != nil {
			t.Error(err)
		}
	}
	without, with, killed := results[0], results[1], results[2]
	if without.ProviderCalls < o.Replicas || without.Replays < o.Replicas-1 || without.GrantAlive ||
		without.FailedCallers != o.Replicas*o.Callers {
		t.Errorf("without a lock a strict provider's grant survives: %+v", without)
	}
	if with.Handover == nil || with.Handover.Max > float64(5*time.Second/time.Millisecond) {
		t.Errorf("hand-over: %+v", with.Handover)
	}
	// A constant and some per replica, none per caller.
	if most := int64(20 + 20*o.Replicas); with.RedisCommands > most {
		t.Errorf("%d Redis commands (%v), want at most %d", with.RedisCommands, with.Story.Commands, most)
	}
	s := killed.Story
	if s.Killed < 1 || s.KilledPID == 0 || s.LockLeft <= 0 || s.LockLeft > demoTimes.LockTTL+100*time.Millisecond || s.NextCall < s.LockLeft-100*time.Millisecond {
		t.Errorf("the killed holder: %+v", s)
	}
	if killed.ExtraWait.P50 < float64((s.LockLeft-time.Second)/time.Millisecond) {
		t.Errorf("callers of a killed holder waited %v ms, its lock lasted %v", killed.ExtraWait.P50, s.LockLeft)
	}
}

func TestRunEmbedded(t *testing.T) {
	t.Parallel()
	checkRun(t, small)
}

func TestRunRedis(t *testing.T) {
	t.Parallel()
	srv := redistest.Single(t, redistest.Config{Password: "p@ss/word"})
	o := small
	o.Redis = srv.URL()
	checkRun(t, o)
	client := srv.Client(t)
	if left := client.Keys(t.Context(), "*").Val(); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestRunCluster(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, redistest.Config{})
	o := small
	o.Redis = c.URL()
	checkRun(t, o)
	err := c.Client(t).ForEachMaster(t.Context(), func(ctx context.Context, m *redis.Client) error {
		if left := m.Keys(ctx, "*").Val(); len(left) != 0 {
			t.Errorf("left behind: %q", left)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestGroundCleansItsOwn: a user's Redis holds other things.
func TestGroundCleansItsOwn(t *testing.T) {
	t.Parallel()
	srv := redistest.Single(t, redistest.Config{})
	client := srv.Client(t)
	if err := client.MSet(t.Context(), "mine", "1", "bw1:prod:meta", "1").Err(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	g, err := openGround(ctx, srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Source{SourceShared, SourceBare, SourceBellwether} {
		row, err := g.seed(ctx, kind, 0, bellwether.Token{Provider: "p", ClientID: "c", UserName: "u", RefreshToken: bellwether.NewSecret("r")}, false)
		if err != nil || row == "" {
			t.Fatalf("seed for %s: %q, %v", kind, row, err)
		}
	}
	if n := client.DBSize(ctx).Val(); n < 6 {
		t.Errorf("%d keys: the seeds are missing", n)
	}
	cancel() // as Ctrl-C does
	if err := g.close(ctx); err != nil {
		t.Error(err)
	}
	left := client.Keys(t.Context(), "*").Val()
	slices.Sort(left)
	if want := []string{"bw1:prod:meta", "mine"}; !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}

// TestLockKey: the story of a killed holder needs the name of its lock.
func TestLockKey(t *testing.T) {
	t.Parallel()
	g, err := openGround(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer g.close(t.Context())
	lease, err := g.store.Lock(t.Context(), "row", strings.Repeat("N", 26), time.Minute, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lease.Release(context.WithoutCancel(t.Context())) }()
	if left := g.client.PTTL(t.Context(), g.lockKey("row")).Val(); left <= 0 {
		t.Errorf("no lock at %s: %v", g.lockKey("row"), left)
	}
}

// TestProfilesWithout: providers that forgive a second use leave the grant alive, and
// every replica calls.
func TestProfilesWithout(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"grace", "until_successor_used", "reusable", "zoho"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			g, err := openGround(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			defer g.close(t.Context())
			p := herdPlan{Source: SourceShared, Replicas: 2, Callers: 5, Latency: 300 * time.Millisecond, Profile: profile}
			r, err := scene(t.Context(), g, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.ProviderCalls != 2 || r.Replays != 0 || r.FailedCallers != 0 || !r.GrantAlive {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestRoundsBare: the probe that figures are judged by makes one call a round, too, and
// sends what it is said to send.
func TestRoundsBare(t *testing.T) {
	t.Parallel()
	g, err := openGround(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer g.close(t.Context())
	s, err := openStage(t.Context(), g, herdPlan{Source: SourceBare, Replicas: 3, Callers: 10, Latency: 50 * time.Millisecond, Profile: "strict"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for range 3 {
		r, err := s.round(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.ProviderCalls != 1 || r.FailedCallers != 0 || !r.GrantAlive || r.Handover == nil {
			t.Errorf("%+v", r)
		}
		if c := r.Story.Commands; c["hmget"] < 5 || c["hmget"] > 9 || c["set"] != 3 || c["publish"] != 1 {
			t.Errorf("commands: %v", c)
		}
	}
}

func TestRunErrors(t *testing.T) {
	t.Parallel()
	o := small
	o.Redis = "redis://:hunter2@127.0.0.1:1/0"
	_, err := Run(t.Context(), o, NewJSON(&bytes.Buffer{}))
	if !errors.Is(err, bellwether.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("no Redis there: got %v, want ErrUnavailable without the password", err)
	}
	o = small
	o.Timeout = 50 * time.Millisecond
	_, err = Run(t.Context(), o, NewJSON(&bytes.Buffer{}))
	if err == nil || !strings.Contains(err.Error(), "not done within 50ms") {
		t.Errorf("a short timeout: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, small, NewJSON(&bytes.Buffer{})); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	g, err := openGround(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer g.close(t.Context())
	c, err := redisstore.Dial(g.url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var m meter
	c.AddHook(&m)
	ctx := t.Context()
	c.Set(ctx, "before", "1", 0)
	m.reset(time.Now())
	if got := m.committed(); got >= 0 {
		t.Errorf("committed before any commit: %v", got)
	}
	c.Get(ctx, "a")
	c.Ping(ctx)
	c.Time(ctx)
	_, _ = c.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Get(ctx, "b")
		p.HGet(ctx, "c", "d")
		return nil
	})
	if got := m.snapshot(); got["get"] != 2 || got["hget"] != 1 || len(got) != 2 {
		t.Errorf("counted %v, want 2 get and 1 hget", got)
	}
	m.committing(time.Now())
	first := m.committed()
	m.committing(time.Now().Add(time.Hour))
	if first < 0 || m.committed() != first {
		t.Errorf("the first commit was at %v, now it is %v", first, m.committed())
	}
}
