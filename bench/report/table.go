package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// tableWidth is what a table keeps to, unless a single column is wider: a table of
// many metrics is cut into several.
const tableWidth = 100

// WriteTable writes a report for people: the machine, and for each scenario a table of
// subjects and metrics, with what was checked. A cell is the median of the rounds with
// their least and greatest value; no range means that all rounds had one value.
func WriteTable(w io.Writer, r Report) error {
	var b strings.Builder
	writeWrapped(&b, "", r.Machine.String())
	writeWrapped(&b, "", fmt.Sprintf("%v, %s, took %s", r.Versions, r.Started.UTC().Format("2006-01-02 15:04 UTC"), seconds(r.Seconds)))
	for _, s := range r.scenarios() {
		for _, block := range slices.Concat(s.comparisons, s.growths) {
			b.WriteByte('\n')
			block.write(&b, s.name)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", r.verdict())
	_, err := io.WriteString(w, b.String())
	return err
}

func (bl block) write(b *strings.Builder, scenario string) {
	title := clean(scenario)
	if bl.grows != nil {
		title += ", growing " + bl.grows.name
	}
	if p := bl.parameters.String(); p != "" {
		title += ": " + p
	}
	writeWrapped(b, "", title)
	fixed := []column{{head: "subject", left: true}}
	if bl.grows != nil {
		fixed = append(fixed, column{head: bl.grows.name})
	}
	for _, run := range bl.runs {
		fixed[0].cells = append(fixed[0].cells, clean(run.Subject))
		if bl.grows != nil {
			fixed[1].cells = append(fixed[1].cells, thousands(int64(bl.grows.value(run.Parameters))))
		}
	}
	var columns []column
	for _, m := range bl.metrics() {
		c := column{head: clean(m.Name), unit: clean(m.unit())}
		for _, run := range bl.runs {
			got, _ := run.Metric(m.Name)
			cell := number(got.Median())
			if s := spread(got); s != "" {
				cell += " " + s
			}
			c.cells = append(c.cells, cell)
		}
		columns = append(columns, c)
	}
	writeColumns(b, fixed, columns)
	bl.writeChecks(b)
	bl.writeFailures(b)
}

func (bl block) writeChecks(b *strings.Builder) {
	columns := []column{{left: true}, {left: true}, {left: true}, {left: true}, {left: true}}
	for _, run := range bl.runs {
		for _, c := range run.Checks {
			ok := "ok"
			if !c.OK {
				ok = "NO"
			}
			for i, cell := range []string{ok, string(c.Kind), bl.label(run), c.Name, "want " + c.Want + ", got " + c.Got} {
				columns[i].cells = append(columns[i].cells, clean(cell))
			}
		}
	}
	writeColumns(b, columns, nil)
}

// writeFailures tells the commonest reasons, the most frequent first.
func (bl block) writeFailures(b *strings.Builder) {
	const most = 3
	for _, run := range bl.runs {
		reasons := run.reasons()
		for i, f := range reasons {
			if i == most {
				fmt.Fprintf(b, "  failed  %s: %s more\n", clean(bl.label(run)), plural(len(reasons)-most, "reason", "reasons"))
				break
			}
			fmt.Fprintf(b, "  failed  %s: %s × %s\n", clean(bl.label(run)), thousands(int64(f.Count)), clean(f.Text))
		}
	}
}

// A column of a table. Without any head the table has no heading.
type column struct {
	head, unit string
	left       bool
	cells      []string
}

func (c column) width() int {
	n := max(utf8.RuneCountInString(c.head), utf8.RuneCountInString(c.unit))
	for _, cell := range c.cells {
		n = max(n, utf8.RuneCountInString(cell))
	}
	return n
}

// writeColumns writes as many tables as it takes to show all columns, the fixed ones
// in each.
func writeColumns(b *strings.Builder, fixed, columns []column) {
	const gap = 2
	used := 0
	for _, c := range fixed {
		used += gap + c.width()
	}
	for first := true; first || len(columns) > 0; first = false {
		width, n := used, 0
		for n < len(columns) && (n == 0 || width+gap+columns[n].width() <= tableWidth) {
			width += gap + columns[n].width()
			n++
		}
		writeStripe(b, slices.Concat(fixed, columns[:n]))
		columns = columns[n:]
	}
}

func writeStripe(b *strings.Builder, columns []column) {
	line := func(cell func(column) string) {
		var l strings.Builder
		for _, c := range columns {
			text, fill := cell(c), ""
			if n := c.width() - utf8.RuneCountInString(text); n > 0 {
				fill = strings.Repeat(" ", n)
			}
			if c.left {
				l.WriteString("  " + text + fill)
			} else {
				l.WriteString("  " + fill + text)
			}
		}
		if text := strings.TrimRight(l.String(), " "); text != "" {
			b.WriteString(text + "\n")
		}
	}
	line(func(c column) string { return c.head })
	line(func(c column) string { return c.unit })
	for i := range columns[0].cells {
		line(func(c column) string { return c.cells[i] })
	}
}

// writeWrapped breaks text between words, and indents what follows the first line.
func writeWrapped(b *strings.Builder, indent, text string) {
	line := indent
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == indent:
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > tableWidth:
			b.WriteString(line + "\n")
			line = indent + "  " + word
		default:
			line += " " + word
		}
	}
	b.WriteString(line + "\n")
}
