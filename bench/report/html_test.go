package report

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func html(t testing.TB, r Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteHTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPageIsSelfContained: nothing in the page makes a browser ask a server.
func TestPageIsSelfContained(t *testing.T) {
	page := html(t, synthetic(t))
	for _, m := range regexp.MustCompile(`(?i).{0,40}https?:\S*`).FindAllString(page, -1) {
		if !strings.HasSuffix(m, "https://github.com/leeoniya/uPlot") {
			t.Errorf("an address: %q", m)
		}
	}
	for _, m := range regexp.MustCompile(`(?i)\b(?:src|href|action|srcset|poster)\s*=\s*"?([^"\s>]*)`).FindAllStringSubmatch(withoutScript(page), -1) {
		if !strings.HasPrefix(m[1], "#") && m[1] != "data:," {
			t.Errorf("a reference: %q", m[0])
		}
	}
	if m := regexp.MustCompile(`(?i)@import|url\(`).FindString(page); m != "" {
		t.Errorf("the style refers to a file: %q", m)
	}
	if strings.Contains(page, "unsafe-") {
		t.Error("the content security policy allows what it should not")
	}
	for _, want := range []string{`http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;;`, "Permission is hereby granted"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

var scripts = regexp.MustCompile(`(?s)<(script|style)[^>]*>.*?</(?:script|style)>`)

func withoutScript(page string) string { return scripts.ReplaceAllString(page, "") }

// TestPageHostile: what comes from a file is text, wherever it stands.
func TestPageHostile(t *testing.T) {
	const evil = `</script></style><script>alert(1)</script><img src=x onerror="alert(2)">'"&{{.}}`
	r := synthetic(t)
	plain := html(t, r)
	r.Machine.CPU, r.Versions.Commit, r.Versions.Redis = evil, evil, evil
	r.Versions.Modules[evil] = evil
	for i := range r.Runs {
		run := &r.Runs[i]
		run.Scenario += evil
		run.Subject += evil
		run.Parameters.Profile = evil
		run.Commands = map[string]int64{evil: 3, "get": 2}
		run.Failures = map[string]int{evil: 1}
		run.Checks = append(run.Checks, Check{Invariant, evil, evil, evil, false, evil})
		run.Timeline = append(run.Timeline, Mark{evil, evil, 1, 2})
		run.Metrics[0].Unit = evil
		run.Metrics[1].Name = evil
	}
	page := html(t, r)
	for _, tag := range []string{"<script", "</script", "<style", "</style"} {
		if got, want := strings.Count(page, tag), strings.Count(plain, tag); got != want {
			t.Errorf("%d times %s, want %d as without hostile names", got, tag, want)
		}
	}
	for _, bad := range []string{"<img", "alert(1)</script>", `onerror="`} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if !strings.Contains(page, "&lt;img") {
		t.Error("the hostile names are not shown")
	}
}

func TestPageVerdicts(t *testing.T) {
	r := synthetic(t)
	if page := html(t, r); !strings.Contains(page, "hold") || strings.Contains(page, "BROKEN") {
		t.Error("invariants that hold are not told so")
	}
	r.Runs[0].Checks[0].OK = false
	// A check marks the metric that it is of, whatever its name begins with.
	r.Runs[0].Checks[1].Name = "redis commands"
	if mark, _ := r.Runs[0].mark("redis_commands"); mark != "" {
		t.Errorf("a check of failed callers marks the Redis commands as %q", mark)
	}
	page := html(t, r)
	for _, want := range []string{"1 of 20 invariants are BROKEN", "herd, bellwether: provider_calls: want 1 in each round", `<td class="missed" title="want 1 in each round">`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// TestPageOfLittle: a report with next to nothing in it is a page all the same.
func TestPageOfLittle(t *testing.T) {
	for name, r := range map[string]Report{
		"nothing":    {},
		"no metrics": {Runs: []Run{{Scenario: "herd", Subject: "bellwether"}}},
		"no values":  {Runs: []Run{{Scenario: "herd", Subject: "bellwether", Metrics: []Metric{{Name: callsMetric}}, Waits: &Histogram{}}}},
		"zeros": {Runs: []Run{
			{Scenario: "herd", Subject: "a", Parameters: Parameters{Replicas: 1}, Metrics: []Metric{{Name: callsMetric, Values: []float64{0, 0}}}, Commands: map[string]int64{"get": 0}},
			{Scenario: "herd", Subject: "a", Parameters: Parameters{Replicas: 2}, Metrics: []Metric{{Name: callsMetric, Values: []float64{0}}, {Name: "change", Values: []float64{-3}}}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if page := html(t, r); !strings.HasSuffix(strings.TrimSpace(page), "</html>") {
				t.Errorf("the page does not end: %q", page[max(0, len(page)-80):])
			}
		})
	}
}
