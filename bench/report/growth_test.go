package report

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
)

// TestGrowthAxis: an axis is logarithmic when sizes lie more than two decades apart, every
// measured place lies on it, and the texts of its ticks do not touch.
func TestGrowthAxis(t *testing.T) {
	for _, c := range []struct {
		sizes []float64
		log   bool
		texts []string
	}{
		{[]float64{1, 2, 3}, false, []string{"1", "2", "3"}},
		{[]float64{5}, false, []string{"5"}},
		{[]float64{1, 2, 4, 8, 16, 32}, false, []string{"1", "8", "16", "32"}},
		{[]float64{1, 100}, false, []string{"1", "100"}},
		{[]float64{1, 101}, true, []string{"1", "101"}},
		{[]float64{1, 100, 10_000, 100_000, 1_000_000}, true, []string{"1", "100", "10,000", "100,000", "1,000,000"}},
		{[]float64{1, 1.1, 1000}, true, []string{"1", "1,000"}},
	} {
		p := &plot{At: c.sizes}
		p.growthAxis("tokens")
		if p.X.Log != c.log || strings.Contains(p.X.Title, "log scale") != c.log {
			t.Errorf("%v: %q, log %v, want %v", c.sizes, p.X.Title, p.X.Log, c.log)
		}
		if got := p.X.Texts; !slices.Equal(got, c.texts) {
			t.Errorf("%v: ticks %q, want %q", c.sizes, got, c.texts)
		}
		if p.X.From >= c.sizes[0] || p.X.To <= c.sizes[len(c.sizes)-1] || p.X.Log && p.X.From <= 0 || math.IsNaN(p.X.From) {
			t.Errorf("%v do not lie within %v and %v", c.sizes, p.X.From, p.X.To)
		}
	}
}

// TestGrowingMasters: a server and Clusters are one growth, in the table and on the page.
func TestGrowingMasters(t *testing.T) {
	r := Report{Format: Format}
	for i, redis := range []string{"single", "cluster", "cluster"} {
		run := Run{Scenario: "storm", Subject: "bellwether", Parameters: Parameters{Replicas: 8, Masters: i + 1, Redis: redis}}
		run.Add("redis_commands", "commands", Less, float64(800+i))
		r.Runs = append(r.Runs, run)
	}
	growths := r.scenarios()[0].growths
	if len(growths) != 1 || growths[0].grows.name != "masters" || len(growths[0].runs) != 3 {
		t.Fatalf("growths %+v, want one over 3 masters", growths)
	}
	other := r
	other.Runs = slices.Clone(r.Runs[:2])
	other.Runs[1].Parameters.Redis = "sentinel"
	if got := other.scenarios()[0].growths; len(got) != 0 {
		t.Errorf("a server and a Sentinel are one growth: %+v", got)
	}
	var table, page bytes.Buffer
	if err := WriteTable(&table, r); err != nil {
		t.Fatal(err)
	}
	if want := "storm, growing masters: 8 replicas\n"; !strings.Contains(table.String(), want) {
		t.Errorf("no %q in\n%s", want, &table)
	}
	if err := WriteHTML(&page, r); err != nil {
		t.Fatal(err)
	}
	if want := `{"title":"masters (1: no Cluster)","from":0.9,"to":3.1,"ticks":[1,2,3],"texts":["1","2","3"]}`; !strings.Contains(page.String(), want) {
		t.Errorf("no axis %s on the page", want)
	}
}
