package redistest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

const (
	serverBinary = "redis-server"
	requireEnv   = "BELLWETHER_TEST_SERVERS"
)

// Available returns nil when servers can be started, else why not. TestMain asks
// it before it starts a shared server; tests call Need.
func Available() error {
	if _, err := exec.LookPath(serverBinary); err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	return nil
}

// Need skips the test when there is no redis-server to start. With
// BELLWETHER_TEST_SERVERS=require in the environment it fails it instead.
func Need(t testing.TB) {
	t.Helper()
	err := Available()
	switch {
	case err == nil:
	case os.Getenv(requireEnv) == "require":
		t.Fatalf("%v (%s=require)", err, requireEnv)
	default:
		t.Skipf("%v (set %s=require to fail instead)", err, requireEnv)
	}
}

// forTest starts what a test needs and closes it when the test ends.
func forTest[S interface{ Close() }](t testing.TB, start func(Config) (S, error), cfg Config) S {
	t.Helper()
	Need(t)
	s, err := start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// NeedProgram is Need for a test that drives another program than a server, such as a
// browser. It returns the path of the first of the names that is installed.
func NeedProgram(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv(requireEnv) == "require" {
		t.Fatalf("redistest: none of %q is installed (%s=require)", names, requireEnv)
	}
	t.Skipf("redistest: none of %q is installed (set %s=require to fail instead)", names, requireEnv)
	return ""
}
