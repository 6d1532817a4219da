package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A scenarioView is a section of the page.
type scenarioView struct {
	ID, Name string
	OK       bool // no invariant is broken
	Blocks   []blockView
}

// A blockView is a block with its figures.
type blockView struct {
	Title, Parameters string
	Grows             string // name of the dimension; blank for none
	Metrics           []headView
	Rows              []rowView
	Checks            []checkView
	Failures          []failureView
	Figures           []figure
	Timelines         *timelineFigure
}

type headView struct{ Name, Unit, Way string }

type rowView struct {
	Subject string
	Colour  int
	Value   string // along the dimension
	Cells   []cellView
}

// A cellView is a metric of a run. Mark is "met" or "missed" when a check is of it.
type cellView struct{ Median, Spread, Mark, Want string }

type checkView struct {
	Label string
	Check
}

type failureView struct {
	Label string
	Count string
	Text  string
}

// A figure is a plot with the words around it and, where no other table has them, its
// numbers.
type figure struct {
	Index          int // of Plots
	Title, Caption string
	Wide           bool
	Legend         []plotLine
	Head           []string
	Rows           [][]string
}

// views makes what the page shows, and collects the plots of all figures.
func (r Report) views() (scenarios []scenarioView, plots []*plot) {
	for i, g := range r.scenarios() {
		s := scenarioView{ID: "scenario-" + strconv.Itoa(i), Name: g.name, OK: true}
		for _, b := range slices.Concat(g.comparisons, g.growths) {
			v := r.blockView(b)
			show := func(p *plot, f figure) {
				if p != nil {
					f.Index = len(plots)
					plots = append(plots, p)
					v.Figures = append(v.Figures, f)
				}
			}
			if b.grows != nil {
				for _, m := range b.metrics() {
					p := r.growthPlot(b, m)
					show(p, growthFigure(b, m, p))
				}
			} else {
				p := r.waitPlot(b)
				show(p, waitFigure(b, p))
				show(r.callsPlot(b), callsFigure())
				p = r.commandsPlot(b)
				show(p, commandsFigure(b, p))
				v.Timelines = r.timelines(b)
			}
			s.Blocks = append(s.Blocks, v)
			s.OK = s.OK && !slices.ContainsFunc(v.Checks, func(c checkView) bool { return c.Kind == Invariant && !c.OK })
		}
		scenarios = append(scenarios, s)
	}
	return scenarios, plots
}

func (r Report) blockView(b block) blockView {
	v := blockView{Title: "Subjects side by side", Parameters: b.parameters.String()}
	if b.grows != nil {
		v.Title, v.Grows = "Growing "+b.grows.name, b.grows.name
	}
	metrics := b.metrics()
	for _, m := range metrics {
		way := map[Better]string{Less: "less is better", More: "more is better"}[m.Better]
		v.Metrics = append(v.Metrics, headView{words(m.Name), m.unit(), way})
	}
	for _, run := range b.runs {
		row := rowView{Subject: run.Subject, Colour: r.line(run.Subject).Colour}
		if b.grows != nil {
			row.Value = number(float64(b.grows.value(run.Parameters)))
		}
		for _, m := range metrics {
			got, _ := run.Metric(m.Name)
			c := cellView{Median: number(got.Median()), Spread: strings.Trim(spread(got), "()")}
			c.Mark, c.Want = run.mark(m.Name)
			row.Cells = append(row.Cells, c)
		}
		v.Rows = append(v.Rows, row)
		for _, c := range run.Checks {
			v.Checks = append(v.Checks, checkView{b.label(run), c})
		}
		for _, f := range run.reasons() {
			v.Failures = append(v.Failures, failureView{b.label(run), number(float64(f.Count)), f.Text})
		}
	}
	return v
}

// mark tells whether the checks of a metric hold.
func (r Run) mark(metric string) (mark, want string) {
	for _, c := range r.Checks {
		if c.Metric != metric {
			continue
		}
		if !c.OK {
			return "missed", c.Want
		}
		mark, want = "met", c.Want
	}
	return mark, want
}

func waitFigure(b block, p *plot) figure {
	f := figure{
		Title: "Wait of callers",
		Caption: "That percentage of the callers of all rounds waited at most this long; lower is better, " +
			"and a line ends at its slowest caller.",
		Wide: true,
		Head: []string{"subject", "callers"},
	}
	if p == nil {
		return f
	}
	f.Legend = p.Series
	for _, t := range p.X.Texts {
		f.Head = append(f.Head, "p"+t+", ms")
	}
	f.Head = append(f.Head, "most, ms")
	for _, run := range b.runs {
		if run.Waits == nil || run.Waits.Count() == 0 {
			continue
		}
		row := []string{run.Subject, number(float64(run.Waits.Count()))}
		for _, q := range waitQuantiles[:len(p.X.Texts)] {
			cell := "–"
			if 1/q.exceed <= float64(run.Waits.Count()) {
				cell = number(run.Waits.Quantile(q.exceed))
			}
			row = append(row, cell)
		}
		f.Rows = append(f.Rows, append(row, number(run.Waits.Quantile(0))))
	}
	return f
}

func callsFigure() figure {
	return figure{
		Title: "Provider calls",
		Caption: "A bar is the median number of token requests that the provider saw in a round, " +
			"the thin line its least and greatest; fewer is better.",
	}
}

func commandsFigure(b block, p *plot) figure {
	f := figure{
		Title: "Redis commands",
		Caption: "A bar counts the commands of that name which all replicas of a subject sent in the last round; " +
			"fewer is better.",
		Head: []string{"command"},
	}
	if p == nil {
		return f
	}
	f.Legend = p.Series
	for _, run := range b.runs {
		if len(run.Commands) > 0 {
			f.Head = append(f.Head, run.Subject)
		}
	}
	for _, name := range b.commandNames() {
		row := []string{name}
		for _, run := range b.runs {
			if len(run.Commands) > 0 {
				row = append(row, number(float64(run.Commands[name])))
			}
		}
		f.Rows = append(f.Rows, row)
	}
	return f
}

func growthFigure(b block, m Metric, p *plot) figure {
	f := figure{Title: words(m.Name)}
	if p == nil {
		return f
	}
	f.Legend = p.Series
	way := map[Better]string{
		Less: "; lower is better, and a flat line costs nothing as the fleet grows",
		More: "; higher is better",
	}[m.Better]
	f.Caption = fmt.Sprintf("A point is the median of the rounds at that number of %s, the band around it their least and greatest value%s.", b.grows.name, way)
	return f
}
