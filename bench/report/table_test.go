package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", name, d)
	}
}

func table(t *testing.T, r Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteTable(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTable(t *testing.T) { golden(t, "table.txt", table(t, small())) }

func TestTableWidth(t *testing.T) {
	for line := range strings.Lines(table(t, synthetic(t))) {
		// What callers were told is as long as it is.
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > tableWidth && !strings.HasPrefix(line, "  failed ") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// TestTableHostile: a report from elsewhere cannot command the terminal.
func TestTableHostile(t *testing.T) {
	r := small()
	r.Machine.CPU = "\x1b[2J"
	r.Runs[0].Subject = "a\nok  invariant"
	r.Runs[0].Checks[0].Got = "\x1b]0;x\x07"
	r.Runs[0].Metrics[0].Name = "\rx"
	r.Runs[1].Failures = map[string]int{"\x1b[31mred\u202e": 1}
	if got := table(t, r); strings.ContainsAny(got, "\x1b\r\x07\u202e") {
		t.Errorf("control characters in %q", got)
	}
}

// TestIncomplete: every form that people read says first that something was not measured.
func TestIncomplete(t *testing.T) {
	r := small()
	r.Incomplete = "herd, interrupted\x1b"
	want := "INCOMPLETE (herd, interrupted"
	if got := table(t, r); !strings.Contains(got, "\n"+want) || strings.Contains(got, "\x1b") {
		t.Errorf("no line begins with %q:\n%s", want, got)
	}
	var page bytes.Buffer
	if err := WriteHTML(&page, r); err != nil || !strings.Contains(page.String(), "INCOMPLETE") {
		t.Errorf("the page does not say so: %v", err)
	}
	if got := comparison(t, Compare(small(), r, CompareOptions{})); !strings.Contains(got, "The new report is INCOMPLETE: herd, interrupted") {
		t.Errorf("the comparison does not say so:\n%s", got)
	}
	if got := table(t, small()); strings.Contains(got, "INCOMPLETE") {
		t.Errorf("a whole report is called incomplete:\n%s", got)
	}
}
