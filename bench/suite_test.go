package bench

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/internal/redistest"
)

// runSmall runs one scenario at a size that a test can afford. Its invariants hold there
// as in large ones; bars are not asked for: the machine may be busy.
func runSmall(t *testing.T, name string, s Settings, sources ...Source) []report.Run {
	t.Helper()
	redistest.Need(t)
	if name != "hit" { // which wants the process for itself
		t.Parallel()
	}
	var said []string
	rep, err := RunSuite(t.Context(), SuiteOptions{Scenarios: []string{name}, Sizes: []Settings{s}, Sources: sources,
		Say: func(text string) { said = append(said, text) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := Verdict(rep, false); err != nil {
		t.Error(err)
	}
	if len(said) < 2 || !strings.HasPrefix(said[0], name+": ") {
		t.Errorf("it said %q", said)
	}
	ours := find(rep.Runs, SourceBellwether)
	if ours == nil || len(ours.Metrics) == 0 || len(ours.Checks) == 0 {
		t.Fatalf("runs %+v", rep.Runs)
	}
	for _, run := range rep.Runs {
		if run.Scenario != name || run.Seconds <= 0 {
			t.Errorf("%s, %s: took %v s", run.Scenario, run.Subject, run.Seconds)
		}
	}
	if t.Failed() {
		for _, run := range rep.Runs {
			for _, m := range run.Metrics {
				t.Logf("%s %s: %s %v %s", run.Scenario, run.Subject, m.Name, m.Values, m.Unit)
			}
			t.Logf("%s %s: failures %v", run.Scenario, run.Subject, run.Failures)
		}
	}
	return rep.Runs
}

// most is the greatest value of a metric of a source.
func most(t *testing.T, runs []report.Run, s Source, metric string) float64 {
	t.Helper()
	run := find(runs, s)
	if run == nil {
		t.Fatalf("no run of %s", s)
	}
	m, ok := run.Metric(metric)
	if !ok {
		t.Fatalf("%s was not measured of %s", metric, s)
	}
	_, most := m.Range()
	return most
}

// breaks expects a check to find fault with a run of a source that has not got what the
// check is about.
func breaks(t *testing.T, runs []report.Run, s Source, check func(*report.Run)) {
	t.Helper()
	run := *find(runs, s)
	run.Checks = nil
	check(&run)
	if len((report.Report{Runs: []report.Run{run}}).Broken(report.Invariant)) == 0 {
		t.Errorf("%s passes: %+v", s, run.Checks)
	}
}

func TestHerd(t *testing.T) {
	s := Settings{Replicas: 3, Callers: 5, Rounds: 1, Latency: 100 * time.Millisecond}
	runs := runSmall(t, "herd", s, herdSources()...)
	if len(runs) != len(herdSources()) {
		t.Errorf("%d runs, want one of each of %v", len(runs), herdSources())
	}
	for _, run := range runs {
		if n := run.Waits.Count(); n != 3*5 || len(run.Timeline) == 0 {
			t.Errorf("%s: %d waits, %d marks", run.Subject, n, len(run.Timeline))
		}
	}
}

func TestRotate(t *testing.T) {
	runs := runSmall(t, "rotate", Settings{Replicas: 3, Callers: 4, Rounds: 3, Latency: 20 * time.Millisecond}, SourceBellwether, SourceEach)
	breaks(t, runs, SourceEach, func(run *report.Run) { checkHerds(run, 1) })
	if most(t, runs, SourceEach, "grants_lost") != 1 {
		t.Error("replicas that share nothing keep a strict provider's grant")
	}
}

func TestKill(t *testing.T) {
	runs := runSmall(t, "kill", Settings{Replicas: 3, Callers: 4, Rounds: 1}, SourceBellwether)
	if got := most(t, runs, SourceBellwether, "provider_calls"); got != 2 {
		t.Errorf("%v calls, want that of the killed and another one", got)
	}
}

func TestConvoy(t *testing.T) {
	runSmall(t, "convoy", Settings{Replicas: 2, Callers: 4, Rounds: 1, Latency: 1200 * time.Millisecond}, SourceBellwether)
}

// TestScenarios: what `bench list` shows can be run.
func TestScenarios(t *testing.T) {
	var names []string
	for _, s := range Scenarios() {
		if slices.Contains(names, s.Name) || s.About == "" || s.run == nil {
			t.Errorf("scenario %q", s.Name)
		}
		names = append(names, s.Name)
		if s.Usual[0] != SourceBellwether {
			t.Errorf("%s measures %v, want Bellwether first", s.Name, s.Usual)
		}
		for _, u := range s.Usual {
			if !slices.Contains(s.Sources, u) || !knownSource(u) {
				t.Errorf("%s usually measures %s, of %v", s.Name, u, s.Sources)
			}
		}
		if got, err := s.settings(s.Defaults); err != nil || got != s.Defaults {
			t.Errorf("%s: its own defaults become %+v, %v", s.Name, got, err)
		}
		if got, err := FindScenario(s.Name); err != nil || got.Name != s.Name {
			t.Errorf("FindScenario(%q): %v, %v", s.Name, got.Name, err)
		}
	}
	if want := []string{"herd", "convoy", "rotate", "kill", "steady", "cold", "storm", "brownout", "failover"}; !containsAll(names, want) {
		t.Errorf("scenarios %q, want %q among them", names, want)
	}
}

func containsAll(in, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(in, w) })
}

// TestSuiteRefuses: what cannot be right is refused before anything is started.
func TestSuiteRefuses(t *testing.T) {
	for name, o := range map[string]SuiteOptions{
		"no such scenario":     {Scenarios: []string{"nonesuch"}},
		"no such subject":      {Scenarios: []string{"herd"}, Sources: []Source{"nobody"}},
		"subject of another":   {Scenarios: []string{"herd"}, Sources: []Source{SourceHMGet}},
		"too many replicas":    {Scenarios: []string{"herd"}, Sizes: []Settings{{Replicas: maxReplicas + 1}}},
		"negative":             {Scenarios: []string{"herd"}, Sizes: []Settings{{Callers: -1}}},
		"rate of a herd":       {Scenarios: []string{"herd"}, Sizes: []Settings{{Rate: 5}}},
		"too high a rate":      {Scenarios: []string{"steady"}, Sizes: []Settings{{Rate: maxRate + 1}}},
		"no such profile":      {Scenarios: []string{"herd"}, Sizes: []Settings{{Profile: "lenient"}}},
		"profile of steady":    {Scenarios: []string{"steady"}, Sizes: []Settings{{Profile: "strict"}}},
		"Redis of yours dies":  {Scenarios: []string{"failover"}, Redis: "redis://127.0.0.1:1"},
		"one size too large":   {Scenarios: []string{"herd"}, Sizes: []Settings{{Callers: 10}, {Callers: maxCallers + 1}}},
		"Redis URL of no kind": {Scenarios: []string{"steady"}, Redis: "http://127.0.0.1"},
		"no time at all":       {Scenarios: []string{"herd"}, Timeout: -time.Second},
		"too many in all":      {Scenarios: []string{"herd"}, Sizes: []Settings{{Replicas: 32, Callers: 2001}}},
		"too many fleets":      {Scenarios: []string{"herd"}, Sizes: []Settings{{Replicas: maxReplicas}}},
		"one of two scenarios": {Scenarios: []string{"herd", "failover"}, Sizes: []Settings{{Profile: "strict"}}},
	} {
		if o.Timeout == 0 {
			o.Timeout = time.Second // what is not refused need not run for long
		}
		rep, err := RunSuite(t.Context(), o)
		if !errors.Is(err, bellwether.ErrInvalid) || len(rep.Runs) > 0 {
			t.Errorf("%s: got %v and %d runs, want ErrInvalid and none", name, err, len(rep.Runs))
		}
	}
}

// TestScenariosRefuse: what a scenario cannot measure is refused by itself.
func TestScenariosRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		scenario string
		Settings
	}{
		"nobody left to take over": {"kill", Settings{Replicas: 1}},
		"Zoho's quota":             {"brownout", Settings{Profile: "zoho"}},
		"no time for trouble":      {"brownout", Settings{For: 4 * time.Second}},
		"two masters":              {"failover", Settings{Masters: 2}},
		"a strict failover":        {"failover", Settings{Profile: "strict"}},
		"one token":                {"failover", Settings{Tokens: 1}},
		"no time for a failover":   {"failover", Settings{For: 5 * time.Second}},
	} {
		s, err := FindScenario(c.scenario)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.settings(c.Settings); !errors.Is(err, bellwether.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

// TestSuiteOfSomeSubjects: a suite of all scenarios leaves out those that measure none of
// the subjects that were asked for.
func TestSuiteOfSomeSubjects(t *testing.T) {
	bouts, err := SuiteOptions{Sources: []Source{SourceHMGet, SourceAtomic}}.bouts()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range bouts {
		got = append(got, b.scenario.Name)
	}
	if want := []string{"hit", "cold"}; !slices.Equal(got, want) {
		t.Errorf("scenarios %q, want %q", got, want)
	}
}

// TestTurn: every source has its turn in each round, and each of them begins a round.
func TestTurn(t *testing.T) {
	b := &bout{sources: []Source{SourceBellwether, SourceShared, SourceEach}}
	first := map[Source]bool{}
	for round := range 3 {
		var places []int
		for i, s := range b.turn(round) {
			if len(places) == 0 {
				first[s] = true
			}
			if b.sources[i] != s {
				t.Errorf("place %d is that of %s, not of %s", i, b.sources[i], s)
			}
			places = append(places, i)
		}
		if slices.Sort(places); !slices.Equal(places, []int{0, 1, 2}) {
			t.Errorf("round %d takes the places %v", round, places)
		}
	}
	if len(first) != 3 {
		t.Errorf("rounds begin with %v", first)
	}
}

// TestSizes: a scenario is run at each size, laid over its defaults.
func TestSizes(t *testing.T) {
	bouts, err := SuiteOptions{Scenarios: []string{"herd", "kill"}, Sizes: []Settings{{Replicas: 2}, {Rounds: 7}}}.bouts()
	if err != nil {
		t.Fatal(err)
	}
	var got [][2]int
	for _, b := range bouts {
		got = append(got, [2]int{b.Replicas, b.Rounds})
	}
	if want := [][2]int{{2, 10}, {8, 7}, {2, 4}, {8, 7}}; !slices.Equal(got, want) {
		t.Errorf("replicas and rounds %v, want %v", got, want)
	}
}

func TestVerdict(t *testing.T) {
	rep := report.Report{Runs: []report.Run{{Scenario: "herd", Subject: "bellwether", Checks: []report.Check{
		bar("speed", "speed", false, "fast", "slow"), invariant("calls", "calls", true, "1", 1),
	}}}}
	if err := Verdict(rep, false); err != nil {
		t.Errorf("a missed bar alone: %v", err)
	}
	if err := Verdict(rep, true); err == nil || !strings.Contains(err.Error(), "want fast, got slow") {
		t.Errorf("a missed bar that is asked for: %v", err)
	}
	rep.Runs[0].Checks = append(rep.Runs[0].Checks, invariant("failed_callers", "failed callers", false, "0", 3))
	if err := Verdict(rep, false); err == nil || !strings.Contains(err.Error(), "herd, bellwether: failed callers: want 0, got 3") {
		t.Errorf("a broken invariant: %v", err)
	}
}

// TestNamedRedis: a report says of what version and kind a Redis is that was named, and
// not where it is.
func TestNamedRedis(t *testing.T) {
	t.Parallel()
	srv := redistest.Single(t, redistest.Config{Password: "p@ss/word"})
	rep, err := RunSuite(t.Context(), SuiteOptions{
		Scenarios: []string{"rotate"}, Sources: []Source{SourceBellwether}, Redis: srv.URL(),
		Sizes: []Settings{{Replicas: 1, Callers: 2, Rounds: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := rep.Runs[0].Parameters.Redis; got != "your single" || !strings.Contains(rep.Versions.Redis, ".") {
		t.Errorf("Redis is %q of version %q", got, rep.Versions.Redis)
	}
	var b strings.Builder
	if err := rep.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"p@ss", "p%40ss", srv.Addr()} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("the report holds %q", secret)
		}
	}
}

// TestSuiteKeeps: what was measured before an interrupt comes along, in a report that
// is marked.
func TestSuiteKeeps(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rep, err := RunSuite(ctx, SuiteOptions{
		Scenarios: []string{"rotate"}, Sources: []Source{SourceBellwether}, Redis: EmbeddedRedis,
		Sizes: []Settings{{Replicas: 1, Callers: 2, Rounds: 1000}},
		Say: func(text string) {
			if strings.Contains(text, "round 2 of 1000") {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || len(rep.Runs) != 1 || rep.Incomplete != "rotate, interrupted" {
		t.Fatalf("%d runs, %q, %v; want one, marked, and the interrupt", len(rep.Runs), rep.Incomplete, err)
	}
	calls, _ := rep.Runs[0].Metric("provider_calls")
	if n := len(calls.Values); n < 2 || n > 3 || len(rep.Runs[0].Checks) == 0 {
		t.Errorf("%d rounds, checks %+v; want two or three, checked", n, rep.Runs[0].Checks)
	}
}
