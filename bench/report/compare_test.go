package report

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
)

// of is a report of one metric of one run.
func of(unit string, better Better, values ...float64) Report {
	r := small()
	r.Runs = []Run{{Scenario: "herd", Subject: "bellwether", Metrics: []Metric{{"m", unit, better, values}}}}
	return r
}

func TestCompareVerdicts(t *testing.T) {
	base := []float64{100, 101, 102, 103, 104}
	times := func(f float64) (v []float64) {
		for _, b := range base {
			v = append(v, b*f)
		}
		return v
	}
	for _, tc := range []struct {
		name     string
		old, new Report
		opt      CompareOptions
		want     Verdict
		fails    bool
	}{
		{"equal", of("ms", Less, base...), of("ms", Less, base...), CompareOptions{}, Same, false},
		{"more of what should be less", of("ms", Less, base...), of("ms", Less, times(1.2)...), CompareOptions{}, Worsened, true},
		{"less of what should be less", of("ms", Less, base...), of("ms", Less, times(0.8)...), CompareOptions{}, Improved, false},
		{"more of what should be more", of("/s", More, base...), of("/s", More, times(1.2)...), CompareOptions{}, Improved, false},
		{"less of what should be more", of("/s", More, base...), of("/s", More, times(0.8)...), CompareOptions{}, Worsened, true},
		{"sure, but below the threshold", of("ms", Less, base...), of("ms", Less, times(1.045)...), CompareOptions{}, Same, false},
		{"above a smaller threshold", of("ms", Less, base...), of("ms", Less, times(1.045)...), CompareOptions{Threshold: 0.01}, Worsened, true},
		{"no threshold", of("ms", Less, base...), of("ms", Less, times(1.045)...), CompareOptions{Threshold: -1}, Worsened, true},
		{"great, but not sure", of("ms", Less, 100, 500, 90, 80, 110), of("ms", Less, 160, 95, 150, 99, 140), CompareOptions{}, Same, false},
		{"not sure enough for a smaller alpha", of("ms", Less, base...), of("ms", Less, times(1.2)...), CompareOptions{Alpha: 0.001}, TooFew, false},
		{"three rounds", of("ms", Less, 1, 2, 3), of("ms", Less, 10, 20, 30), CompareOptions{}, TooFew, false},
		{"three rounds against many", of("ms", Less, 1, 2, 3), of("ms", Less, 10, 20, 30, 40, 50, 60), CompareOptions{}, Worsened, true},
		{"one round of a constant", of("", Less, 1), of("", Less, 1), CompareOptions{}, Same, false},
		{"a count from zero", of("", Less, 0, 0, 0, 0, 0), of("", Less, 1, 1, 1, 1, 1), CompareOptions{}, Worsened, true},
		{"neither good nor bad", of("", "", base...), of("", "", times(2)...), CompareOptions{}, Different, false},
		{"no new values", of("ms", Less, base...), of("ms", Less), CompareOptions{}, Missing, true},
		{"no old values", of("ms", Less), of("ms", Less, base...), CompareOptions{}, Added, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Compare(tc.old, tc.new, tc.opt)
			if len(c.Deltas) != 1 || c.Deltas[0].Verdict != tc.want {
				t.Fatalf("%+v, want one that is %q", c.Deltas, tc.want)
			}
			if err := c.Err(); (err != nil) != tc.fails {
				t.Errorf("Err() = %v, want an error: %v", err, tc.fails)
			}
		})
	}
}

// TestCompareLastLine: what could not be judged is not told to be fine.
func TestCompareLastLine(t *testing.T) {
	for _, tc := range []struct {
		old, new []float64
		want     string
	}{
		{[]float64{1, 2, 3, 4}, []float64{1, 2, 3, 4}, "not worse"},
		{[]float64{1, 2, 3}, []float64{10, 20, 30}, "not worse, as far as can be told: 1 metric has too few rounds to judge (run both with --rounds 4)"},
		{[]float64{1, 2, 3, 4}, []float64{10, 20, 30, 40}, "WORSE: 1 metric is worse"},
	} {
		text := comparison(t, Compare(of("ms", Less, tc.old...), of("ms", Less, tc.new...), CompareOptions{}))
		if !strings.HasSuffix(text, "\n"+tc.want+"\n") {
			t.Errorf("%v, now %v: the last line is not %q:\n%s", tc.old, tc.new, tc.want, text)
		}
	}
}

func TestCompareNumbers(t *testing.T) {
	c := Compare(of("ms", Less, 1, 2, 3, 4, 5), of("ms", Less, 11, 12, 13, 14, 15), CompareOptions{})
	d := c.Deltas[0]
	if want := 13.0 / 3; d.Ratio != want {
		t.Errorf("Ratio = %v, want %v", d.Ratio, want)
	}
	if want := 2.0 / 252; math.Abs(d.P-want) > 1e-12 { // 2 of the ways to choose 5 of 10
		t.Errorf("P = %v, want %v", d.P, want)
	}
	d = Compare(of("", Less, 0, 0, 0, 0), of("", Less, 1, 1, 1, 1), CompareOptions{}).Deltas[0]
	if !math.IsInf(d.Ratio, 1) {
		t.Errorf("Ratio from 0 = %v, want +Inf", d.Ratio)
	}
	if d = Compare(of("", Less, 1, 2, 3), of("", Less, 4, 5, 6), CompareOptions{}).Deltas[0]; d.Need != 4 {
		t.Errorf("Need = %d, want 4", d.Need)
	}
}

// TestRoundsFor holds the number of rounds against the test itself: with so many it
// sees a complete difference, with one less it does not.
func TestRoundsFor(t *testing.T) {
	for _, alpha := range []float64{0.05, 0.01, 0.001} {
		n := roundsFor(alpha)
		for _, rounds := range []int{n - 1, n} {
			var a, b []float64
			for i := range rounds {
				a, b = append(a, float64(i)), append(b, float64(100+i))
			}
			if sees := mannWhitney(a, b) <= alpha; sees != (rounds == n) {
				t.Errorf("alpha %v, %d rounds: difference seen: %v; roundsFor says %d", alpha, rounds, sees, n)
			}
		}
	}
}

func TestCompareOtherMachine(t *testing.T) {
	for _, tc := range []struct {
		unit   string
		across bool
		want   Verdict
	}{{"ms", false, ToldOnly}, {"ops/s", false, ToldOnly}, {"ms", true, Worsened}, {"", false, Worsened}, {"bytes", false, Worsened}} {
		old, new := of(tc.unit, Less, 1, 2, 3, 4, 5), of(tc.unit, Less, 11, 12, 13, 14, 15)
		new.Machine.CPUs = 64
		c := Compare(old, new, CompareOptions{AcrossMachines: tc.across})
		if got := c.Deltas[0].Verdict; got != tc.want {
			t.Errorf("unit %q, across %v: %q, want %q", tc.unit, tc.across, got, tc.want)
		}
		if text := comparison(t, c); !strings.HasPrefix(text, "OTHER MACHINE (CPUs: 2, now 64)") {
			t.Errorf("the machine is not told first:\n%s", text)
		}
	}
	old, new := of("ms", Less, 1), of("ms", Less, 1)
	new.Machine.Load, new.Machine.Kernel = 1.5, "6.2"
	if c := Compare(old, new, CompareOptions{}); c.OtherMachine != nil {
		t.Errorf("another load or kernel is another machine: %v", c.OtherMachine)
	}
}

func TestCompareRuns(t *testing.T) {
	old, new := small(), small()
	new.Runs = slices.Delete(new.Runs, 1, 2)
	c := Compare(old, new, CompareOptions{})
	if len(c.MissingRuns) != 1 || !strings.Contains(c.MissingRuns[0], "redislock-exponential") || c.Err() == nil {
		t.Errorf("missing runs %q, error %v", c.MissingRuns, c.Err())
	}
	c = Compare(new, old, CompareOptions{})
	if len(c.MissingRuns) != 0 || c.Err() != nil || c.count(Added) != 2 {
		t.Errorf("a new run: missing %q, %d new metrics, error %v", c.MissingRuns, c.count(Added), c.Err())
	}

	new = small()
	new.Runs[2].Parameters.Rounds = 99 // more rounds are no other run
	if c := Compare(old, new, CompareOptions{}); c.Err() != nil {
		t.Error(c.Err())
	}
	new.Runs[2].Parameters.Replicas = 31
	if c := Compare(old, new, CompareOptions{}); c.Err() == nil {
		t.Error("a run with other parameters stands for the old one")
	}
}

// TestComparePools: runs that are asked for the same count as one with more rounds.
func TestComparePools(t *testing.T) {
	old, new := of("ms", Less, 1, 2, 3), of("ms", Less, 11, 12, 13)
	old.Runs, new.Runs = append(old.Runs, old.Runs...), append(new.Runs, new.Runs...)
	c := Compare(old, new, CompareOptions{})
	if len(c.Deltas) != 1 || len(c.Deltas[0].Old) != 6 || c.Deltas[0].Verdict != Worsened {
		t.Errorf("%+v, want one of 6 rounds that is worse", c.Deltas)
	}
}

func TestCompareChecks(t *testing.T) {
	old, new := small(), small()
	if c := Compare(old, new, CompareOptions{}); len(c.StillBroken) != 1 || len(c.Broken)+len(c.MissedBars) != 0 || c.Err() != nil {
		t.Errorf("the same twice: still broken %q, broken %q, bars %q, error %v", c.StillBroken, c.Broken, c.MissedBars, c.Err())
	}
	old.Runs[0].Checks[1].OK = true // a bar
	if c := Compare(old, new, CompareOptions{}); len(c.MissedBars) != 1 || c.Err() != nil {
		t.Errorf("a missed bar: %q, error %v", c.MissedBars, c.Err())
	}
	old.Runs[3].Checks = nil // not checked is not broken
	c := Compare(old, new, CompareOptions{})
	if len(c.Broken) != 1 || len(c.StillBroken) != 0 || c.Err() == nil {
		t.Errorf("a broken invariant: %q, still broken %q, error %v", c.Broken, c.StillBroken, c.Err())
	}
}

func comparison(t *testing.T, c Comparison) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteComparison(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteComparison(t *testing.T) {
	old, new := small(), small()
	new.Started = new.Started.AddDate(0, 0, 1)
	new.Versions.Commit, new.Versions.Modified = "d0c5", false
	new.Machine.CPUs = 8
	new.Runs[0].Metrics[0].Values = []float64{2, 2, 2, 2, 2}
	new.Runs[0].Metrics[3].Values = []float64{1, 1, 1, 1, 2}
	new.Runs[0].Checks[0] = Check{Invariant, "provider_calls", "1", "2", false, "provider_calls"}
	new.Runs[3].Metrics[0] = Metric{"restarts", "", Less, []float64{1}}
	new.Runs = slices.Delete(new.Runs, 2, 3)
	text := comparison(t, Compare(old, new, CompareOptions{}))
	golden(t, "comparison.txt", text)
	if last := "WORSE: 1 metric is worse, 1 invariant breaks, 1 run is missing\n"; !strings.HasSuffix(text, "\n"+last) {
		t.Errorf("the last line is not the verdict:\n%s", text)
	}
}

// TestCompareJSON: it says what the text says, and needs no number that JSON has not got.
func TestCompareJSON(t *testing.T) {
	for _, tc := range []struct {
		name     string
		old, new []float64
		want     string
	}{
		{"worse", []float64{1, 2, 3, 4}, []float64{10, 20, 30, 40}, `"ok":false,"verdict":"WORSE: 1 metric is worse"`},
		{"worse, its median", []float64{1, 2, 3, 4}, []float64{10, 20, 30, 40}, `"old":2.5,"new":25,"old_rounds":4,"new_rounds":4,"ratio":10`},
		{"too few rounds", []float64{1, 2}, []float64{3, 4}, `"need_rounds":4,"verdict":"too few rounds"`},
		{"from 0", []float64{0, 0, 0, 0}, []float64{1, 1, 1, 1}, `"new_rounds":4,"p":`},
		{"no new value", []float64{1, 2}, nil, `"old":1.5,"old_rounds":2,"new_rounds":0,"p":1`},
	} {
		b, err := json.Marshal(Compare(of("ms", Less, tc.old...), of("ms", Less, tc.new...), CompareOptions{}))
		if err != nil || !strings.Contains(string(b), tc.want) {
			t.Errorf("%s: %v: no %s in\n%s", tc.name, err, tc.want, b)
		}
	}
}

// TestCompareTooFew: each metric that could not be judged says what would.
func TestCompareTooFew(t *testing.T) {
	text := comparison(t, Compare(of("ms", Less, 1, 2), of("ms", Less, 3, 4, 5), CompareOptions{}))
	if want := "too few rounds to judge: 2; run with --rounds 4"; !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}
