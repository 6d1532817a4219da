package bellwether_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The tests named TestRepo… are the policy of this repository: what CONTRIBUTING.md
// asks for and a machine can check. They read the files of the working tree and ask
// the go command; they need nothing else.

const (
	repoModule = "github.com/bellwether-go/bellwether"

	maxGoLines        = 600 // of a Go file that is no test
	maxDirectRequires = 16
)

// A repoFile is one text file of the working tree.
type repoFile struct {
	path string // relative to the root, with slashes
	text []byte
	ast  *ast.File // of a Go file
}

func (f repoFile) dir() string { return path.Dir(f.path) }

func (f repoFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// imports returns the import paths of a Go file.
func (f repoFile) imports() []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser has accepted it
		}
		paths = append(paths, p)
	}
	return paths
}

var repoFileSet = token.NewFileSet()

// readRepo reads the text files of the repository, nested modules included.
var readRepo = sync.OnceValues(func() ([]repoFile, error) {
	var files []repoFile
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
			return nil
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case !d.Type().IsRegular() || d.Name() == ".git": // a worktree's .git is a file
			return nil
		}
		text, err := os.ReadFile(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		}
		if bytes.IndexByte(text, 0) >= 0 {
			return nil
		}
		f := repoFile{path: filepath.ToSlash(name), text: text}
		if strings.HasSuffix(name, ".go") && !strings.Contains(f.path, "testdata/") {
			f.ast, err = parser.ParseFile(repoFileSet, name, text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
		}
		files = append(files, f)
		return nil
	})
	return files, err
})

func repoFiles(t *testing.T) []repoFile {
	t.Helper()
	files, err := readRepo()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func repoGoFiles(t *testing.T) []repoFile {
	t.Helper()
	var files []repoFile
	for _, f := range repoFiles(t) {
		if f.ast != nil {
			files = append(files, f)
		}
	}
	return files
}

func TestRepoPackageDocs(t *testing.T) {
	docs := map[string]string{} // by folder
	for _, f := range repoGoFiles(t) {
		if f.isTest() {
			continue
		}
		if f.ast.Doc == nil {
			docs[f.dir()] += ""
			continue
		}
		if docs[f.dir()] != "" {
			t.Errorf("%s: a second package comment for %s", f.path, f.dir())
		}
		doc := f.ast.Doc.Text()
		if name := f.ast.Name.Name; name != "main" && !strings.HasPrefix(doc, "Package "+name+" ") {
			t.Errorf("%s: the package comment does not begin with %q", f.path, "Package "+name)
		}
		docs[f.dir()] += doc
	}
	for dir, doc := range docs {
		if doc == "" {
			t.Errorf("%s: no package comment", dir)
		}
	}
}

func TestRepoFileLength(t *testing.T) {
	for _, f := range repoGoFiles(t) {
		if n := bytes.Count(f.text, []byte("\n")); n > maxGoLines && !f.isTest() {
			t.Errorf("%s: %d lines, more than %d: one concept per file", f.path, n, maxGoLines)
		}
	}
}

// TestRepoNoSkips: a test that needs servers asks redistest.Need, which can be told
// to fail instead; a skip elsewhere would hide a test that never runs.
func TestRepoNoSkips(t *testing.T) {
	for _, f := range repoGoFiles(t) {
		if f.dir() == "internal/redistest" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			recv, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch recv.Name {
			case "t", "b", "f", "tb":
				switch sel.Sel.Name {
				case "Skip", "Skipf", "SkipNow":
					t.Errorf("%s: %s.%s outside of internal/redistest",
						repoFileSet.Position(n.Pos()), recv.Name, sel.Sel.Name)
				}
			}
			return true
		})
	}
}

// A leftover is what no text of the project may hold: one of the words, between
// before and after.
type leftover struct {
	what          string
	words         []string
	before, after string // expressions
}

// The words are written so that this file does not hold them.
var leftovers = []leftover{
	{"a note of unfinished work", []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"}, `\b`, `\b`},
	{"a path of somebody's machine", []string{"/ho" + "me/", "/ro" + "ot/", "/wo" + "rk/", "/Us" + "ers/"},
		`(?m:^|[\s"'=:(,` + "`" + `])`, `\w`},
	{"a package registry's host", []string{"registry.", "proxy.", "sum.", "artifactory.", "nexus."},
		`\b`, `[a-z0-9.-]+\.(?:org|com|net|io|dev|internal|local)\b`},
}

// find returns where text holds the leftover. Few files hold a word at all, and only
// those are worth the slower search.
func (l leftover) find(text []byte) [][]int {
	in := func(word string) bool { return bytes.Contains(text, []byte(word)) }
	if !slices.ContainsFunc(l.words, in) {
		return nil
	}
	quoted := make([]string, len(l.words))
	for i, word := range l.words {
		quoted[i] = regexp.QuoteMeta(word)
	}
	return regexp.MustCompile(l.before+"(?:"+strings.Join(quoted, "|")+")"+l.after).FindAllIndex(text, -1)
}

func TestRepoNoLeftovers(t *testing.T) {
	for _, f := range repoFiles(t) {
		switch {
		case path.Base(f.path) == "go.sum", f.path == "LICENSE", strings.Contains(f.path, "testdata/fuzz/"):
			continue
		}
		for _, l := range leftovers {
			for _, at := range l.find(f.text) {
				if m := string(f.text[at[0]:at[1]]); !strings.Contains(m, "example") {
					line := 1 + bytes.Count(f.text[:at[0]], []byte("\n"))
					t.Errorf("%s:%d: %s: %q", f.path, line, l.what, m)
				}
			}
		}
	}
}

// TestRepoLeftoversAreSeen is the control of TestRepoNoLeftovers.
func TestRepoLeftoversAreSeen(t *testing.T) {
	for i, text := range []string{"// TO" + "DO: more", `dir = "/ro` + `ot/x"`, "https://registry.npm" + "js.org/x"} {
		if len(leftovers[i].find([]byte(text))) != 1 {
			t.Errorf("%s: %q is not seen", leftovers[i].what, text)
		}
	}
}

// directRequires is every module that users inherit through go.mod, with what it
// gives that we do not write ourselves.
var directRequires = map[string]string{
	"github.com/HdrHistogram/hdrhistogram-go": "bench: percentiles without keeping every sample",
	"github.com/alicebob/miniredis/v2":        "tests, demo and bench: a Redis in process",
	"github.com/bsm/redislock":                "lock: obtain, refresh and release on one key",
	"github.com/go-sql-driver/mysql":          "command and tests: the driver of MySQL and MariaDB under sqlstore",
	"github.com/gofrs/flock":                  "csvstore: a file lock that ends with its process, on every system",
	"github.com/google/go-cmp":                "tests: readable differences",
	"github.com/redis/go-redis/v9":            "redisstore, lock: the Redis client, Cluster and Sentinel included",
	"github.com/rogpeppe/go-internal":         "tests: testscript drives the command from outside",
	"github.com/spf13/cobra":                  "command: sub-commands, help, completion",
	"github.com/tink-crypto/tink-go/v2":       "seal: AEAD keysets and their rotation",
	"golang.org/x/oauth2":                     "refresh: the TokenSource type that users already hold",
	"golang.org/x/perf":                       "bench: the significance of differences, as benchstat judges it",
	"golang.org/x/sync":                       "refresh: singleflight, one join per replica and row",
	"modernc.org/sqlite":                      "command and tests: the driver of SQLite under sqlstore, without C",
}

func TestRepoRequires(t *testing.T) {
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace, Exclude, Tool []any
	}
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Replace)+len(mod.Exclude)+len(mod.Tool) > 0 {
		t.Error("go.mod: replace and exclude do not reach users, tools live in the module in tools/")
	}
	known, direct := map[string]bool{}, 0
	for _, r := range mod.Require {
		known[r.Path] = true
		if r.Indirect {
			continue
		}
		direct++
		if directRequires[r.Path] == "" {
			t.Errorf("go.mod: %s is required without a reason in repo_test.go", r.Path)
		}
	}
	if direct > maxDirectRequires {
		t.Errorf("go.mod: %d direct requires, more than %d", direct, maxDirectRequires)
	}
	for p := range directRequires {
		if !known[p] {
			t.Errorf("repo_test.go gives a reason for %s, which go.mod does not require", p)
		}
	}
}

// goCommand runs the go command in the root and returns its output.
func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, &stderr))
	}
	return out
}
