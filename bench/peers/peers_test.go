package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/internal/redistest"
)

const testReplicas = 2

// measured runs the command on one scenario, as small as it gets, and returns its report
// and its table. Bellwether's invariants hold, or the command would have failed.
func measured(t *testing.T, name string) (report.Report, string) {
	t.Helper()
	redistest.Need(t)
	path := filepath.Join(t.TempDir(), "peers.json")
	var table bytes.Buffer
	err := run(t.Context(), []string{
		"-rounds", "1", "-sample", "2ms", "-rows", "64", "-replicas", "2", "-callers", "3", "-latency", "20ms",
		"-json", path, name,
	}, &table, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rep, err := report.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return rep, table.String()
}

// wantRuns fails unless these subjects have these metrics, one value each.
func wantRuns(t *testing.T, runs []report.Run, table string, subjects, metrics []string) {
	t.Helper()
	var gotSubjects []string
	for _, run := range runs {
		gotSubjects = append(gotSubjects, run.Subject)
		var got []string
		for _, m := range run.Metrics {
			got = append(got, m.Name)
			if len(m.Values) != 1 {
				t.Errorf("%s, %s: %d values of one round", run.Subject, m.Name, len(m.Values))
			}
		}
		if d := cmp.Diff(metrics, got); d != "" {
			t.Errorf("metrics of %s (-want +got):\n%s", run.Subject, d)
		}
		if !strings.Contains(table, run.Subject) {
			t.Errorf("the table has no line %q:\n%s", run.Subject, table)
		}
	}
	if d := cmp.Diff(subjects, gotSubjects); d != "" {
		t.Errorf("subjects (-want +got):\n%s", d)
	}
}

// wantPositive fails unless every run has a value above 0.
func wantPositive(t *testing.T, runs []report.Run, metrics ...string) {
	t.Helper()
	for _, run := range runs {
		for _, name := range metrics {
			if m, _ := run.Metric(name); !(m.Median() > 0) {
				t.Errorf("%s: %s = %v", run.Subject, name, m.Median())
			}
		}
	}
}

func TestHit(t *testing.T) {
	rep, table := measured(t, "hit")
	wantRuns(t, rep.Runs, table, []string{
		"bellwether Source.Token", "bellwether Refresher.Get", "x/oauth2 ReuseTokenSource", "google auth cached provider",
		"aws CredentialsCache", "sturdyc GetOrFetch", "limit: atomic load",
	}, []string{"procs_1", "procs_2", "procs_8", "allocations"})
	wantPositive(t, rep.Runs, "procs_1", "procs_2", "procs_8")
	for _, module := range peerModules {
		if rep.Versions.Modules[module] == "" || !strings.Contains(table, module) {
			t.Errorf("no version of %s is told", module)
		}
	}
}

func TestRead(t *testing.T) {
	rep, table := measured(t, "read")
	wantRuns(t, rep.Runs, table, []string{
		"bellwether Peek, unsealed", "go-redis HMGET", "rueidis DoCache, hit", "rueidis DoCache, miss",
	}, []string{"alone", "together"})
	wantPositive(t, rep.Runs, "alone", "together")
}

// TestRefresh: nobody can wait less than the provider takes, caches of one process call
// once each at most while nothing fails, and the lock of a shared folder lets one call.
func TestRefresh(t *testing.T) {
	rep, table := measured(t, "refresh")
	var names []string
	for _, o := range openers {
		names = append(names, o.name)
	}
	if got := len(rep.Runs); got != 2*len(names) {
		t.Fatalf("%d runs, want %d at each of two providers", got, len(names))
	}
	reusable, strict := rep.Runs[:len(names)], rep.Runs[len(names):]
	for profile, runs := range map[string][]report.Run{"reusable": reusable, "strict": strict} {
		wantRuns(t, runs, table, names, []string{
			"provider_calls", "failed_callers", "replays", "grants_lost", "extra_wait_p50", "extra_wait_p99", "extra_wait_max",
		})
		wantPositive(t, runs, "provider_calls", "extra_wait_max")
		for _, run := range runs {
			if run.Parameters.Profile != profile {
				t.Errorf("%s ran at profile %q, want %q", run.Subject, run.Parameters.Profile, profile)
			}
			if got := run.Waits.Count(); got != 3*testReplicas {
				t.Errorf("%s: %d waits, want one of each caller", run.Subject, got)
			}
		}
		if calls, _ := runs[1].Metric("provider_calls"); calls.Median() != 1 {
			t.Errorf("%s, %s: %v provider calls, want 1", runs[1].Subject, profile, calls.Median())
		}
		if got := len(runs[0].Checks); got != 4 {
			t.Errorf("%d checks of %s, want 4", got, runs[0].Subject)
		}
	}
	for _, run := range reusable {
		calls, _ := run.Metric("provider_calls")
		if failed, _ := run.Metric("failed_callers"); calls.Median() > testReplicas || failed.Median() != 0 {
			t.Errorf("%s: %v calls by %d replicas, %v failed callers", run.Subject, calls.Median(), testReplicas, failed.Median())
		}
	}
}

func TestRaw(t *testing.T) {
	rep, table := measured(t, "raw")
	wantRuns(t, rep.Runs, table, []string{"PUBLISH to receive", "PING to answer"}, []string{"p50", "p99"})
	wantPositive(t, rep.Runs, "p50", "p99")
}

// TestScenarioAlternates: subjects take turns, a round that warms up does not count, and
// what was opened is closed in reverse.
func TestScenarioAlternates(t *testing.T) {
	var order, closed []string
	take := func(name string) subject {
		return subject{name: name, measure: func(_ context.Context, run *report.Run) error {
			order = append(order, name)
			run.Add("n", "", "", float64(len(order)))
			return nil
		}}
	}
	sc := scenario{name: "x", open: func(_ context.Context, st *stage) (report.Parameters, []subject, error) {
		st.atEnd(func() { closed = append(closed, "first") })
		st.atEnd(func() { closed = append(closed, "second") })
		checked := take("b")
		checked.check = func(report.Run) []report.Check { return []report.Check{{Name: "checked"}} }
		return report.Parameters{Tokens: 7}, []subject{take("a"), checked}, nil
	}}
	runs, err := sc.run(t.Context(), &stage{options: options{rounds: 2, say: func(string, ...any) {}}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a", "b", "b", "a", "a", "b"}, order); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"second", "first"}, closed); d != "" {
		t.Errorf("closed (-want +got):\n%s", d)
	}
	for i := range runs {
		runs[i].Seconds = 0
	}
	p := report.Parameters{Tokens: 7, Rounds: 2}
	want := []report.Run{
		{Scenario: "x", Subject: "a", Parameters: p, Metrics: []report.Metric{{Name: "n", Values: []float64{4, 5}}}},
		{Scenario: "x", Subject: "b", Parameters: p, Metrics: []report.Metric{{Name: "n", Values: []float64{3, 6}}},
			Checks: []report.Check{{Name: "checked"}}},
	}
	if d := cmp.Diff(want, runs); d != "" {
		t.Errorf("runs (-want +got):\n%s", d)
	}
}

// TestScenarioEnds: an error ends the scenario, and what was measured before it comes
// along, checked.
func TestScenarioEnds(t *testing.T) {
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	for _, tc := range []struct {
		name string
		last func(context.Context) error
		want error
		text string
	}{
		{"a failure", func(context.Context) error { return broken }, broken, "subject: broken"},
		{"an interrupt", func(context.Context) error { cancel(); return ctx.Err() }, context.Canceled, "subject: context canceled"},
	} {
		rounds := 0
		sc := scenario{open: func(context.Context, *stage) (report.Parameters, []subject, error) {
			return report.Parameters{}, []subject{{
				name: "subject",
				measure: func(ctx context.Context, run *report.Run) error {
					if rounds++; rounds == 3 {
						return tc.last(ctx)
					}
					run.Add("n", "", "", 1)
					return nil
				},
				check: func(report.Run) []report.Check { return []report.Check{{Name: "checked"}} },
			}}, nil
		}}
		runs, err := sc.run(ctx, &stage{options: options{rounds: 2, say: func(string, ...any) {}}})
		if !errors.Is(err, tc.want) || err.Error() != tc.text {
			t.Errorf("%s: %v", tc.name, err)
		}
		if len(runs) != 1 || len(runs[0].Metrics[0].Values) != 1 || len(runs[0].Checks) != 1 {
			t.Errorf("%s: %+v, want the round before it, checked", tc.name, runs)
		}
	}
	runs, err := scenario{open: func(context.Context, *stage) (report.Parameters, []subject, error) {
		return report.Parameters{}, []subject{{name: "subject"}}, nil
	}}.run(ctx, &stage{options: options{rounds: 1, say: func(string, ...any) {}}})
	if !errors.Is(err, context.Canceled) || len(runs) != 0 {
		t.Errorf("interrupted before the first round: %+v, %v", runs, err)
	}
}

// TestInterrupt: an interrupted run writes what it has, marked, and is an error.
func TestInterrupt(t *testing.T) {
	redistest.Need(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	path := filepath.Join(t.TempDir(), "peers.json")
	var table bytes.Buffer
	err := run(ctx, []string{"-rounds", "1000", "-sample", "1ms", "-json", path, "raw"}, &table, stopper{"round 3 of", cancel})
	if !errors.Is(err, context.Canceled) || !strings.Contains(table.String(), "INCOMPLETE (raw, interrupted)") {
		t.Fatalf("%v, and the table\n%s", err, table.String())
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rep, err := report.Read(f)
	if err != nil || rep.Incomplete != "raw, interrupted" || len(rep.Runs) != 2 {
		t.Errorf("%d runs, %q, %v", len(rep.Runs), rep.Incomplete, err)
	}
}

// A stopper calls a function when a text is written to it.
type stopper struct {
	at   string
	stop func()
}

func (s stopper) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(s.at)) {
		s.stop()
	}
	return len(p), nil
}

func TestLoad(t *testing.T) {
	rows := make([]storedRow, 10)
	for i := range rows {
		rows[i].id = string(rune('a' + i))
	}
	var mu sync.Mutex
	var read []string
	note := func(r storedRow) error {
		mu.Lock()
		defer mu.Unlock()
		read = append(read, r.id)
		return nil
	}
	n, took, err := load(t.Context(), 4, time.Hour, rows, true, note)
	slices.Sort(read)
	if err != nil || n != 10 || took <= 0 || strings.Join(read, "") != "abcdefghij" {
		t.Errorf("each row once: %d in %v, %v: %v", n, took, err, read)
	}
	if n, _, err := load(t.Context(), 4, time.Millisecond, rows, false, note); err != nil || n == 0 {
		t.Errorf("for a time: %d, %v", n, err)
	}
	broken := errors.New("broken")
	if _, _, err := load(t.Context(), 4, time.Hour, rows, false, func(storedRow) error { return broken }); err != broken {
		t.Errorf("a failing read: %v, want %v", err, broken)
	}
}

// TestExtra: what the provider took is no part of a wait that it ended, and nothing is
// taken off one that ended in a failure.
func TestExtra(t *testing.T) {
	good := answer{took: 310 * time.Millisecond}
	if got := good.extra(300 * time.Millisecond); got != 10*time.Millisecond {
		t.Errorf("a caller with a token waits %v more", got)
	}
	early := answer{took: 290 * time.Millisecond, err: errors.New("refused")}
	if got := early.extra(300 * time.Millisecond); got != early.took {
		t.Errorf("a failed caller waits %v, want all of %v", got, early.took)
	}
}

func TestCheckRefresh(t *testing.T) {
	good := func() (run report.Run) {
		for range 2 {
			run.Add("provider_calls", "calls", report.Less, 1)
			run.Add("failed_callers", "callers", report.Less, 0)
			run.Add("replays", "replays", report.Less, 0)
			run.Add("grants_lost", "grants", report.Less, 0)
		}
		return run
	}
	broken := func(run report.Run) []string {
		run.Checks = checkRefresh(run)
		return report.Report{Runs: []report.Run{run}}.Broken(report.Invariant)
	}
	if got := broken(good()); got != nil {
		t.Errorf("a good run breaks %q", got)
	}
	for i := range 4 {
		run := good()
		run.Metrics[i].Values[1]++
		if got := broken(run); len(got) != 1 {
			t.Errorf("one more of %s in one round breaks %q", run.Metrics[i].Name, got)
		}
	}
}

func TestParse(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"}, {"-rounds", "0"}, {"-replicas", "65"}, {"-callers", "-1"}, {"-rows", "0"}, {"-sample", "1h"}, {"-latency", "-1s"},
		{"-json", filepath.Join(t.TempDir(), "none", "x.json")},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // nothing is measured even if all is accepted
		if err := run(ctx, args, io.Discard, io.Discard); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v", args, err)
		}
	}
	o, path, err := parse([]string{"-rounds", "3", "-json", "x", "hit", "raw"}, io.Discard)
	if err != nil || o.rounds != 3 || path != "x" || !slices.Equal(o.only, []string{"hit", "raw"}) {
		t.Errorf("parse = %+v, %q, %v", o, path, err)
	}
}
