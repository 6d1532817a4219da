// Package report holds what the bench harness has measured: the model, its JSON, and
// the forms in which people and programs read it (a table, an HTML page, lines for
// benchstat, a comparison of two reports).
//
// It knows nothing of how things are measured.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// Format is the version of the JSON form. Fields may be added to a format, and a reader
// leaves out those that it does not know. It refuses another format.
const Format = 1

// A Report is one run of the harness.
type Report struct {
	Format   int       `json:"format"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"` // of the whole run
	Machine  Machine   `json:"machine"`
	Versions Versions  `json:"versions"`
	// Incomplete says why the run ended before all was measured; blank when all was.
	Incomplete string `json:"incomplete,omitempty"`
	Runs       []Run  `json:"runs"`
}

// A Machine is what was measured on.
type Machine struct {
	CPU    string  `json:"cpu"` // model
	CPUs   int     `json:"cpus"`
	OS     string  `json:"os"`
	Arch   string  `json:"arch"`
	Kernel string  `json:"kernel,omitempty"`
	Memory int64   `json:"memory,omitempty"` // bytes
	Load   float64 `json:"load"`             // of the last minute, before the run; negative: not known
}

// Versions are those of all that takes part.
type Versions struct {
	Bellwether string            `json:"bellwether"`
	Commit     string            `json:"commit,omitempty"`
	Modified   bool              `json:"modified,omitempty"` // the tree differed from the commit
	Go         string            `json:"go"`
	Redis      string            `json:"redis"` // of the server
	Modules    map[string]string `json:"modules,omitempty"`
}

// A Run is one subject in one scenario.
type Run struct {
	Scenario   string     `json:"scenario"`
	Subject    string     `json:"subject"`
	Parameters Parameters `json:"parameters"`
	Seconds    float64    `json:"seconds"`
	Metrics    []Metric   `json:"metrics"`
	Checks     []Check    `json:"checks,omitempty"`
	// Waits are those of all callers in all rounds; the metric that is made of them
	// says what is counted.
	Waits *Histogram `json:"waits,omitempty"`
	// Timeline is of one round, the last.
	Timeline []Mark `json:"timeline,omitempty"`
	// Commands are the Redis commands of one round, the last, by name.
	Commands map[string]int64 `json:"commands,omitempty"`
	// Failures are what failed callers were told, over all rounds.
	Failures map[string]int `json:"failures,omitempty"`
}

// Parameters are what a Run was asked for. Two Runs are compared when these are equal,
// Rounds apart: more of them say the same more surely.
type Parameters struct {
	Replicas  int     `json:"replicas,omitempty"`
	Callers   int     `json:"callers,omitempty"` // in each replica
	Tokens    int     `json:"tokens,omitempty"`
	Masters   int     `json:"masters,omitempty"`    // of Redis: 1 is no Cluster
	Rate      float64 `json:"rate,omitempty"`       // arrivals a second, in all
	Seconds   float64 `json:"seconds,omitempty"`    // for which they arrive
	LatencyMS float64 `json:"latency_ms,omitempty"` // of the provider
	Profile   string  `json:"profile,omitempty"`
	Rounds    int     `json:"rounds,omitempty"` // measured ones
	Redis     string  `json:"redis,omitempty"`  // embedded, single, cluster, sentinel; of one that was named "your single" and so on
}

// A Metric is one number of each round.
type Metric struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Better Better    `json:"better,omitempty"`
	Values []float64 `json:"values"` // one a round, in order
}

// Better says which way a metric should go.
type Better string

// The ways. Blank is a number that is neither good nor bad.
const (
	Less Better = "less"
	More Better = "more"
)

// Median is NaN without values.
func (m Metric) Median() float64 { return Median(m.Values) }

// Range returns the least and the greatest value; NaN without values.
func (m Metric) Range() (least, most float64) {
	if len(m.Values) == 0 {
		return math.NaN(), math.NaN()
	}
	return slices.Min(m.Values), slices.Max(m.Values)
}

// Median returns the middle of the values, the mean of the two middle ones for an even
// number, NaN for none.
func Median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(n-1)/2] + v[n/2]) / 2
}

// A Check compares what was measured with what must be.
type Check struct {
	Kind CheckKind `json:"kind"`
	Name string    `json:"name"`
	Want string    `json:"want"`
	Got  string    `json:"got"`
	OK   bool      `json:"ok"`
	// Metric is the one that is held to it; blank when that is not one of the Run's.
	Metric string `json:"metric,omitempty"`
}

// CheckKind says what a Check that fails means.
type CheckKind string

// The kinds.
const (
	// An Invariant holds on every machine: one that fails is a fault.
	Invariant CheckKind = "invariant"
	// A Bar is a figure that a quiet machine of two CPUs meets; a busy one may miss it.
	Bar CheckKind = "bar"
)

// A Mark is something that happened in a round, on a line of its own for each Row.
type Mark struct {
	Row  string  `json:"row"`             // "replica 3", "provider"
	What string  `json:"what"`            // "waiting", "calling", "killed", …
	At   float64 `json:"at_ms"`           // since the release
	To   float64 `json:"to_ms,omitempty"` // end of what lasts; 0 for an instant
}

// Metric returns the metric of a name.
func (r Run) Metric(name string) (Metric, bool) {
	i := slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return r.Metrics[i], true
}

// Add appends a round's value to the metric of that name, which it makes when there is
// none.
func (r *Run) Add(name, unit string, better Better, value float64) {
	for i := range r.Metrics {
		if r.Metrics[i].Name == name {
			r.Metrics[i].Values = append(r.Metrics[i].Values, value)
			return
		}
	}
	r.Metrics = append(r.Metrics, Metric{Name: name, Unit: unit, Better: better, Values: []float64{value}})
}

// Broken returns the checks of a kind that do not hold, with the run that each is of.
func (r Report) Broken(kind CheckKind) (broken []string) {
	for _, run := range r.Runs {
		for _, c := range run.Checks {
			if c.Kind == kind && !c.OK {
				broken = append(broken, fmt.Sprintf("%s, %s: %s: want %s, got %s", run.Scenario, run.Subject, c.Name, c.Want, c.Got))
			}
		}
	}
	return broken
}

// Write writes the JSON form.
func (r Report) Write(w io.Writer) error {
	r.Format = cmp.Or(r.Format, Format)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "\t")
	return enc.Encode(r)
}

// Read reads the JSON form. The error says what is wrong with it.
func Read(rd io.Reader) (Report, error) {
	var r Report
	if err := json.NewDecoder(rd).Decode(&r); err != nil {
		return Report{}, fmt.Errorf("report: this is not a report of bellwether bench --json: %w", err)
	}
	if r.Format != Format {
		return Report{}, fmt.Errorf("report: format %d; this version reads %d", r.Format, Format)
	}
	return r, nil
}
