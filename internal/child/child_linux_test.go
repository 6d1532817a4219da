package child_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether/internal/child"
)

const (
	roleEnv = "BELLWETHER_CHILD_TEST_ROLE"
	parent  = "parent"
	sleeper = "sleeper"
)

// TestMain makes this binary play both generations: a parent that starts a child and
// prints its process id, and a child that does nothing for long.
func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case parent:
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), roleEnv+"="+sleeper)
		if err := child.Start(cmd); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(cmd.Process.Pid)
		time.Sleep(time.Minute)
	case sleeper:
		time.Sleep(time.Minute)
	default:
		os.Exit(m.Run())
	}
}

func TestStart(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.list", "^TestStart$")
	var out strings.Builder
	cmd.Stdout = &out
	if err := child.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "TestStart\n") {
		t.Errorf("the child printed %q", got)
	}
}

func TestStartReportsErrors(t *testing.T) {
	if err := child.Start(exec.Command("/no/such/program")); err == nil {
		t.Error("starting a program that is not there gave no error")
	}
}

// TestChildDiesWithParent kills a parent at once: its child must not go on.
func TestChildDiesWithParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+parent)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	grandchild, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent said %q", line)
	}
	if !alive(t, grandchild) {
		t.Fatalf("process %d does not run", grandchild)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for deadline := time.Now().Add(10 * time.Second); alive(t, grandchild); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlives its parent", grandchild)
		}
	}
}

// alive reports whether the process runs; one that waits to be reaped does not.
func alive(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// pid (name) state …; the name may hold anything.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
	return !strings.HasPrefix(rest, "Z")
}
