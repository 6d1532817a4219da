package report

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether/internal/redistest"
)

var browsers = []string{"chromium", "chromium-browser", "google-chrome"}

// TestPageInBrowser opens pages in a headless browser: every plot is drawn and nothing
// goes wrong in the script or against the page's own policy. The last case is a page
// that must fail, or the others say nothing.
func TestPageInBrowser(t *testing.T) {
	browser := redistest.NeedProgram(t, browsers...)
	whole := synthetic(t)
	_, plots := whole.views()
	hostile := synthetic(t)
	for i := range hostile.Runs {
		hostile.Runs[i].Subject += `</script><img src="x" onerror="document.body.dataset.evil=1">`
		hostile.Runs[i].Commands = map[string]int64{`"><b id="evil">`: 3}
	}
	_, hostilePlots := hostile.views()
	for _, tc := range []struct {
		name  string
		page  string
		plots int
		fails bool
	}{
		{"whole", html(t, whole), len(plots), false},
		{"hostile", html(t, hostile), len(hostilePlots), false},
		{"of nothing", html(t, Report{}), 0, false},
		{"control", strings.Replace(html(t, whole), `"series":`, `"else":`, 1), len(plots) - 1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dom := dumpDOM(t, browser, tc.page)
			if !strings.Contains(dom, "</html>") {
				t.Fatalf("the browser gave %q", dom)
			}
			if got := strings.Count(dom, `data-state="drawn"`); got != tc.plots {
				t.Errorf("%d plots are drawn, want %d", got, tc.plots)
			}
			if got := strings.Count(dom, "<canvas"); got != tc.plots {
				t.Errorf("%d canvases, want %d", got, tc.plots)
			}
			if failed := !strings.Contains(dom, `<ul id="script-errors" hidden=""></ul>`); failed != tc.fails {
				_, list, _ := strings.Cut(dom, `<ul id="script-errors"`)
				list, _, _ = strings.Cut(list, "</ul>")
				t.Errorf("script errors: %q, want some: %v", list, tc.fails)
			}
			if rest := withoutScript(dom); strings.Contains(rest, "<img") || strings.Contains(rest, "<b id=") || strings.Contains(rest, "data-evil") {
				t.Error("a hostile name has become part of the page")
			}
		})
	}
}

// TestPagePointing moves a pointer over every plot: each then shows its numbers.
func TestPagePointing(t *testing.T) {
	browser := redistest.NeedProgram(t, browsers...)
	r := synthetic(t)
	_, plots := r.views()
	script := pageScript
	t.Cleanup(func() { pageScript = script })
	pageScript += `
setTimeout(() => {
	for (const over of document.querySelectorAll(".u-over")) {
		const at = over.getBoundingClientRect();
		for (const type of ["mouseenter", "mousemove"]) {
			over.dispatchEvent(new MouseEvent(type, { clientX: at.left + at.width / 2, clientY: at.top + 9, movementX: 1 }));
		}
	}
}, 100);`
	dom := dumpDOM(t, browser, html(t, r))
	if got := len(regexp.MustCompile(`<div class="tip"[^>]*>[^<]+<p><i class="swatch s\d"></i>[^<]+: [\d,.]+`).FindAllString(dom, -1)); got != len(plots) {
		t.Errorf("%d of %d plots show numbers", got, len(plots))
	}
	if strings.Contains(dom, `<div class="tip" hidden`) || !strings.Contains(dom, `<ul id="script-errors" hidden=""></ul>`) {
		t.Error("some plot shows nothing or the script has failed")
	}
}

// dumpDOM loads a page from a file and returns its document once the script has run.
func dumpDOM(t *testing.T, browser, page string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "report.html")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu",
		"--disable-background-networking", "--disable-dev-shm-usage", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--window-size=1100,900", "--virtual-time-budget=5000", "--dump-dom", "file://"+file)
	cmd.WaitDelay = 5 * time.Second
	var said strings.Builder
	cmd.Stderr = &said
	dom, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", browser, err, &said)
	}
	return string(dom)
}
