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
