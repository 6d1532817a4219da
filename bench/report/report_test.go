package report

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// small is a report with a bit of everything, of exact values.
func small() Report {
	herd := Parameters{Replicas: 8, Callers: 250, LatencyMS: 1000, Profile: "strict", Rounds: 5, Redis: "single"}
	grown := herd
	grown.Replicas = 32
	return Report{
		Format:   Format,
		Started:  time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC),
		Seconds:  42.5,
		Machine:  Machine{CPU: "AMD EPYC 7B13", CPUs: 2, OS: "linux", Arch: "amd64", Kernel: "6.1.0", Memory: 8 << 30, Load: 0.25},
		Versions: Versions{Bellwether: "v0.2.0", Commit: "c756599", Modified: true, Go: "go1.26.8", Redis: "7.0.15"},
		Runs: []Run{
			{
				Scenario: "herd", Subject: "bellwether", Parameters: herd,
				Metrics: []Metric{
					{"provider_calls", "calls", Less, []float64{1, 1, 1, 1, 1}},
					{"failed_callers", "", Less, []float64{0, 0, 0, 0, 0}},
					{"extra_wait_p50", "ms", Less, []float64{4.1, 4.2, 4, 4.4, 4.3}},
					{"extra_wait_p99", "ms", Less, []float64{11.5, 12.5, 11, 13, 12}},
					{"extra_wait_max", "ms", Less, []float64{21, 22, 23, 24, 25}},
					{"redis_commands", "", Less, []float64{29, 29, 30, 29, 29}},
					{"throughput", "calls/s", More, []float64{1900, 1950, 1975, 1925, 1990}},
				},
				Checks: []Check{
					{Invariant, "provider_calls", "1", "1", true, "provider_calls"},
					{Bar, "extra_wait_p99", "≤ 10 ms", "12.0 ms", false, "extra_wait_p99"},
				},
				Commands: map[string]int64{"evalsha": 11, "hmget": 16, "publish": 1},
			},
			{
				Scenario: "herd", Subject: "redislock-exponential", Parameters: herd,
				Metrics: []Metric{
					{"provider_calls", "calls", Less, []float64{1, 1, 1, 1, 1}},
					{"extra_wait_p99", "ms", Less, []float64{3800, 4100, 3900, 4000, 4200}},
				},
				Failures: map[string]int{"redislock: not obtained": 1261, "context deadline exceeded": 3},
			},
			{
				Scenario: "herd", Subject: "bellwether", Parameters: grown,
				Metrics: []Metric{
					{"provider_calls", "calls", Less, []float64{1, 1, 1, 1, 1}},
					{"extra_wait_p99", "ms", Less, []float64{20, 21, 22, 23, 24}},
				},
				Checks: []Check{{Invariant, "provider_calls", "1", "1", true, "provider_calls"}},
			},
			{Scenario: "kill", Subject: "bellwether", Parameters: Parameters{Replicas: 4}, Metrics: []Metric{{"next_call", "ms", Less, []float64{1234.5}}},
				Checks: []Check{{Invariant, "grant", "alive", "revoked", false, "grant"}}},
		},
	}
}

func TestReportJSON(t *testing.T) {
	want := synthetic(t)
	var b bytes.Buffer
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	histograms := cmp.Comparer(func(a, b Histogram) bool {
		for _, q := range []float64{0, 0.001, 0.01, 0.1, 0.5, 0.9} {
			if a.Quantile(q) != b.Quantile(q) {
				return false
			}
		}
		return a.Count() == b.Count()
	})
	if d := cmp.Diff(want, got, histograms); d != "" {
		t.Errorf("the report changed on its way (-want +got):\n%s", d)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"format": 2}`:                 "format 2; this version reads 1",
		`{}`:                            "format 0",
		`goos: linux`:                   "not a report",
		`{"format": 1, "runs": "none"}`: "not a report",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%s): %v, want an error with %q", text, err, want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 4}, 4}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := Median(tc.values); got != tc.want {
			t.Errorf("Median(%v) = %v, want %v", tc.values, got, tc.want)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("Median(nil) = %v, want NaN", got)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 12: "12", 1234567: "1,234,567", -1234: "-1,234", 0.0123456: "0.0123",
		1.2345: "1.23", 12.345: "12.3", 123.45: "123", 999.7: "1,000", 1234.5: "1,235", 9.999: "10.0", 99.99: "100",
		math.Inf(1): "–", math.NaN(): "–",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

// TestScenarios: every run is shown at least once, growths apart from comparisons.
func TestScenarios(t *testing.T) {
	r := synthetic(t)
	shown := map[runKey]bool{}
	type shape struct {
		Scenario, Grows string
		Runs            int
	}
	var got []shape
	for _, s := range r.scenarios() {
		for _, b := range append(s.comparisons, s.growths...) {
			grows := ""
			if b.grows != nil {
				grows = b.grows.name
			}
			got = append(got, shape{s.name, grows, len(b.runs)})
			for _, run := range b.runs {
				shown[keyOf(run)] = true
			}
		}
	}
	want := []shape{{"herd", "", 7}, {"herd", "replicas", 18}, {"rotate", "", 2}, {"storm", "", 3}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("blocks (-want +got):\n%s", d)
	}
	for _, run := range r.Runs {
		if !shown[keyOf(run)] {
			t.Errorf("%v is not shown", keyOf(run))
		}
	}
}
