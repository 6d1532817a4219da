package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A plot is all that the page's script needs to draw one. Its scales, ticks and texts
// are made here; the script only draws.
type plot struct {
	Bars   bool       `json:"bars,omitempty"`
	X      axis       `json:"x"`
	Y      axis       `json:"y"`
	At     []float64  `json:"at"`     // places on the x axis
	Labels []string   `json:"labels"` // of those, for who points at them
	Series []plotLine `json:"series"`
}

// A plotLine is one subject. Null values are places where it has none.
type plotLine struct {
	Name   string     `json:"name"`
	Colour int        `json:"colour"`
	Dashed bool       `json:"dashed,omitempty"`
	Values []*float64 `json:"values"`
	Least  []*float64 `json:"least,omitempty"`
	Most   []*float64 `json:"most,omitempty"`
}

type axis struct {
	Title string    `json:"title"`
	Log   bool      `json:"log,omitempty"`
	From  float64   `json:"from"`
	To    float64   `json:"to"`
	Ticks []float64 `json:"ticks"`
	Texts []string  `json:"texts"`
}

// colours is how many there are in the page's style. Subjects beyond have them again,
// with dashed lines.
const colours = 10

func (r Report) line(subject string) plotLine {
	i := slices.Index(r.subjects(), subject)
	return plotLine{Name: subject, Colour: i % colours, Dashed: i >= colours}
}

// valueAxis fits an axis to values: from 0, or logarithmic.
func valueAxis(title string, log bool, values []float64) axis {
	a := axis{Title: title, Log: log}
	if !log {
		bottom, top := min(0, slices.Min(values)), max(0, slices.Max(values))
		if top == bottom {
			top = 1
		}
		step := niceStep((top - bottom) / 5)
		if !slices.ContainsFunc(values, func(v float64) bool { return v != math.Trunc(v) }) {
			step = max(1, step) // there is no half of a call
		}
		first, last := math.Floor(bottom/step), math.Ceil(1.08*top/step)
		a.From, a.To = first*step, last*step
		for i := first; i <= last; i++ {
			a.tick(i * step)
		}
		return a
	}
	a.Title += ", log scale"
	least, most := slices.Min(values), slices.Max(values)
	a.From = math.Pow(10, math.Floor(math.Log10(least)+1e-9))
	a.To = math.Pow(10, math.Ceil(math.Log10(most*1.05)-1e-9))
	between := a.To/a.From < 1001 // few enough decades for ticks between them
	for decade := a.From; decade <= a.To*(1+1e-9); decade *= 10 {
		a.tick(decade)
		if between && decade*5 < a.To {
			a.tick(2 * decade)
			a.tick(5 * decade)
		}
	}
	return a
}

func (a *axis) tick(at float64) {
	at, _ = strconv.ParseFloat(strconv.FormatFloat(at, 'g', 10, 64), 64)
	text := strconv.FormatFloat(at, 'f', -1, 64)
	if at >= 1000 {
		text = number(at)
	}
	a.Ticks, a.Texts = append(a.Ticks, at), append(a.Texts, text)
}

// niceStep rounds up to 1, 2 or 5 of a power of ten.
func niceStep(raw float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= raw*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// wide reports whether positive values need a logarithmic axis to be told apart.
func wide(values []float64) bool {
	return len(values) > 0 && slices.Min(values) > 0 && slices.Max(values) > 30*slices.Min(values)
}

// waitPlot draws the percentiles of all waits; nil when there are none.
func (r Report) waitPlot(b block) *plot {
	const perDecade = 24
	const first = 4.0 / 3 // p25: what the luckiest wait says little, and would stretch the scale
	p := &plot{X: axis{Title: "percentile of callers", Log: true, From: first, To: first}}
	var all []float64
	for _, run := range b.runs {
		if run.Waits == nil || run.Waits.Count() == 0 {
			continue
		}
		p.X.To = max(p.X.To, float64(run.Waits.Count()))
	}
	if p.X.To == first {
		return nil
	}
	for i := 0; ; i++ {
		// At x, one caller in x waited longer.
		x := min(p.X.To, first*math.Pow(10, float64(i)/perDecade))
		p.At = append(p.At, x)
		p.Labels = append(p.Labels, "p"+strconv.FormatFloat(100*(1-1/x), 'g', 2+int(math.Log10(x)), 64))
		if x == p.X.To {
			break
		}
	}
	for _, run := range b.runs {
		if run.Waits == nil || run.Waits.Count() == 0 {
			continue
		}
		l := r.line(run.Subject)
		for _, x := range p.At {
			var v *float64
			if x <= float64(run.Waits.Count()) {
				// What is below the resolution cannot be shown on a log scale.
				v = new(max(run.Waits.Quantile(1/x), milliseconds(1)))
				all = append(all, *v)
			}
			l.Values = append(l.Values, v)
		}
		p.Series = append(p.Series, l)
	}
	p.Y = valueAxis("wait, ms", true, all)
	for _, q := range waitQuantiles {
		if x := 1 / q.exceed; x <= p.X.To {
			p.X.Ticks, p.X.Texts = append(p.X.Ticks, x), append(p.X.Texts, q.name)
		}
	}
	return p
}

// waitQuantiles are those of the axis and of the table below the plot.
var waitQuantiles = []struct {
	name   string
	exceed float64
}{
	{"25", 0.75}, {"50", 0.5}, {"90", 0.1}, {"99", 0.01}, {"99.9", 0.001}, {"99.99", 0.0001}, {"99.999", 0.00001},
}

// callsMetric is the metric of which there are bars for each subject.
const callsMetric = "provider_calls"

// callsPlot draws the calls of the provider; nil when they were not measured.
func (r Report) callsPlot(b block) *plot {
	p := &plot{Bars: true}
	var all []float64
	for _, run := range b.runs {
		m, ok := run.Metric(callsMetric)
		if !ok || len(m.Values) == 0 {
			continue
		}
		least, most := m.Range()
		l := r.line(run.Subject)
		at := len(p.Series)
		l.Values = make([]*float64, at, at+1)
		l.Values = append(l.Values, new(m.Median()))
		l.Least = append(make([]*float64, at, at+1), &least)
		l.Most = append(make([]*float64, at, at+1), &most)
		all = append(all, m.Median(), least, most)
		p.Series = append(p.Series, l)
		p.At, p.Labels = append(p.At, float64(at)), append(p.Labels, run.Subject)
		p.X.Ticks, p.X.Texts = append(p.X.Ticks, float64(at)), append(p.X.Texts, folded(run.Subject, 60/len(b.runs)))
	}
	if len(p.Series) == 0 {
		return nil
	}
	p.X.Title, p.X.From, p.X.To = "subject", -0.7, float64(len(p.Series))-0.3
	p.Y = valueAxis("calls", false, all)
	p.fill()
	return p
}

// commandsPlot draws Redis commands by name; nil when there were none.
func (r Report) commandsPlot(b block) *plot {
	p := &plot{Bars: true}
	var all []float64
	for _, run := range b.runs {
		if len(run.Commands) > 0 {
			p.Series = append(p.Series, r.line(run.Subject))
		}
	}
	place := 0.0
	for _, name := range b.commandNames() {
		first, i := place, 0
		for _, run := range b.runs {
			if len(run.Commands) == 0 {
				continue
			}
			if n := float64(run.Commands[name]); n > 0 {
				l := &p.Series[i]
				l.Values = append(append(l.Values, make([]*float64, len(p.At)-len(l.Values))...), &n)
				p.At, p.Labels = append(p.At, place), append(p.Labels, name)
				all = append(all, n)
				place++
			}
			i++
		}
		p.X.Ticks, p.X.Texts = append(p.X.Ticks, (first+place-1)/2), append(p.X.Texts, name)
		place++ // a gap
	}
	if len(all) == 0 {
		return nil
	}
	p.X.Title, p.X.From, p.X.To = "command", -1, place-1
	p.Y = valueAxis("commands", wide(all), all)
	if p.Y.Log && p.Y.From == slices.Min(all) {
		p.Y.From /= 2 // a bar of the least value is seen
	}
	p.fill()
	return p
}

// commandNames returns the names that occur, in alphabetical order.
func (b block) commandNames() (names []string) {
	for _, run := range b.runs {
		for name, n := range run.Commands {
			if n > 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// fill gives all lines a value or null at each place.
func (p *plot) fill() {
	for i := range p.Series {
		for _, v := range []*[]*float64{&p.Series[i].Values, &p.Series[i].Least, &p.Series[i].Most} {
			if len(*v) > 0 {
				*v = append(*v, make([]*float64, len(p.At)-len(*v))...)
			}
		}
	}
}

// decades is how far sizes may lie apart on a linear axis, on which what grows in
// proportion is a straight line: more than two powers of ten need a logarithmic one.
const decades = 100

// growthPlot draws a metric against what grows; nil when there are no values.
func (r Report) growthPlot(b block, metric Metric) *plot {
	p := &plot{}
	var all []float64
	for _, run := range b.runs {
		x := float64(b.grows.value(run.Parameters))
		if m, _ := run.Metric(metric.Name); len(m.Values) > 0 && !slices.Contains(p.At, x) {
			p.At = append(p.At, x)
		}
	}
	if len(p.At) == 0 {
		return nil
	}
	slices.Sort(p.At)
	for _, x := range p.At {
		p.Labels = append(p.Labels, fmt.Sprintf("%s %s", number(x), b.grows.name))
	}
	for _, runs := range grouped(b.runs, func(r Run) string { return r.Subject }) {
		l := r.line(runs[0].Subject)
		empty := func() []*float64 { return make([]*float64, len(p.At)) }
		l.Values, l.Least, l.Most = empty(), empty(), empty()
		for _, run := range runs {
			m, _ := run.Metric(metric.Name)
			if len(m.Values) == 0 {
				continue
			}
			at := slices.Index(p.At, float64(b.grows.value(run.Parameters)))
			least, most := m.Range()
			l.Values[at], l.Least[at], l.Most[at] = new(m.Median()), &least, &most
			all = append(all, m.Median(), least, most)
		}
		p.Series = append(p.Series, l)
	}
	title := words(metric.Name)
	if unit := metric.unit(); unit != "" {
		title += ", " + unit
	}
	p.Y = valueAxis(title, wide(all), all)
	p.growthAxis(b.grows.title())
	return p
}

// growthAxis fits the x axis to the measured places. Each has a tick, but none so close to
// the one before that their texts touch.
func (p *plot) growthAxis(title string) {
	first, last := p.At[0], p.At[len(p.At)-1]
	p.X.Title, p.X.Log = title, last > decades*first
	place := func(x float64) float64 { return x }
	margin := max(0.04*(last-first), 0.1)
	p.X.From, p.X.To = first-margin, last+margin
	if p.X.Log {
		p.X.Title += ", log scale"
		p.X.From, p.X.To = first/1.15, last*1.15
		place = math.Log
	}
	least := 0.09 * (place(p.X.To) - place(p.X.From))
	for i, x := range p.At {
		if i == 0 || place(x)-place(p.X.Ticks[len(p.X.Ticks)-1]) >= least {
			p.X.tick(x)
		}
	}
}

// folded breaks the name of a subject after hyphens, to stand below a bar.
func folded(name string, width int) string {
	var lines []string
	line := ""
	for part := range strings.SplitAfterSeq(name, "-") {
		if line != "" && len(line)+len(part) > max(8, width) {
			lines, line = append(lines, line), ""
		}
		line += part
	}
	return strings.Join(append(lines, line), "\n")
}
