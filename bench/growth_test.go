package bench

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/internal/sample"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/internal/redistest"
)

// grown runs a scenario at some small sizes, as runSmall does one.
func grown(t *testing.T, name string, sizes []Settings, sources ...Source) []report.Run {
	t.Helper()
	redistest.Need(t)
	t.Parallel()
	rep, err := RunSuite(t.Context(), SuiteOptions{Scenarios: []string{name}, Sizes: sizes, Sources: sources})
	if err != nil {
		t.Fatal(err)
	}
	if err := Verdict(rep, false); err != nil {
		t.Error(err)
	}
	return rep.Runs
}

// TestHerdOverMasters: the same herd on a server and on a Cluster.
func TestHerdOverMasters(t *testing.T) {
	size := Settings{Replicas: 2, Callers: 5, Rounds: 1, Latency: 100 * time.Millisecond}
	one, two := size, size
	one.Masters, two.Masters = 1, 2
	type ground struct {
		masters int
		redis   string
	}
	var got []ground
	for _, run := range grown(t, "herd", []Settings{one, two}, SourceBellwether) {
		got = append(got, ground{run.Parameters.Masters, run.Parameters.Redis})
	}
	if want := []ground{{1, kindSingle}, {2, kindCluster}}; !slices.Equal(got, want) {
		t.Errorf("runs on %v, want %v", got, want)
	}
}

func TestStormOverMasters(t *testing.T) {
	size := Settings{Replicas: 2, Callers: 20, Tokens: 20, Rounds: 1, Masters: 2}
	runs := grown(t, "storm", []Settings{size}, SourceBellwether)
	if got := most(t, runs, SourceBellwether, "redis_commands"); got < 2*20 {
		t.Errorf("%v commands, want a read of each token by each replica", got)
	}
}

// TestColdOverTokens: more tokens than callers at a rate ask for, in a Cluster. No wait is
// told of them.
func TestColdOverTokens(t *testing.T) {
	size := Settings{Replicas: 1, Rounds: 1, Rate: 200, For: 300 * time.Millisecond}
	few, many := size, size
	few.Tokens, many.Tokens, many.Masters = 1, mostLoaded+100, 2
	for _, run := range grown(t, "cold", []Settings{few, many}) {
		m, _ := run.Metric("reads_per_s")
		if len(m.Values) != 1 || m.Median() < 100 {
			t.Errorf("%s, %d tokens: %v reads a second", run.Subject, run.Parameters.Tokens, m.Values)
		}
		if _, loaded := run.Metric("dropped"); loaded != (run.Parameters.Tokens <= mostLoaded) {
			t.Errorf("%s, %d tokens: callers at a rate: %v", run.Subject, run.Parameters.Tokens, loaded)
		}
	}
}

// TestNamedRedisIsSpared: a suite of all leaves out what stores very many tokens unless
// they are asked for.
func TestNamedRedisIsSpared(t *testing.T) {
	for _, c := range []struct {
		o    SuiteOptions
		want bool
	}{
		{SuiteOptions{}, true},
		{SuiteOptions{Redis: "redis://127.0.0.1:1"}, false},
		{SuiteOptions{Redis: "redis://127.0.0.1:1", Scenarios: []string{"hold"}, Sizes: []Settings{{Tokens: 2 * mostUnasked}}}, true},
	} {
		bouts, err := c.o.bouts()
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(bouts, func(b *bout) bool { return b.Tokens > mostUnasked }); got != c.want {
			t.Errorf("%+v: very many tokens %v, want %v", c.o, got, c.want)
		}
	}
}

func TestHold(t *testing.T) {
	few, some := Settings{Tokens: 1, Rounds: 1, For: 200 * time.Millisecond}, Settings{Tokens: leastHeld, Rounds: 1, For: 200 * time.Millisecond}
	for _, run := range grown(t, "hold", []Settings{few, some}) {
		for _, metric := range []string{"get", "token"} {
			if m, _ := run.Metric(metric); len(m.Values) != 1 || m.Values[0] <= 0 {
				t.Errorf("%s, %d tokens: %s takes %v ns", run.Subject, run.Parameters.Tokens, metric, m.Values)
			}
		}
		_, sent := run.Metric("hit_commands")
		if sent != (run.Subject == string(SourceBellwether)) {
			t.Errorf("%s: Redis commands are told: %v", run.Subject, sent)
		}
		// An access token alone is longer than 64 bytes; no heap of this size has 64 KiB of each.
		heap, told := run.Metric("heap_per_token")
		if want := run.Parameters.Tokens >= leastHeld; told != want || told && (heap.Median() < 64 || heap.Median() > 64<<10) {
			t.Errorf("%s, %d tokens: heap of %v bytes a token", run.Subject, run.Parameters.Tokens, heap.Values)
		}
	}
}

// TestMillionOfFew: the bar of the heap is not for a handful.
func TestMillionOfFew(t *testing.T) {
	runs := grown(t, "million", []Settings{{Tokens: 1}, {Tokens: 30}})
	if len(runs) != 2 {
		t.Fatalf("%d runs", len(runs))
	}
	for _, run := range runs {
		if slices.ContainsFunc(run.Checks, func(c report.Check) bool { return c.Metric == "heap_late" }) {
			t.Errorf("%d tokens: %+v", run.Parameters.Tokens, run.Checks)
		}
		if m, _ := run.Metric("list_time"); m.Median() <= 0 {
			t.Errorf("%d tokens are listed in %v ms", run.Parameters.Tokens, m.Values)
		}
	}
}

// TestFill: what goes through pipelines is what Save stores, and is removed again.
func TestFill(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) string{
		"embedded": func(*testing.T) string { return "" },
		"cluster": func(t *testing.T) string {
			return redistest.Cluster(t, redistest.Config{Masters: 2, Replicas: -1}).URL()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			g, err := openGround(ctx, start(t))
			if err != nil {
				t.Fatal(err)
			}
			defer g.close(ctx)
			const tokens = 60
			if err := g.fill(ctx, tokens, g.sampleToken, func(saved int) { t.Errorf("%d are many", saved) }); err != nil {
				t.Fatal(err)
			}
			listed := 0
			for got, err := range g.store.List(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				listed++
				if got.RefreshToken.IsZero() || got.UserName == "" {
					t.Errorf("%s has lost its refresh token or user", got.ID)
				}
			}
			if listed != tokens {
				t.Errorf("%d tokens are listed, want %d", listed, tokens)
			}
			again, err := g.sampleToken(tokens - 1)
			if err != nil {
				t.Fatal(err)
			}
			again.ID = ""
			if saved, err := g.store.Save(ctx, again); err != nil || saved.ID != sample.ID(tokens-1) {
				t.Errorf("a save by refresh token and user finds row %q, %v", saved.ID, err)
			}
			if err := g.clean(ctx); err != nil {
				t.Fatal(err)
			}
			if left := g.keysLeft(t); len(left) > 0 {
				t.Errorf("%d keys are left, %q the first", len(left), left[0])
			}
		})
	}
}

// keysLeft are the keys of the namespace on all masters.
func (g *ground) keysLeft(t *testing.T) (left []string) {
	t.Helper()
	collect := func(ctx context.Context, c redis.Cmdable) error {
		return scan(ctx, c, "*"+g.namespace+":*", func(keys []string) error {
			left = append(left, keys...)
			return nil
		})
	}
	var err error
	if c, ok := g.client.(*redis.ClusterClient); ok {
		var mu sync.Mutex
		err = c.ForEachMaster(t.Context(), func(ctx context.Context, m *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			return collect(ctx, m)
		})
	} else {
		err = collect(t.Context(), g.client)
	}
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// TestFillEnds: an error of one save ends the filling.
func TestFillEnds(t *testing.T) {
	g, err := openGround(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer g.close(t.Context())
	broken := errors.New("no such token")
	err = g.fill(t.Context(), 20, func(i int) (bellwether.Token, error) {
		if i == 7 {
			return bellwether.Token{}, broken
		}
		return g.sampleToken(i)
	}, nil)
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

// TestGrowthRefuses: sizes that say nothing, or that are not ours to start.
func TestGrowthRefuses(t *testing.T) {
	for name, o := range map[string]SuiteOptions{
		"masters of a Redis of yours":       {Scenarios: []string{"herd"}, Sizes: []Settings{{Masters: 2}}, Redis: "redis://127.0.0.1:1"},
		"masters of an embedded Redis":      {Scenarios: []string{"cold"}, Sizes: []Settings{{Masters: 1}}, Redis: EmbeddedRedis},
		"masters where they say nothing":    {Scenarios: []string{"hit"}, Sizes: []Settings{{Masters: 1}}},
		"too many masters":                  {Scenarios: []string{"storm"}, Sizes: []Settings{{Masters: maxMasters + 1}}},
		"too many tokens":                   {Scenarios: []string{"hold"}, Sizes: []Settings{{Tokens: 1}, {Tokens: maxTokens + 1}}},
		"callers of a replica without any":  {Scenarios: []string{"hold"}, Sizes: []Settings{{Callers: 1}}},
		"a Redis of yours that is filled":   {Scenarios: []string{"hold"}, Redis: "redis://127.0.0.1:1"},
		"one of two sizes fills it":         {Scenarios: []string{"hold"}, Sizes: []Settings{{Tokens: 10}, {Rounds: 1}}, Redis: "redis://127.0.0.1:1"},
		"tokens end before the rounds":      {Scenarios: []string{"steady"}, Sizes: []Settings{{Rounds: 30, For: time.Minute}}},
		"a Redis of yours that is measured": {Scenarios: []string{"memory"}, Redis: "redis://127.0.0.1:1"},
	} {
		if rep, err := RunSuite(t.Context(), o); !errors.Is(err, bellwether.ErrInvalid) || len(rep.Runs) > 0 {
			t.Errorf("%s: got %v and %d runs, want ErrInvalid and none", name, err, len(rep.Runs))
		}
	}
}
