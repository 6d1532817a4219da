package report

import (
	"fmt"
	"io"
	"strings"
)

// WriteComparison writes a comparison for people: on top whether the machines are
// alike, a table for each run, and the verdict as the last line.
func WriteComparison(w io.Writer, c Comparison) error {
	var b strings.Builder
	c.writeHead(&b)
	for _, deltas := range grouped(c.Deltas, Delta.key) {
		b.WriteByte('\n')
		writeWrapped(&b, "", clean(deltas[0].key().String()))
		writeDeltas(&b, deltas)
	}
	for _, list := range []struct {
		title string
		items []string
	}{
		{"BROKEN, an invariant that held before", c.Broken},
		{"still broken", c.StillBroken},
		{"bar that was not missed before", c.MissedBars},
		{"MISSING, a run of the old report", c.MissingRuns},
	} {
		for i, item := range list.items {
			if i == 0 {
				b.WriteByte('\n')
			}
			writeWrapped(&b, "", list.title+": "+clean(item))
		}
	}
	b.WriteByte('\n')
	writeWrapped(&b, "", c.tally())
	b.WriteString(c.verdict() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (c Comparison) writeHead(b *strings.Builder) {
	if len(c.OtherMachine) > 0 {
		then := "Times and rates are told and not judged."
		if !c.Told {
			then = "Times and rates are judged all the same, as asked."
		}
		writeWrapped(b, "", "OTHER MACHINE ("+strings.Join(c.OtherMachine, "; ")+"). "+then)
	}
	for _, side := range []struct {
		name string
		r    Report
	}{{"old", c.Old}, {"new", c.New}} {
		writeWrapped(b, "", fmt.Sprintf("%s: %s, %v; %v", side.name, side.r.Started.UTC().Format("2006-01-02 15:04 UTC"), side.r.Versions, side.r.Machine))
		if side.r.Incomplete != "" {
			writeWrapped(b, "", fmt.Sprintf("The %s report is INCOMPLETE: %s", side.name, clean(side.r.Incomplete)))
		}
	}
}

func writeDeltas(b *strings.Builder, deltas []Delta) {
	columns := []column{{head: "metric", left: true}, {head: "old"}, {head: "new"}, {head: "change"}, {head: "p"}, {head: "rounds"}, {head: "verdict", left: true}}
	for _, d := range deltas {
		p := "–"
		if d.P != 1 {
			p = fmt.Sprintf("%.3f", d.P)
		}
		rounds := fmt.Sprint(len(d.Old))
		if len(d.New) != len(d.Old) {
			rounds += "+" + fmt.Sprint(len(d.New))
		}
		unit := Metric{Name: d.Metric, Unit: d.Unit}.unit()
		for i, cell := range []string{
			clean(d.Metric), withUnit(Median(d.Old), unit), withUnit(Median(d.New), unit),
			percent(d.Ratio), p, rounds, d.words(),
		} {
			columns[i].cells = append(columns[i].cells, cell)
		}
	}
	writeColumns(b, columns, nil)
}

func withUnit(v float64, unit string) string {
	text := number(v)
	if unit != "" && text != "–" {
		text += " " + clean(unit)
	}
	return text
}

func (d Delta) words() string {
	switch d.Verdict {
	case Worsened:
		return "WORSE"
	case TooFew:
		return fmt.Sprintf("too few rounds to judge: %d; run with --rounds %d", min(len(d.Old), len(d.New)), d.Need)
	}
	return string(d.Verdict)
}

// tally counts the verdicts.
func (c Comparison) tally() string {
	var parts []string
	for _, v := range []Verdict{Worsened, Improved, Same, Different, ToldOnly, TooFew, Missing, Added} {
		if n := c.count(v); n > 0 {
			parts = append(parts, thousands(int64(n))+" "+string(v))
		}
	}
	if len(parts) == 0 {
		return "There is nothing to compare."
	}
	text := "Metrics: " + strings.Join(parts, ", ") + "."
	tested := 0
	for _, d := range c.Deltas {
		if d.P != 1 {
			tested++
		}
	}
	if tested > 0 {
		text += fmt.Sprintf(" Of %d tested, about %s differ by chance at p ≤ %s.", tested, number(float64(tested)*c.alpha), number(c.alpha))
	}
	return text
}

// need is how many rounds judge what has too few; 0 when nothing has.
func (c Comparison) need() (n int) {
	for _, d := range c.Deltas {
		if d.Verdict == TooFew {
			n = max(n, d.Need)
		}
	}
	return n
}

// verdict is the last line.
func (c Comparison) verdict() string {
	if err := c.Err(); err != nil {
		return "WORSE: " + strings.TrimPrefix(err.Error(), "report: ")
	}
	var unsure []string
	for _, u := range []struct {
		verdict         Verdict
		one, many, what string
	}{
		{TooFew, "metric has", "metrics have", "too few rounds"},
		{ToldOnly, "metric is", "metrics are", "of another machine"},
		{Missing, "metric is", "metrics are", "missing"},
	} {
		if n := c.count(u.verdict); n > 0 {
			unsure = append(unsure, plural(n, u.one, u.many)+" "+u.what)
		}
		if n := c.need(); n > 0 && u.verdict == TooFew {
			unsure[0] += fmt.Sprintf(" to judge (run both with --rounds %d)", n)
		}
	}
	if len(unsure) > 0 {
		return "not worse, as far as can be told: " + strings.Join(unsure, ", ")
	}
	return "not worse"
}
