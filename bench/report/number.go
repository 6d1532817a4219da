package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// number writes v with three digits, or with all of them when it is whole or at least
// 1,000; a dash when it is no number.
func number(v float64) string {
	abs := math.Abs(v)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case abs >= 999.5 && abs < 1e15, v == math.Trunc(v) && abs < 1e15:
		return thousands(int64(math.Round(v)))
	case abs >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case abs >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// thousands sets commas.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// spread writes the least and the greatest value, and nothing when they are one.
func spread(m Metric) string {
	least, most := m.Range()
	if len(m.Values) < 2 || least == most {
		return ""
	}
	return "(" + number(least) + "–" + number(most) + ")"
}

// seconds writes a duration that is given in seconds.
func seconds(s float64) string {
	switch {
	case s >= 120:
		return number(math.Round(s/60)) + " min"
	case s >= 1 || s == 0:
		return number(s) + " s"
	}
	return number(s*1000) + " ms"
}

// plural writes n of something.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(int64(n)) + " " + many
}

// clean makes text from a file fit for a line of a terminal: what is not printable
// becomes U+FFFD.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// words turns the name of a metric into words.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// unit is the unit where the name does not say it already.
func (m Metric) unit() string {
	if m.Name == m.Unit || strings.HasSuffix(m.Name, "_"+m.Unit) {
		return ""
	}
	return m.Unit
}

// percent writes a ratio as a change.
func percent(ratio float64) string {
	switch {
	case math.IsNaN(ratio):
		return "–"
	case math.IsInf(ratio, 0):
		return "from 0"
	case ratio >= 10:
		return "×" + number(ratio)
	}
	return fmt.Sprintf("%+.1f %%", 100*(ratio-1))
}
