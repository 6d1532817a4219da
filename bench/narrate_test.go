package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/report"
)

var (
	resultWithout = Result{
		Mode: ModeWithout, Replicas: 8, Callers: 250, ProviderCalls: 8, Replays: 7, FailedCallers: 2000,
		Handover:  &report.Percentiles{P50: 0.5, P99: 9.7, Max: 10},
		ExtraWait: &report.Percentiles{P50: 1012, P99: 1020.4, Max: 2021.375}, RedisCommands: 17,
		Story: Story{Failures: map[string]int{"refused": 1999, "invalid_grant": 1}},
	}
	resultWith = Result{
		Mode: ModeBellwether, Replicas: 8, Callers: 250, ProviderCalls: 1, GrantAlive: true,
		Handover:  &report.Percentiles{P50: 1, P99: 2.25, Max: 3},
		ExtraWait: &report.Percentiles{P50: 9.5, P99: 12, Max: 13}, RedisCommands: 70,
	}
	resultKilled = Result{
		Mode: ModeHolderKilled, Replicas: 8, Callers: 250, ProviderCalls: 2, GrantAlive: true,
		ExtraWait: &report.Percentiles{P50: 3000, P99: 3001, Max: 3002}, RedisCommands: 130,
		Story: Story{Killed: 3, KilledPID: 42, LockLeft: 2980 * time.Millisecond, NextCall: 2990 * time.Millisecond},
	}
)

func TestTable(t *testing.T) {
	want := `                                 without  with Bellwether
  provider calls                       8                1
  replays of a spent token             7                0
  failed callers            2000 of 2000        0 of 2000
  grant                          revoked            alive
  extra wait p50                  1.01 s           9.5 ms
  extra wait p99                  1.02 s            12 ms
  extra wait max                  2.02 s            13 ms
  hand-over p99                   9.7 ms           2.2 ms
  Redis commands                      17               70
`
	got := table(resultWithout, resultWith)
	got = got[:strings.Index(got, "  (")]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	none := resultWithout
	none.Handover = nil
	if got := table(none, resultWith); !strings.Contains(got, "hand-over p99                        -") {
		t.Errorf("a figure that is not there:\n%s", got)
	}
}

func TestNarration(t *testing.T) {
	var b bytes.Buffer
	n := NewText(&b, false)
	o, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	n.Begin(o)
	n.Scene(ModeWithout)
	n.Live(Live{Returned: 777})
	n.Done(resultWithout)
	n.Scene(ModeBellwether)
	n.Done(resultWith)
	n.Scene(ModeHolderKilled)
	n.Done(resultKilled)
	got := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"8 replica processes with 250 callers each share one OAuth grant over an embedded Redis.",
		"The provider runs on loopback and takes 1s for a call. It is strict",
		"One use was served; 7 later uses looked like theft, so the provider revoked the grant and refuses every token made from it (1999 callers: refused).",
		"With: one replica took the lock and called once; the 1750 callers of the other replicas waited for its message and use its token.",
		"Replica 3 died with its call unanswered. Its lock ended after 2.98s;",
		"called 2.99s after the kill. 2 provider calls in all, 0 of 1750 callers of the surviving replicas failed, the grant is alive.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
	if strings.ContainsAny(b.String(), "\r\x1b") || strings.Contains(got, "777") {
		t.Errorf("a plain writer got what only a terminal understands:\n%q", b.String())
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > 110 {
			t.Errorf("a line of %d: %s", len(line), line)
		}
	}
}

// TestLive: on a terminal the moving line is erased before the next thing is said.
func TestLive(t *testing.T) {
	var b bytes.Buffer
	n := NewText(&b, true)
	n.Live(Live{Returned: 5, Callers: 10, Calls: 1, InFlight: 1})
	n.Live(Live{Returned: 7, Callers: 10, Calls: 1})
	n.Say("next")
	parts := strings.Split(b.String(), eraseLine)
	if len(parts) != 4 || !strings.Contains(parts[1], "5 of 10 callers have returned") ||
		!strings.Contains(parts[2], "7 of 10") || !strings.Contains(parts[3], "next\n") {
		t.Errorf("a terminal got %q", b.String())
	}
}

func TestExplainWithout(t *testing.T) {
	r := Result{Mode: ModeWithout, Replicas: 4, Callers: 5, ProviderCalls: 4, GrantAlive: true}
	if got := explainWithout(r); !strings.Contains(got, "4 calls for one token") {
		t.Errorf("a forgiving provider: %s", got)
	}
	r.ProviderCalls = 1
	if got := explainWithout(r); !strings.Contains(got, "luck") {
		t.Errorf("one early replica: %s", got)
	}
	r.FailedCallers, r.Story.Failures = 3, map[string]int{"no answer": 3}
	if got := explainWithout(r); !strings.Contains(got, "3 callers failed (3 callers: no answer)") {
		t.Errorf("failures: %s", got)
	}
}

// TestResultJSON: scripts read these names.
func TestResultJSON(t *testing.T) {
	var b bytes.Buffer
	n := NewJSON(&b)
	n.Begin(Options{})
	n.Scene(ModeBellwether)
	n.Say("nothing of this is JSON")
	n.Live(Live{})
	n.Done(resultWith)
	n.Done(Result{Mode: ModeWithout})
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("two results are %d lines:\n%s", len(lines), b.String())
	}
	want := `{"mode":"bellwether","replicas":8,"callers":250,"provider_calls":1,"replays":0,` +
		`"failed_callers":0,"grant_alive":true,"handover_ms":{"p50":1,"p99":2.25,"max":3},` +
		`"extra_wait_ms":{"p50":9.5,"p99":12,"max":13},"redis_commands":70}`
	if lines[0] != want {
		t.Errorf("got  %s\nwant %s", lines[0], want)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(lines[1]), &fields); err != nil {
		t.Fatal(err)
	}
	if v, there := fields["handover_ms"]; !there || v != nil {
		t.Errorf("handover_ms of nothing is %v, want null", v)
	}
}

func TestCheck(t *testing.T) {
	for _, r := range []Result{resultWithout, resultWith, resultKilled} {
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v", r.Mode, err)
		}
	}
	for name, spoil := range map[string]func(*Result){
		"calls":  func(r *Result) { r.ProviderCalls++ },
		"replay": func(r *Result) { r.Replays++ },
		"failed": func(r *Result) { r.FailedCallers++ },
		"dead":   func(r *Result) { r.GrantAlive = false },
	} {
		for _, r := range []Result{resultWith, resultKilled} {
			spoil(&r)
			if r.Check() == nil {
				t.Errorf("%s, %s: no error", r.Mode, name)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Replicas: 1}, {Replicas: -1}, {Replicas: maxReplicas + 1},
		{Callers: -1}, {Callers: maxCallers + 1},
		{Latency: -time.Second}, {Latency: maxLatency + 1},
		{Timeout: -1}, {Profile: "lenient"},
		{Redis: "http://u:hunter2@localhost"}, {Redis: "redis://u:hunter2@localhost:%zz"},
	} {
		_, err := Run(t.Context(), o, NewJSON(&bytes.Buffer{}))
		if !errors.Is(err, bellwether.ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrInvalid", o, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error holds the password: %v", err)
		}
	}
	for _, p := range Profiles() {
		if _, err := (Options{Profile: p}).withDefaults(); err != nil {
			t.Errorf("profile %s: %v", p, err)
		}
		if text := profileText(p, time.Second); len(text) < 60 {
			t.Errorf("profile %s is told as %q", p, text)
		}
	}
	if !slices.IsSorted([]time.Duration{demoTimes.CommitBudget, demoTimes.LockTTL, demoTimes.CallTimeout, demoTimes.MaxHold}) {
		t.Errorf("times: %+v", demoTimes)
	}
}
