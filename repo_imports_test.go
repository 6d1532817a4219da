package bellwether_test

import (
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

// A wall says what the non-test files of a package may import. Tests may import
// more, since they do not reach users.
type wall struct {
	// pkg is a folder of the repository, "." for the root. A trailing /... means the
	// folders below too. The first wall that matches a package is its own.
	pkg string
	// own lists folders of this module that pkg may import, in the same form. What
	// lies below a package it may always import.
	own []string
	// other lists modules that pkg may import; "*" is any that go.mod requires.
	other []string
}

const (
	goRedis   = "github.com/redis/go-redis/v9"
	redislock = "github.com/bsm/redislock"
	flock     = "github.com/gofrs/flock"
	tink      = "github.com/tink-crypto/tink-go/v2"
	xsync     = "golang.org/x/sync"
	xoauth2   = "golang.org/x/oauth2"
)

// walls: imports point one way. The root is vocabulary; refresh and the stores meet
// only in it; commands and measurements stand on top and nothing stands on them.
var walls = []wall{
	{pkg: "."},
	{pkg: "refresh", own: []string{".", "internal/..."}, other: []string{xsync, xoauth2}},
	{pkg: "lock", own: []string{".", "internal/..."}, other: []string{goRedis, redislock}},
	{pkg: "redisstore", own: []string{".", "lock", "internal/..."}, other: []string{goRedis, xsync}},
	{pkg: "redisstore/...", own: []string{".", "internal/..."}, other: []string{goRedis}},
	{pkg: "tier", own: []string{".", "internal/..."}, other: []string{xsync}},
	{pkg: "memstore", own: []string{".", "internal/..."}},
	{pkg: "csvstore", own: []string{".", "internal/..."}, other: []string{flock}},
	{pkg: "sqlstore", own: []string{".", "internal/..."}},
	{pkg: "seal", own: []string{".", "internal/..."}, other: []string{tink}},
	// providerfile is no provider: it makes them from a description.
	{pkg: "provider/providerfile", own: []string{".", "provider/oauth", "provider/zoho", "internal/..."}},
	{pkg: "provider/...", own: []string{".", "internal/..."}},
	{pkg: "storetest", own: []string{".", "internal/..."}, other: []string{"github.com/google/go-cmp"}},
	{pkg: "oauthtest", own: []string{".", "provider/...", "internal/..."}},
	// internal/redistest wraps a server and its clients, for tests and bench only.
	{pkg: "internal/redistest", own: []string{".", "internal/..."}, other: []string{goRedis, "github.com/alicebob/miniredis/v2"}},
	// internal/exampletest stages what the examples link.
	{pkg: "internal/exampletest", own: []string{".", "redisstore", "seal", "oauthtest", "internal/..."}},
	{pkg: "internal/...", own: []string{".", "internal/..."}, other: []string{goRedis, xsync, "github.com/alicebob/miniredis/v2"}},
	{pkg: "bench/...", own: []string{
		".", "refresh", "lock", "redisstore/...", "memstore", "seal",
		"provider/...", "storetest", "oauthtest", "internal/...", "bench/...",
	}, other: []string{"*"}},
	{pkg: "cmd/...", own: []string{
		".", "refresh", "lock", "redisstore/...", "tier", "csvstore", "sqlstore", "memstore", "seal",
		"provider/...", "storetest", "oauthtest", "internal/...", "bench/...",
	}, other: []string{"*"}},
	{pkg: "examples/...", own: []string{
		".", "refresh", "lock", "redisstore", "memstore", "seal",
		"provider/...", "storetest", "oauthtest",
	}, other: []string{goRedis, xoauth2}},
}

// nestedModules are the folders with a go.mod of their own: users inherit nothing of
// what they import.
var nestedModules = []string{"bench/peers", "e2e", "tools"}

func TestRepoImports(t *testing.T) {
	for _, f := range productFiles(t) {
		i := slices.IndexFunc(walls, func(w wall) bool { return covers(w.pkg, f.dir()) })
		if i < 0 {
			t.Errorf("%s: no wall is set for this package in repo_imports_test.go", f.dir())
			continue
		}
		w := walls[i]
		for _, imp := range f.imports() {
			switch own, isOwn := ownFolder(imp); {
			case isOwn:
				if !strings.HasPrefix(own, f.dir()+"/") && !coveredBy(w.own, own) {
					t.Errorf("%s imports %s of this module, which its wall forbids", f.path, own)
				}
			case !isStd(imp):
				if !inModules(w.other, imp) {
					t.Errorf("%s imports %s, which its wall forbids", f.path, imp)
				}
			}
		}
	}
}

// TestRepoTestHelpers: what exists for tests stays out of what users run.
func TestRepoTestHelpers(t *testing.T) {
	for _, f := range productFiles(t) {
		if f.dir() == "storetest" || f.dir() == "oauthtest" || coveredBy([]string{"internal/...", "bench/..."}, f.dir()) {
			continue
		}
		for _, imp := range f.imports() {
			if imp == "testing" || imp == repoModule+"/internal/redistest" {
				t.Errorf("%s imports %s", f.path, imp)
			}
		}
	}
}

// TestRepoProvidersArePure: a provider builds and reads HTTP messages; it opens no
// connection, reads no file and asks no clock (Answer.Time is the store's).
func TestRepoProvidersArePure(t *testing.T) {
	impure := map[string][]string{
		"net/http": {"Get", "Head", "Post", "PostForm", "Client", "Transport", "DefaultClient", "DefaultTransport"},
		"time":     {"Now", "Since", "Until", "After", "Sleep", "NewTimer", "NewTicker", "Tick", "AfterFunc"},
	}
	for _, f := range productFiles(t) {
		if !covers("provider/...", f.dir()) || f.dir() == "provider/providerfile" { // which reads a file, and is no provider
			continue
		}
		for _, imp := range f.imports() {
			switch imp {
			case "os", "os/exec", "net", "syscall", "database/sql", "log", "log/slog", "io/ioutil":
				t.Errorf("%s imports %s: a provider does no I/O", f.path, imp)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			for imp, names := range impure {
				if path.Base(imp) == pkg.Name && slices.Contains(names, sel.Sel.Name) {
					t.Errorf("%s: %s.%s in a provider", repoFileSet.Position(n.Pos()), pkg.Name, sel.Sel.Name)
				}
			}
			return true
		})
	}
}

// lightCore lists, for the packages that an application links, every module that may
// come along. Command lines, histograms, fake servers and encryption libraries do not.
var lightCore = map[string][]string{
	".":          {},
	"refresh":    {xsync, xoauth2},
	"lock":       append([]string{redislock}, goRedisTree...),
	"redisstore": append([]string{redislock, xsync}, goRedisTree...),
	"csvstore":   {flock, "golang.org/x/sys"},
	"sqlstore":   {},
}

// goRedisTree is the Redis client with what it brings itself.
var goRedisTree = []string{goRedis, "github.com/cespare/xxhash/v2", "go.uber.org/atomic", "golang.org/x/sys"}

func TestRepoLightCore(t *testing.T) {
	exists := map[string]bool{}
	for _, f := range productFiles(t) {
		exists[f.dir()] = true
	}
	for pkg, allowed := range lightCore {
		if !exists[pkg] {
			t.Errorf("%s: no such package", pkg)
			continue
		}
		out := goCommand(t, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./"+pkg)
		mods := strings.Fields(string(out))
		slices.Sort(mods)
		for _, mod := range slices.Compact(mods) {
			if mod != repoModule && !slices.Contains(allowed, mod) {
				t.Errorf("%s: brings %s to everybody who links it", pkg, mod)
			}
		}
	}
}

// productFiles returns the Go files of the published module that are no tests.
func productFiles(t *testing.T) []repoFile {
	t.Helper()
	var files []repoFile
	for _, f := range repoGoFiles(t) {
		nested := slices.ContainsFunc(nestedModules, func(m string) bool { return covers(m+"/...", f.dir()) })
		if !nested && !f.isTest() {
			files = append(files, f)
		}
	}
	return files
}

// ownFolder returns the folder of an import path of this module.
func ownFolder(imp string) (folder string, ok bool) {
	if imp == repoModule {
		return ".", true
	}
	return strings.CutPrefix(imp, repoModule+"/")
}

// isStd reports whether imp belongs to the standard library: no dot in its first element.
func isStd(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".")
}

// covers reports whether pattern names dir, or with a trailing /... holds it.
func covers(pattern, dir string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return dir == tree || strings.HasPrefix(dir, tree+"/")
	}
	return dir == pattern
}

func coveredBy(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, dir) })
}

func inModules(mods []string, imp string) bool {
	return slices.ContainsFunc(mods, func(m string) bool {
		return m == "*" || imp == m || strings.HasPrefix(imp, m+"/")
	})
}
