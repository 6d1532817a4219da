package report

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestHistogramMerge spreads durations over several histograms that travel as JSON: the
// whole must have the percentiles of the durations themselves.
func TestHistogramMerge(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	var merged Histogram
	for range 5 {
		var part Histogram
		for range 1000 {
			d := time.Duration(rnd.ExpFloat64() * float64(20*time.Millisecond))
			all = append(all, d)
			if err := part.Record(d); err != nil {
				t.Fatal(err)
			}
		}
		line, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		var travelled Histogram
		if err := json.Unmarshal(line, &travelled); err != nil {
			t.Fatal(err)
		}
		merged.Merge(travelled)
	}
	if got := merged.Count(); got != 5000 {
		t.Fatalf("Count() = %d, want 5000", got)
	}
	slices.Sort(all)
	got := merged.Percentiles()
	for _, tc := range []struct {
		name string
		got  float64
		want time.Duration
	}{
		{"p50", got.P50, all[2499]}, {"p99", got.P99, all[4949]}, {"max", got.Max, all[4999]},
	} {
		want := float64(tc.want) / float64(time.Millisecond)
		if math.Abs(tc.got-want) > 0.002*want+0.001 {
			t.Errorf("%s = %v ms, want %v ms", tc.name, tc.got, want)
		}
	}
}

func TestHistogramRefuses(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{-time.Nanosecond, -time.Hour, histogramMost + time.Second} {
		if h.Record(d) == nil {
			t.Errorf("Record(%v) gave no error", d)
		}
	}
	if h.Count() != 0 {
		t.Errorf("Count() = %d after refusals", h.Count())
	}
	if err := h.UnmarshalText([]byte("nonsense")); err == nil {
		t.Error("nonsense was decoded")
	}
}

func TestHistogramEmpty(t *testing.T) {
	var h, other Histogram
	h.Merge(other)
	if h.Count() != 0 || h.Percentiles() != nil {
		t.Errorf("an empty histogram has %d values and percentiles %v", h.Count(), h.Percentiles())
	}
}

func TestHistogramZero(t *testing.T) {
	var h Histogram
	if err := h.Record(0); err != nil {
		t.Fatal(err)
	}
	if p := h.Percentiles(); p == nil || *p != (Percentiles{}) {
		t.Errorf("percentiles of a zero are %v", p)
	}
}
