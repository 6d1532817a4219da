package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/go-analyze/charts"
)

// The plot has no background, and colours that are read on white and on black alike.
var (
	textColor  = charts.Color{R: 118, G: 126, B: 136, A: 255}
	oursColor  = charts.Color{R: 47, G: 129, B: 247, A: 255}
	otherColor = charts.Color{R: 158, G: 165, B: 174, A: 255}
	none       = charts.Color{}
)

const (
	width, height = 880, 330
	split         = 500 // where the second panel begins
)

// ours is the subject that is set off.
const ours = "bellwether"

// names are what a reader knows a subject by; one that is not here keeps its own name.
var names = map[string]string{
	ours:                    "Bellwether",
	"bare":                  "bare round trips, no safety",
	"lock-polling":          "lock, waiters poll",
	"redislock-linear":      "redislock, linear retry",
	"redislock-exponential": "redislock, exponential",
	"x-oauth2-shared":       "x/oauth2, shared store",
	"x-oauth2-each":         "x/oauth2 in each replica",
}

// draw makes the plot: the waits on the left, beside the names, and the calls on the
// right. Bars are logarithmic; their labels are not.
func draw(rows []row) ([]byte, error) {
	colors := make([]charts.Color, len(rows))
	for i, r := range rows {
		colors[i] = otherColor
		if r.subject == ours {
			colors[i] = oursColor
		}
	}
	theme := charts.MakeTheme(charts.ThemeOption{
		AxisStrokeColor: none, AxisSplitLineColor: none, BackgroundColor: charts.ColorTransparent,
		TextColor: textColor, TextColorTitle: textColor, TextColorLabel: textColor, TextColorXAxis: textColor, TextColorYAxis: textColor,
		SeriesColors: colors,
	})
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: height, Theme: theme})
	waits := panel{
		title: "extra wait p99, log scale; " + rows[0].fleet.String(),
		names: true,
		least: 1,
		room:  1.6,
		value: func(r row) float64 { return r.wait },
		label: func(r row) string {
			switch {
			case r.failed.most == 0:
				return duration(r.wait)
			case r.failed.least == r.fleet.callers():
				return duration(r.wait) + ", all fail"
			}
			return fmt.Sprintf("%s, %v fail", duration(r.wait), r.failed)
		},
	}
	calls := panel{
		title: "provider calls an expiry (log scale)",
		least: 0.5, // one call has a bar, too
		room:  1.3,
		value: func(r row) float64 { return r.calls.most },
		label: func(r row) string { return r.calls.String() },
	}
	if err := waits.draw(p.Child(charts.PainterBoxOption(charts.Box{Right: split, Bottom: height})), rows, theme); err != nil {
		return nil, err
	}
	if err := calls.draw(p.Child(charts.PainterBoxOption(charts.Box{Left: split, Right: width, Bottom: height})), rows, theme); err != nil {
		return nil, err
	}
	return p.Bytes()
}

func (s spread) String() string {
	if s.least == s.most {
		return fmt.Sprintf("%.0f", s.most)
	}
	return fmt.Sprintf("%.0f–%.0f", s.least, s.most)
}

// A panel is one value of every subject.
type panel struct {
	title string
	names bool    // of subjects beside the bars
	least float64 // where the bars begin
	room  float64 // of the panel, in times of the longest bar: its label follows it
	value func(row) float64
	label func(row) string
}

func (pl panel) draw(p *charts.Painter, rows []row, theme charts.ColorPalette) error {
	// Each row is a series of its own, with a value in its place alone: so it has a colour
	// and a label of its own. Places count from the bottom up.
	series := make([]charts.BarSeries, len(rows))
	labels := make([]string, len(rows))
	most := 0.0
	for i, r := range rows {
		place := len(rows) - 1 - i
		values := slices.Repeat([]float64{charts.GetNullValue()}, len(rows))
		values[place] = math.Log10(max(pl.value(r), pl.least) / pl.least)
		most = max(most, values[place])
		series[i] = charts.BarSeries{Values: values, Label: charts.SeriesLabel{
			Show:      new(true),
			FontStyle: font(11),
			LabelFormatter: func(int, string, float64) (string, *charts.LabelStyle) {
				return pl.label(r), nil
			},
		}}
		labels[place] = name(r.subject)
	}
	opt := charts.NewBarChartOptionWithSeries(series)
	opt.Theme = theme
	opt.Horizontal = true
	opt.StackSeries = new(true)
	opt.Title = charts.TitleOption{Text: pl.title, FontStyle: font(12)}
	opt.Legend.Show = new(false)
	opt.Padding = charts.Box{Top: 10, Left: 10, Right: 10, Bottom: 10}
	opt.ValueAxis = []charts.ValueAxisOption{{Show: new(false), Min: new(0.0), Max: new(pl.room * most), RangeValuePaddingScale: new(0.0)}}
	opt.CategoryAxis = charts.CategoryAxisOption{Show: new(pl.names), Labels: labels, LabelFontStyle: font(11)}
	return p.BarChart(opt)
}

func font(size float64) charts.FontStyle {
	return charts.FontStyle{FontSize: size, FontColor: textColor}
}

func name(subject string) string {
	if n, ok := names[subject]; ok {
		return n
	}
	return subject
}

func duration(ms float64) string {
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.0f s", ms/1000)
	case ms >= 1000:
		return fmt.Sprintf("%.2f s", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}
