package report

import (
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"html/template"
	"io"
	"strings"
)

//go:embed page.html.tmpl
var pageTemplate string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

//go:embed uplot/uPlot.iife.min.js
var uplotScript string

//go:embed uplot/uPlot.min.css
var uplotStyle string

//go:embed uplot/LICENSE
var uplotLicense string

var pageTmpl = template.Must(template.New("page").Parse(pageTemplate))

// A page is what the template is given.
type page struct {
	Policy          string // Content-Security-Policy
	Style           template.CSS
	Library, Script template.JS

	Report            Report
	Started           string
	Took              string
	Facts             []fact
	Invariants, Bars  string
	Broken, Missed    []string
	InvariantsChecked bool
	BarsSet           bool
	Scenarios         []scenarioView
	Plots             []*plot
}

type fact struct{ Name, Value string }

// WriteHTML writes a report as one HTML file that needs nothing else: style, script and
// numbers are in it, and its content security policy forbids any request. What the
// plots show is in tables too, for readers and printers without script.
func WriteHTML(w io.Writer, r Report) error {
	p := page{
		Style:   template.CSS("/* uPlot, https://github.com/leeoniya/uPlot\n" + uplotLicense + "*/\n" + uplotStyle + "\n" + pageStyle),
		Library: template.JS("/* uPlot, https://github.com/leeoniya/uPlot\n" + uplotLicense + "*/\n" + uplotScript),
		Script:  template.JS(pageScript),

		Report:     r,
		Started:    r.Started.UTC().Format("2 January 2006, 15:04 UTC"),
		Took:       seconds(r.Seconds),
		Facts:      r.facts(),
		Invariants: r.invariants(),
		Bars:       r.bars(),
		Broken:     r.Broken(Invariant),
		Missed:     r.Broken(Bar),
	}
	_, n := r.count(Invariant)
	p.InvariantsChecked = n > 0
	_, n = r.count(Bar)
	p.BarsSet = n > 0
	p.Policy = strings.Join([]string{
		"default-src 'none'",
		"img-src data:",
		"style-src " + hashSource(string(p.Style)),
		"script-src " + hashSource(string(p.Library)) + " " + hashSource(string(p.Script)),
		"base-uri 'none'",
		"form-action 'none'",
	}, "; ")
	p.Scenarios, p.Plots = r.views()
	return pageTmpl.Execute(w, p)
}

// hashSource allows one inline script or style.
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (r Report) facts() []fact {
	m, v := r.Machine, r.Versions
	all := []fact{
		{"INCOMPLETE", r.Incomplete},
		{"CPU", m.CPU},
		{"CPUs", number(float64(m.CPUs))},
		{"System", m.OS + "/" + m.Arch},
		{"Kernel", m.Kernel},
	}
	if m.Memory > 0 {
		all = append(all, fact{"Memory", m.memory()})
	}
	if m.Load >= 0 {
		all = append(all, fact{"Load before", number(m.Load)})
	}
	commit := ""
	if v.Commit != "" {
		commit = strings.TrimPrefix(v.commit(), "commit ")
	}
	all = append(all,
		fact{"Bellwether", v.Bellwether},
		fact{"Commit", commit},
		fact{"Go", v.Go},
		fact{"Redis", v.Redis})
	var known []fact
	for _, f := range all {
		if f.Value != "" {
			known = append(known, f)
		}
	}
	return known
}
