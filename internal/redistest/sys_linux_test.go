package redistest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/bellwether-go/bellwether/internal/redistest"
)

const orphanEnv = "REDISTEST_ORPHAN"

// A server dies with the process that started it, however that ends.
func TestServerDiesWithItsParent(t *testing.T) {
	redistest.Need(t)
	if os.Getenv(orphanEnv) != "" {
		s, err := redistest.StartSingle(redistest.Config{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("pid", s.PID())
		select {} // until killed
	}
	parent := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	parent.Env = append(os.Environ(), orphanEnv+"=1", "TMPDIR="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	text, ok := strings.CutPrefix(strings.TrimSpace(line), "pid ")
	pid, convErr := strconv.Atoi(text)
	if err != nil || !ok || convErr != nil {
		t.Errorf("the parent said %q, %v", line, err)
	} else if !alive(pid) {
		t.Errorf("server %d is not running", pid)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if pid != 0 {
		eventually(t, "end of the server", func() bool { return !alive(pid) })
	}
}
