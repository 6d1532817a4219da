package report

import (
	"fmt"
	"slices"
)

// A timelineFigure shows the last round of several subjects on one time scale.
type timelineFigure struct {
	Legend    []legendMark
	Timelines []timeline
}

// A timeline is one subject. Places and widths are percentages of its width.
type timeline struct {
	Subject string
	Colour  int
	Rows    []string
	Height  int // of the rows, in pixels
	Spans   []span
	Ticks   []timeTick
	Numbers []Mark
}

type span struct {
	X, Width float64
	Y        int // middle of the row
	Top      int // of the bar
	Instant  bool
	Class    string
	Title    string
}

type timeTick struct {
	X    float64
	Text string
	Last bool
}

type legendMark struct{ What, Class string }

const (
	timelineRow = 18 // height of a row, pixels
	timelineBar = 10
)

// markClasses have a colour in the page's style; other words share one.
var markClasses = []string{"waiting", "calling", "committing", "adopted", "killed"}

func markClass(what string) string {
	if slices.Contains(markClasses, what) {
		return what
	}
	return "other"
}

// timelines is nil when no run of the block has one.
func (r Report) timelines(b block) *timelineFigure {
	var f timelineFigure
	end := 0.0
	for _, run := range b.runs {
		for _, m := range run.Timeline {
			end = max(end, m.At, m.To)
		}
	}
	if end == 0 {
		return nil
	}
	step := niceStep(end / 4)
	for _, run := range b.runs {
		if len(run.Timeline) == 0 {
			continue
		}
		t := timeline{Subject: run.Subject, Colour: r.line(run.Subject).Colour, Numbers: run.Timeline}
		for _, m := range run.Timeline {
			f.legend(m)
			t.add(m, 100/end)
		}
		t.Height = timelineRow * len(t.Rows)
		for at := 0.0; at <= end; at += step {
			t.Ticks = append(t.Ticks, timeTick{X: 100 * at / end, Text: number(at), Last: at > 0.94*end})
		}
		f.Timelines = append(f.Timelines, t)
	}
	return &f
}

func (f *timelineFigure) legend(m Mark) {
	if !slices.ContainsFunc(f.Legend, func(l legendMark) bool { return l.What == m.What }) {
		f.Legend = append(f.Legend, legendMark{m.What, markClass(m.What)})
	}
}

// add draws a mark; scale is percent a millisecond.
func (t *timeline) add(m Mark, scale float64) {
	row := slices.Index(t.Rows, m.Row)
	if row < 0 {
		row = len(t.Rows)
		t.Rows = append(t.Rows, m.Row)
	}
	s := span{X: m.At * scale, Class: markClass(m.What), Y: row*timelineRow + timelineRow/2}
	s.Top = s.Y - timelineBar/2
	s.Title = fmt.Sprintf("%s: %s at %s ms", m.Row, m.What, number(m.At))
	if m.To > m.At {
		s.Width = (m.To - m.At) * scale
		s.Title = fmt.Sprintf("%s: %s from %s to %s ms", m.Row, m.What, number(m.At), number(m.To))
	} else {
		s.Instant = true
	}
	t.Spans = append(t.Spans, s)
}
