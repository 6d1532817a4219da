// Package host says what a measurement was made on and of: the machine, the Redis, and the
// versions of all that took part.
package host

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/redisstore"
)

const ourModule = "github.com/bellwether-go/bellwether"

// Machine is the one that this process runs on. What /proc does not tell stays blank.
func Machine() report.Machine {
	m := report.Machine{CPUs: runtime.NumCPU(), OS: runtime.GOOS, Arch: runtime.GOARCH, Load: -1}
	m.CPU = Field(read("/proc/cpuinfo"), "model name")
	m.Memory = bytesOf(Field(read("/proc/meminfo"), "MemTotal"))
	m.Kernel = strings.TrimSpace(read("/proc/sys/kernel/osrelease"))
	one, _, _ := strings.Cut(read("/proc/loadavg"), " ")
	if load, err := strconv.ParseFloat(one, 64); err == nil {
		m.Load = load
	}
	return m
}

// MostResident is the most resident memory that this process has had, in bytes. Where
// /proc does not tell, it is what the Go runtime has got from the system, which is not
// less.
func MostResident() int64 {
	if n := bytesOf(Field(read("/proc/self/status"), "VmHWM")); n > 0 {
		return n
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}

// Versions are those of this build, with the modules that are named. The server's is left
// to the caller.
func Versions(ctx context.Context, modules []string) report.Versions {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return report.Versions{Go: runtime.Version()}
	}
	v := versionsOf(build, modules)
	if ours(build.Main.Path) { // another program's commit says nothing of us
		v.Commit, v.Modified = commit(ctx, build)
	}
	return v
}

func versionsOf(build *debug.BuildInfo, modules []string) report.Versions {
	v := report.Versions{Go: runtime.Version(), Modules: map[string]string{}}
	for _, m := range slices.Concat(build.Deps, []*debug.Module{&build.Main}) {
		switch {
		case m.Path == ourModule && m.Replace != nil:
			v.Bellwether = "(devel)" // a folder
		case m.Path == ourModule:
			v.Bellwether = m.Version
		case slices.Contains(modules, m.Path):
			v.Modules[m.Path] = m.Version
		}
	}
	return v
}

// ours reports whether a module lies in our repository.
func ours(module string) bool {
	return module == ourModule || strings.HasPrefix(module, ourModule+"/")
}

// commit is that of the build, or of the working directory: go run stamps none.
func commit(ctx context.Context, build *debug.BuildInfo) (hash string, modified bool) {
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			hash = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if hash != "" {
		return hash, modified
	}
	module, _, _ := strings.Cut(strings.TrimPrefix(read("go.mod"), "module "), "\n")
	if !ours(module) {
		return "", false
	}
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "", false
	}
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain").Output()
	return strings.TrimSpace(string(out)), err == nil && len(changed) > 0
}

// Redis asks a server for its version and its kind, as report.Parameters has it. Neither
// says where it is.
func Redis(ctx context.Context, url string) (version, kind string, err error) {
	client, err := redisstore.Dial(url)
	if err != nil {
		return "", "", err
	}
	defer client.Close()
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return "", "", err
	}
	return Field(info, "redis_version"), kindOf(url, Field(info, "redis_mode")), nil
}

// kindOf is the kind of a Redis by its URL, which alone tells of Sentinels, and by the mode
// that the server tells.
func kindOf(redisURL, mode string) string {
	u, err := url.Parse(redisURL)
	switch {
	case err == nil && u.Query().Has("master_name"):
		return "sentinel"
	case mode == "cluster":
		return "cluster"
	}
	return "single"
}

// Field returns the value of the first line "name: value" of a text.
func Field(text, name string) string {
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// bytesOf reads "12 kB"; 0 when it is not that.
func bytesOf(text string) int64 {
	kb, _ := strconv.ParseInt(strings.TrimSuffix(text, " kB"), 10, 64)
	return kb << 10
}

// read returns the content of a file, blank when it cannot be read.
func read(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}
