package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/perf/benchfmt"
)

// parsed is what benchfmt reads of a report: the values by name and unit.
func parsed(t *testing.T, r Report) (values map[string]map[string][]float64, config, better map[string]string) {
	t.Helper()
	var b bytes.Buffer
	if err := WriteGoBench(&b, r); err != nil {
		t.Fatal(err)
	}
	values, config, better = map[string]map[string][]float64{}, map[string]string{}, map[string]string{}
	reader := benchfmt.NewReader(&b, "report")
	for reader.Scan() {
		switch rec := reader.Result().(type) {
		case *benchfmt.Result:
			name := rec.Name.String()
			if values[name] == nil {
				values[name] = map[string][]float64{}
			}
			for _, v := range rec.Values {
				values[name][v.Unit] = append(values[name][v.Unit], v.Value)
			}
			for _, c := range rec.Config {
				config[c.Key] = string(c.Value)
			}
		case *benchfmt.UnitMetadata:
			better[rec.OrigUnit] = rec.Value
		default:
			t.Errorf("not understood: %v", rec)
		}
	}
	if err := reader.Err(); err != nil {
		t.Fatal(err)
	}
	return values, config, better
}

func TestGoBench(t *testing.T) {
	values, config, better := parsed(t, small())
	const common = "/callers=250/latency=1s/profile=strict/redis=single"
	if d := cmp.Diff([]float64{11.5, 12.5, 11, 13, 12}, values["Herd/subject=bellwether/replicas=8"+common]["extra_wait_p99-ms"]); d != "" {
		t.Errorf("values of a metric (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]float64{1, 1, 1, 1, 1}, values["Herd/subject=redislock-exponential/replicas=8"+common]["provider_calls"]); d != "" {
		t.Errorf("values of a count (-want +got):\n%s", d)
	}
	if len(values) != 4 {
		t.Errorf("%d names, want 4", len(values))
	}
	wantConfig := map[string]string{
		"goos": "linux", "goarch": "amd64", "pkg": "github.com/bellwether-go/bellwether/bench", "cpu": "AMD EPYC 7B13", "cpus": "2",
		"bellwether": "v0.2.0", "commit": "c756599 modified", "go": "go1.26.8", "redis": "7.0.15",
	}
	if d := cmp.Diff(wantConfig, config); d != "" {
		t.Errorf("configuration (-want +got):\n%s", d)
	}
	if better["extra_wait_p99-ms"] != "lower" || better["throughput-calls/s"] != "higher" {
		t.Errorf("ways of units: %v", better)
	}
}

// TestGoBenchNames: no name ends its field, adds a part or looks like GOMAXPROCS.
func TestGoBenchNames(t *testing.T) {
	r := small()
	r.Runs = r.Runs[:1]
	r.Runs[0].Scenario = "slow-provider"
	r.Runs[0].Subject = "a b/c\nd-8"
	r.Runs[0].Parameters = Parameters{}
	r.Runs[0].Metrics[0].Name = "calls made"
	values, _, _ := parsed(t, r)
	const want = "SlowProvider/subject=a_b_c_d_8"
	if got := values[want]["calls_made-calls"]; !slices.Equal(got, []float64{1, 1, 1, 1, 1}) {
		t.Errorf("%s is not among %v", want, values)
	}
}

// TestGoBenchUneven: a metric that some rounds lack is left out of those.
func TestGoBenchUneven(t *testing.T) {
	r := Report{Runs: []Run{{Scenario: "kill", Subject: "bellwether", Metrics: []Metric{
		{Name: "a", Values: []float64{1, 2, 3}}, {Name: "b", Values: []float64{4}},
	}}}}
	values, _, _ := parsed(t, r)
	want := map[string]map[string][]float64{"Kill/subject=bellwether": {"a": {1, 2, 3}, "b": {4}}}
	if d := cmp.Diff(want, values); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
}

func TestGoBenchLines(t *testing.T) {
	var b strings.Builder
	if err := WriteGoBench(&b, small()); err != nil {
		t.Fatal(err)
	}
	golden(t, "gobench.txt", b.String())
}
