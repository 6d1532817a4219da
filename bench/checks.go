package bench

import (
	"fmt"
	"math"

	"github.com/bellwether-go/bellwether/bench/report"
)

func invariant(metric, name string, ok bool, want string, got any) report.Check {
	return report.Check{Kind: report.Invariant, Name: name, Want: want, Got: fmt.Sprint(got), OK: ok, Metric: metric}
}

func bar(metric, name string, ok bool, want string, got any) report.Check {
	return report.Check{Kind: report.Bar, Name: name, Want: want, Got: fmt.Sprint(got), OK: ok, Metric: metric}
}

// never adds the invariant that a metric is 0 in every round.
func never(run *report.Run, metric, name string) { neverAbove(run, metric, name, 0) }

// neverAbove adds the invariant that no round of a metric is above most. A metric that
// was not measured breaks it.
func neverAbove(run *report.Run, metric, name string, most float64) {
	m, _ := run.Metric(metric)
	_, got := m.Range()
	want := fmt.Sprintf("≤ %v", most)
	if most == 0 {
		want = "0"
	}
	run.Checks = append(run.Checks, invariant(metric, name, got <= most, want, number(got)))
}

// atLeastOne adds the invariant that a metric is 1 or more in every round.
func atLeastOne(run *report.Run, metric, name string) {
	m, _ := run.Metric(metric)
	least, _ := m.Range()
	run.Checks = append(run.Checks, invariant(metric, name, least >= 1, "≥ 1", number(least)))
}

// medianAtMost adds the bar that the median of a metric is not above most.
func medianAtMost(run *report.Run, metric, name string, most float64) {
	m, _ := run.Metric(metric)
	got := m.Median()
	run.Checks = append(run.Checks, bar(metric, name, got <= most, fmt.Sprintf("≤ %v %s", most, m.Unit), number(got)+" "+m.Unit))
}

// ratioBar adds the bar that the medians of two metrics, of two runs of the same
// rounds, stand in a ratio.
func ratioBar(run *report.Run, metric, name string, base *report.Run, baseMetric string, ok func(ratio float64) bool, want string) {
	m, _ := run.Metric(metric)
	b, _ := base.Metric(baseMetric)
	ratio := m.Median() / b.Median()
	run.Checks = append(run.Checks, bar(metric, name, ok(ratio), fmt.Sprintf("%s × %s", want, base.Subject),
		fmt.Sprintf("%s = %.2f × %s %s", number(m.Median()), ratio, number(b.Median()), m.Unit)))
}

// number prints three digits, and all of those before the point.
func number(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 999.5 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
