package bellwether_test

import (
	"go/ast"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// topLevelTests returns the Test and Fuzz functions of each folder.
func topLevelTests(t *testing.T) map[string][]string {
	t.Helper()
	tests := map[string][]string{}
	for _, f := range repoGoFiles(t) {
		if !f.isTest() {
			continue
		}
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if ok && fn.Recv == nil && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")) {
				tests[f.dir()] = append(tests[f.dir()], fn.Name.Name)
			}
		}
	}
	return tests
}

// testRef is how docs name a test: `refresh.TestX`, `internal/redistest.TestY`; the
// root's tests are `bellwether.TestZ`. A subtest may follow after a slash.
var testRef = regexp.MustCompile("`([a-z0-9/_]+)\\.((?:Test|Fuzz)\\w+)(?:/[^`]*)?`")

// TestRepoFailureModes: docs/failure-modes.md promises only what a test proves. Each
// row of its tables is built and names tests that exist, or is not built and names none.
func TestRepoFailureModes(t *testing.T) {
	const name = "docs/failure-modes.md"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	tests, rows := topLevelTests(t), 0
	for i, line := range strings.Split(string(text), "\n") {
		cells, ok := tableRow(line)
		if !ok || cells[len(cells)-1] == "proved by" || strings.Trim(cells[0], "-: ") == "" {
			continue
		}
		rows++
		if len(cells) != 4 {
			t.Errorf("%s:%d: %d cells, want fault or promise, what happens, state, proved by", name, i+1, len(cells))
			continue
		}
		refs := testRef.FindAllStringSubmatch(cells[3], -1)
		switch state := cells[2]; {
		case state == "built" && len(refs) == 0:
			t.Errorf("%s:%d: built, but proved by no test", name, i+1)
		case state == "not built" && cells[3] != "–":
			t.Errorf("%s:%d: not built, but proved by %s", name, i+1, cells[3])
		case state != "built" && state != "not built":
			t.Errorf("%s:%d: state %q is neither built nor not built", name, i+1, state)
		}
		for _, ref := range refs {
			if !hasTest(tests, ref[1], "^"+ref[2]+"$") {
				t.Errorf("%s:%d: there is no test %s.%s", name, i+1, ref[1], ref[2])
			}
		}
	}
	if rows < 20 {
		t.Errorf("%s: %d rows were read, want the whole table", name, rows)
	}
}

// tableRow splits a row of a Markdown table into its cells.
func tableRow(line string) (cells []string, ok bool) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") || !strings.HasSuffix(line, "|") || len(line) < 2 {
		return nil, false
	}
	for c := range strings.SplitSeq(line[1:len(line)-1], "|") {
		cells = append(cells, strings.TrimSpace(c))
	}
	return cells, true
}

// hasTest reports whether a test of pkg matches the first element of a -run pattern.
func hasTest(tests map[string][]string, pkg, run string) bool {
	if pkg == "bellwether" {
		pkg = "."
	}
	first, _, _ := strings.Cut(run, "/")
	re, err := regexp.Compile(first)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(tests[pkg], re.MatchString)
}

// mutantHeader matches the lines by which a mutant says what it proves.
var mutantHeader = regexp.MustCompile(`(?m)^# (test|takes out): +(\S.*)$`)

// TestRepoMutants: each scripts/mutants/NAME.patch says which mechanism it takes out
// and names the tests that must then fail. `scripts/prove.sh mutants` runs them.
func TestRepoMutants(t *testing.T) {
	tests := topLevelTests(t)
	patches, err := filepath.Glob("scripts/mutants/*.patch")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range patches {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, h := range mutantHeader.FindAllStringSubmatch(string(text), -1) {
			count[h[1]]++
			if h[1] != "test" {
				continue
			}
			pkg, run, ok := strings.Cut(h[2], " ")
			if !ok || !hasTest(tests, path.Clean(pkg), strings.TrimSpace(run)) {
				t.Errorf("%s: %q names no test: want # test: ./folder ^TestName$", name, h[0])
			}
		}
		if count["test"] == 0 || count["takes out"] != 1 {
			t.Errorf("%s: want one line \"# takes out:\" and at least one \"# test:\"", name)
		}
	}
}

// mdLink matches the target of a Markdown link or image.
var mdLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestRepoLinks: a relative link in a document leads to a file.
func TestRepoLinks(t *testing.T) {
	for _, f := range repoFiles(t) {
		if path.Ext(f.path) != ".md" {
			continue
		}
		for _, m := range mdLink.FindAllStringSubmatch(string(f.text), -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: link %q: %v", f.path, m[1], err)
				continue
			}
			if u.Scheme != "" || u.Path == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(f.path), u.Path)); err != nil {
				t.Errorf("%s: link %q leads nowhere", f.path, m[1])
			}
		}
	}
}

// TestRepoReadmeExample: the README's lines are those of refresh.Example, which runs,
// but for the handling of errors and for where the keyset, Redis and Zoho are.
func TestRepoReadmeExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("refresh/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(readme), "\nUse it:\n\n```go\n")
	if !ok {
		t.Fatal("README.md has no block \"Use it\"")
	}
	block, _, _ = strings.Cut(block, "```")
	block = strings.NewReplacer(`"keyset.json"`, "keyset", `"redis://localhost:6379"`, "redisURL",
		"zoho.New(zoho.EU)}}", "zoho.New(zoho.EU)}, DialContext: dial, TLSConfig: trust}").Replace(block)
	_, body, ok := strings.Cut(string(example), "\tdefer end()\n")
	if !ok {
		t.Fatal("refresh.Example does not begin with its ground")
	}
	body, _, _ = strings.Cut(body, "\tdefer resp.Body.Close()\n")
	body = strings.ReplaceAll(body, "\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n", "")
	got, want := trimmedLines(block), trimmedLines(body)
	if len(want) < 8 {
		t.Fatalf("refresh.Example has %d lines, want the ten of the README", len(want))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("README.md differs from refresh.Example (-example +README):\n%s", d)
	}
}

// trimmedLines returns the lines that are not blank, without indentation.
func trimmedLines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}
