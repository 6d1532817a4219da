package report

import (
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// WriteGoBench writes a report in the Go benchmark format
// (https://go.dev/design/14313-benchmark-format), one line a round, for benchstat and
// its like. The name of a line holds the subject and all parameters but the number of
// rounds; a unit is the name of the metric with its unit.
//
// benchstat sets results side by side only when their configuration lines are equal,
// so two commits need
//
//	benchstat -ignore commit,bellwether old.txt new.txt
func WriteGoBench(w io.Writer, r Report) error {
	var b strings.Builder
	for _, c := range [][2]string{
		{"goos", r.Machine.OS},
		{"goarch", r.Machine.Arch},
		{"pkg", "github.com/bellwether-go/bellwether/bench"},
		{"cpu", r.Machine.CPU},
		{"cpus", strconv.Itoa(r.Machine.CPUs)},
		{"bellwether", r.Versions.Bellwether},
		{"commit", strings.TrimPrefix(r.Versions.commit(), "commit ")},
		{"go", r.Versions.Go},
		{"redis", r.Versions.Redis},
	} {
		if value := strings.TrimSpace(clean(c[1])); value != "" {
			fmt.Fprintf(&b, "%s: %s\n", c[0], value)
		}
	}
	writeUnits(&b, r)
	for _, run := range r.Runs {
		writeRounds(&b, run)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeUnits says once for each unit which way is better.
func writeUnits(b *strings.Builder, r Report) {
	told := map[string]bool{}
	for _, run := range r.Runs {
		for _, m := range run.Metrics {
			unit, way := benchUnit(m), map[Better]string{Less: "lower", More: "higher"}[m.Better]
			if way != "" && !told[unit] {
				told[unit] = true
				fmt.Fprintf(b, "Unit %s better=%s\n", unit, way)
			}
		}
	}
}

func writeRounds(b *strings.Builder, run Run) {
	parts := []string{"Benchmark" + camel(run.Scenario), "subject=" + benchValue(run.Subject)}
	for _, p := range run.Parameters.pairs() {
		parts = append(parts, p[0]+"="+benchValue(p[1]))
	}
	name, rounds := strings.Join(parts, "/"), 0
	for _, m := range run.Metrics {
		rounds = max(rounds, len(m.Values))
	}
	for i := range rounds {
		fields := []string{name, "1"}
		for _, m := range run.Metrics {
			if i < len(m.Values) && !math.IsNaN(m.Values[i]) && !math.IsInf(m.Values[i], 0) {
				fields = append(fields, strconv.FormatFloat(m.Values[i], 'f', -1, 64), benchUnit(m))
			}
		}
		if len(fields) > 2 {
			b.WriteString(strings.Join(fields, " ") + "\n")
		}
	}
}

// benchUnit is the metric's name, with its unit when the name does not end in that.
func benchUnit(m Metric) string {
	name := benchWord(m.Name)
	if unit := m.unit(); unit != "" {
		name += "-" + benchWord(unit)
	}
	return name
}

// benchWord makes one field of text.
func benchWord(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsGraphic(r) {
			return '_'
		}
		return r
	}, text)
}

// looksLikeProcs matches what readers of the format take for GOMAXPROCS.
var looksLikeProcs = regexp.MustCompile(`-(\d+)$`)

// benchValue makes a value for a part of a benchmark's name.
func benchValue(text string) string {
	return looksLikeProcs.ReplaceAllString(strings.ReplaceAll(benchWord(text), "/", "_"), "_$1")
}

// camel turns "slow-call" into "SlowCall".
func camel(name string) string {
	var b strings.Builder
	up := true
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			up = true
		case up:
			b.WriteRune(unicode.ToUpper(r))
			up = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
