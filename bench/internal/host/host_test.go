package host

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestMachine(t *testing.T) {
	m := Machine()
	if m.CPUs < 1 || m.OS != runtime.GOOS || m.Arch != runtime.GOARCH {
		t.Errorf("%+v", m)
	}
	if runtime.GOOS == "linux" && (m.Kernel == "" || m.Memory < 64<<20 || m.Load < 0) {
		t.Errorf("/proc is not read: %+v", m)
	}
}

func TestMostResident(t *testing.T) {
	if n := MostResident(); n < 1<<20 || n > 1<<40 {
		t.Errorf("%d bytes", n)
	}
}

func TestCPU(t *testing.T) {
	before := CPU()
	if runtime.GOOS == "linux" && before <= 0 {
		t.Fatalf("%v of CPU until now", before)
	}
	for sum := uint64(1); runtime.GOOS == "linux" && CPU() == before; { // ends: it works all the time
		for range 1 << 16 {
			sum = sum*6364136223846793005 + 1
		}
	}
	if after := CPU(); after < before {
		t.Errorf("%v of CPU, %v before", after, before)
	}
}

func TestVersions(t *testing.T) {
	if v := Versions(t.Context(), nil); v.Bellwether == "" || v.Go != runtime.Version() {
		t.Errorf("of this build: %+v", v)
	}
	other := &debug.Module{Path: "example.com/a", Version: "v1.2.3"}
	for name, c := range map[string]struct {
		build debug.BuildInfo
		want  string
	}{
		"our command":     {debug.BuildInfo{Main: debug.Module{Path: ourModule, Version: "v0.2.0"}, Deps: []*debug.Module{other}}, "v0.2.0"},
		"another program": {debug.BuildInfo{Main: debug.Module{Path: "example.com/main", Version: "v9.0.0"}, Deps: []*debug.Module{other, {Path: ourModule, Version: "v0.2.0"}}}, "v0.2.0"},
		"our peers":       {debug.BuildInfo{Main: debug.Module{Path: ourModule + "/bench/peers"}, Deps: []*debug.Module{{Path: ourModule, Replace: new(debug.Module)}, other}}, "(devel)"},
	} {
		v := versionsOf(&c.build, []string{"example.com/a", "example.com/none"})
		if v.Bellwether != c.want || len(v.Modules) != 1 || v.Modules["example.com/a"] != "v1.2.3" {
			t.Errorf("%s: %+v, want %s and one module", name, v, c.want)
		}
	}
}

func TestField(t *testing.T) {
	text := "# Server\r\nredis_version:7.0.15\r\nmodel name\t: A: B\n"
	for name, want := range map[string]string{"redis_version": "7.0.15", "model name": "A: B", "none": ""} {
		if got := Field(text, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestOurs(t *testing.T) {
	for module, want := range map[string]bool{ourModule: true, ourModule + "/bench/peers": true, ourModule + "s": false, "": false} {
		if got := ours(module); got != want {
			t.Errorf("%q is ours: %v", module, got)
		}
	}
}

func TestBytesOf(t *testing.T) {
	for text, want := range map[string]int64{"12 kB": 12 << 10, "": 0, "many": 0} {
		if got := bytesOf(text); got != want {
			t.Errorf("%q is %d bytes, want %d", text, got, want)
		}
	}
}

// TestRedis: an unreachable server is an error without its password; kinds are told by URL
// and by mode.
func TestRedis(t *testing.T) {
	if _, _, err := Redis(t.Context(), "redis://:hunter2@127.0.0.1:1"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("unreachable: %v", err)
	}
	for _, c := range [][3]string{
		{"redis://localhost", "standalone", "single"},
		{"redis://localhost", "", "single"},
		{"redis://localhost?addr=other:1", "cluster", "cluster"},
		{"redis://localhost", "cluster", "cluster"},
		{"redis://localhost?master_name=m&addr=other:1", "standalone", "sentinel"},
	} {
		if got := kindOf(c[0], c[1]); got != c[2] {
			t.Errorf("%s in mode %q is %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
