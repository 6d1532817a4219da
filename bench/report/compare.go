package report

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/perf/benchmath"
)

// CompareOptions say what counts as a difference. The zero value is the default.
type CompareOptions struct {
	// Threshold is the change of a median that matters, as a part of the old one. A
	// smaller change is none, however sure. 0 means 0.05, a negative value any change.
	Threshold float64
	// Alpha is the p up to which a difference is believed. 0 means 0.05.
	Alpha float64
	// AcrossMachines judges times and rates of unlike machines too.
	AcrossMachines bool
}

// A Comparison says how a new report differs from an old one.
type Comparison struct {
	// Old and New have no Runs.
	Old, New Report
	// OtherMachine says how the machines differ in what times depend on; nil when they
	// do not.
	OtherMachine []string
	// Told is whether times and rates are told and not judged, because of that.
	Told   bool
	Deltas []Delta
	// MissingRuns are those of the old report that the new one has no value of.
	MissingRuns []string
	// Broken are the invariants that the new report breaks and the old one does not;
	// StillBroken are those that both break. MissedBars are as Broken, of bars.
	Broken, StillBroken, MissedBars []string

	alpha float64
}

// A Delta compares one metric of runs that were asked for the same. The rounds of
// several such runs in one report are taken together.
type Delta struct {
	Scenario, Subject string
	Parameters        Parameters // Rounds is 0
	Metric            string
	Unit              string
	Better            Better
	Old, New          []float64
	// Ratio is that of the medians, new to old: NaN without values, +Inf from 0.
	Ratio float64
	// P is the chance, by the Mann-Whitney U test, of a difference as great as this
	// one between rounds of the same thing; 1 when it was not tested.
	P float64
	// Need is the number of rounds on both sides from which on a difference can be
	// seen; 0 when there are enough.
	Need    int
	Verdict Verdict
}

// A Verdict of a Delta.
type Verdict string

// The verdicts.
const (
	Improved  Verdict = "better"
	Worsened  Verdict = "worse"
	Same      Verdict = "same"
	Different Verdict = "different"      // of a metric that is neither good nor bad
	TooFew    Verdict = "too few rounds" // no difference could be seen, however great
	ToldOnly  Verdict = "told only"      // a time or rate of another machine
	Missing   Verdict = "missing"
	Added     Verdict = "new"
)

// A runKey names what is compared. Its Parameters have no Rounds.
type runKey struct {
	scenario, subject string
	parameters        Parameters
}

func keyOf(r Run) runKey { return runKey{r.Scenario, r.Subject, r.Parameters.setting()} }

func (k runKey) String() string {
	parts := []string{k.scenario, k.subject}
	if p := k.parameters.String(); p != "" {
		parts = append(parts, p)
	}
	return strings.Join(parts, ", ")
}

// Compare compares each metric of each run of either report.
func Compare(old, new Report, o CompareOptions) Comparison {
	if o.Threshold == 0 {
		o.Threshold = 0.05
	}
	if o.Alpha == 0 {
		o.Alpha = 0.05
	}
	c := Comparison{Old: old, New: new, OtherMachine: old.Machine.unlike(new.Machine), alpha: o.Alpha}
	c.Old.Runs, c.New.Runs = nil, nil
	c.Told = len(c.OtherMachine) > 0 && !o.AcrossMachines
	before, after := pooled(old), pooled(new)
	for _, run := range slices.Concat(before, after) {
		key := keyOf(run)
		was, is := find(before, key), find(after, key)
		if slices.ContainsFunc(c.Deltas, func(d Delta) bool { return d.key() == key }) {
			continue // of the old report, and done
		}
		if was.measured() && !is.measured() {
			c.MissingRuns = append(c.MissingRuns, key.String())
		}
		for _, m := range (block{runs: []Run{was, is}}).metrics() {
			d := Delta{Scenario: key.scenario, Subject: key.subject, Parameters: key.parameters}
			d.Metric, d.Unit, d.Better = m.Name, m.Unit, m.Better
			a, _ := was.Metric(m.Name)
			b, _ := is.Metric(m.Name)
			d.Old, d.New = a.Values, b.Values
			d.judge(o, c.Told)
			c.Deltas = append(c.Deltas, d)
		}
	}
	c.checks(before, after)
	return c
}

func (d Delta) key() runKey { return runKey{d.Scenario, d.Subject, d.Parameters} }

// judge sets all that follows from the values.
func (d *Delta) judge(o CompareOptions, told bool) {
	was, is := Median(d.Old), Median(d.New)
	d.Ratio, d.P = is/was, 1
	if was == is {
		d.Ratio = 1
	}
	switch {
	case len(d.Old) == 0 && len(d.New) == 0:
		d.Verdict = Same
		return
	case len(d.Old) == 0:
		d.Verdict = Added
		return
	case len(d.New) == 0:
		d.Verdict = Missing
		return
	case constant(d.Old, d.New):
		d.Verdict = Same
		return
	case leastP(len(d.Old), len(d.New)) > o.Alpha:
		d.Verdict, d.Need = TooFew, roundsFor(o.Alpha)
	default:
		d.P = mannWhitney(d.Old, d.New)
		d.Verdict = d.direction(o)
	}
	if told && timed(d.Unit) {
		d.Verdict = ToldOnly
	}
}

func (d *Delta) direction(o CompareOptions) Verdict {
	if d.P > o.Alpha || d.Ratio == 1 || math.Abs(d.Ratio-1) < o.Threshold {
		return Same
	}
	switch {
	case d.Better == "":
		return Different
	case (d.Better == Less) == (Median(d.New) < Median(d.Old)):
		return Improved
	}
	return Worsened
}

// mannWhitney returns the p of the two-sided test.
func mannWhitney(a, b []float64) float64 {
	sample := func(v []float64) *benchmath.Sample {
		return benchmath.NewSample(slices.Clone(v), &benchmath.DefaultThresholds)
	}
	return benchmath.AssumeNothing.Compare(sample(a), sample(b)).P
}

// leastP is the p of that test when all a values lie on one side of all b others: 2 of
// as many ways as there are to choose a of a+b ranks.
func leastP(a, b int) float64 {
	ways := 1.0
	for i := range a {
		ways *= float64(b+i+1) / float64(i+1)
	}
	return min(1, 2/ways)
}

// roundsFor is how many rounds both sides need to show a difference at alpha.
func roundsFor(alpha float64) int {
	n := 1
	for leastP(n, n) > alpha {
		n++
	}
	return n
}

func constant(old, new []float64) bool {
	return slices.Min(old) == slices.Max(old) && slices.Min(new) == slices.Max(new) && old[0] == new[0]
}

// timed reports whether a unit is one of time or of a rate.
func timed(unit string) bool {
	over, rate := strings.CutSuffix(unit, "/s")
	switch over {
	case "ns", "µs", "us", "ms", "s", "sec", "min", "ns/op":
		return true
	}
	return rate
}

// unlike says in what the machines differ.
func (m Machine) unlike(o Machine) (how []string) {
	add := func(what, a, b string) {
		if a != b {
			how = append(how, fmt.Sprintf("%s: %s, now %s", what, clean(a), clean(b)))
		}
	}
	add("CPU", m.CPU, o.CPU)
	add("CPUs", fmt.Sprint(m.CPUs), fmt.Sprint(o.CPUs))
	add("system", m.OS+"/"+m.Arch, o.OS+"/"+o.Arch)
	return how
}

// pooled takes the rounds and checks of runs that were asked for the same together.
func pooled(r Report) (runs []Run) {
	for _, alike := range grouped(r.Runs, keyOf) {
		run := Run{Scenario: alike[0].Scenario, Subject: alike[0].Subject, Parameters: alike[0].Parameters.setting()}
		for _, of := range alike {
			for _, m := range of.Metrics {
				for _, v := range m.Values {
					run.Add(m.Name, m.Unit, m.Better, v)
				}
			}
			run.Checks = append(run.Checks, of.Checks...)
		}
		runs = append(runs, run)
	}
	return runs
}

func find(runs []Run, key runKey) Run {
	if i := slices.IndexFunc(runs, func(r Run) bool { return keyOf(r) == key }); i >= 0 {
		return runs[i]
	}
	return Run{}
}

// measured reports whether there is a value of anything.
func (r Run) measured() bool {
	return slices.ContainsFunc(r.Metrics, func(m Metric) bool { return len(m.Values) > 0 })
}

// checks finds what fails now.
func (c *Comparison) checks(before, after []Run) {
	for _, run := range after {
		key := keyOf(run)
		was := find(before, key)
		for _, check := range run.Checks {
			if check.OK {
				continue
			}
			text := fmt.Sprintf("%v: %s: want %s, got %s", key, check.Name, check.Want, check.Got)
			failed := slices.ContainsFunc(was.Checks, func(o Check) bool {
				return o.Kind == check.Kind && o.Name == check.Name && !o.OK
			})
			switch {
			case check.Kind == Invariant && failed:
				c.StillBroken = append(c.StillBroken, text)
			case check.Kind == Invariant:
				c.Broken = append(c.Broken, text)
			case !failed:
				c.MissedBars = append(c.MissedBars, text)
			}
		}
	}
}

// count returns how many metrics have a verdict.
func (c Comparison) count(v Verdict) (n int) {
	for _, d := range c.Deltas {
		if d.Verdict == v {
			n++
		}
	}
	return n
}

// Err returns an error when a metric is worse, an invariant newly breaks or a run is
// missing. A bar that is missed and an invariant that was broken before are told only.
func (c Comparison) Err() error {
	var why []string
	if n := c.count(Worsened); n > 0 {
		why = append(why, plural(n, "metric is worse", "metrics are worse"))
	}
	if n := len(c.Broken); n > 0 {
		why = append(why, plural(n, "invariant breaks", "invariants break"))
	}
	if n := len(c.MissingRuns); n > 0 {
		why = append(why, plural(n, "run is missing", "runs are missing"))
	}
	if len(why) == 0 {
		return nil
	}
	return errors.New("report: " + strings.Join(why, ", "))
}
