package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether/internal/redistest"
)

// TestInterrupt presses Ctrl-C while a herd waits: the demo and all its replicas must
// end.
func TestInterrupt(t *testing.T) {
	for _, scene := range []string{"1. ", "2. "} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), roleEnv+"="+roleDemo)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill() }() // in case of a failure below
		var replicas []int
		inScene, said := false, ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			said += lines.Text() + "\n"
			inScene = inScene || strings.HasPrefix(lines.Text(), scene)
			if inScene && replicas == nil && strings.Contains(lines.Text(), "replica processes are up") {
				replicas = children(t, cmd.Process.Pid)
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // what counts is what it said
		if len(replicas) != small.Replicas {
			t.Errorf("scene %s the demo had the processes %v, want %d\n%s", scene, replicas, small.Replicas, said)
		}
		if !strings.Contains(said, "ended: context canceled") {
			t.Errorf("scene %s the demo said\n%s", scene, said)
		}
		for _, pid := range replicas {
			if running(pid) {
				t.Errorf("scene %s process %d is still there", scene, pid)
			}
		}
	}
}

// TestParentKilled: replicas end with their parent, however that ends.
func TestParentKilled(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+roleDemo)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var replicas []int
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "replica processes are up") {
			replicas = children(t, cmd.Process.Pid)
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if len(replicas) != small.Replicas {
		t.Fatalf("the demo had the processes %v, want %d", replicas, small.Replicas)
	}
	for _, pid := range replicas {
		for deadline := time.Now().Add(10 * time.Second); running(pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d outlives its parent", pid)
			}
		}
	}
}

// TestSuiteInterrupted: Ctrl-C under load leaves no replica and no server behind.
func TestSuiteInterrupted(t *testing.T) {
	redistest.Need(t)
	for scenario, after := range map[string]time.Duration{
		"steady":   2 * time.Second,
		"failover": 5 * time.Second,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(after, cancel)
		begun := time.Now()
		_, err := RunSuite(ctx, SuiteOptions{Scenarios: []string{scenario}, Sources: []Source{SourceBellwether},
			Sizes: []Settings{{Replicas: 2, Rate: 50, For: time.Minute}}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v after %v", scenario, err, time.Since(begun))
		}
		if left := children(t, os.Getpid()); len(left) > 0 {
			t.Errorf("%s: processes %v are still there", scenario, left)
		}
	}
}

// stat returns the state and the parent of a process.
func stat(pid int) (state string, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	// pid (name) state parent …; the name may hold anything.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	parent, _ = strconv.Atoi(f[1])
	return f[0], parent
}

// running reports whether the process lives; one that waits to be reaped does not.
func running(pid int) bool {
	state, _ := stat(pid)
	return state != "" && state != "Z"
}

func children(t *testing.T, parent int) []int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, d := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(d))
		if _, p := stat(pid); p == parent {
			pids = append(pids, pid)
		}
	}
	return pids
}
