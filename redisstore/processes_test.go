package redisstore_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// processEnv tells TestProcessesWithDifferentPrimaryKeys that it is a child, and which.
const processEnv = "REDISSTORE_TEST_PROCESS"

const (
	childReady = "ready"
	childRow   = "row " // followed by a row's ID; one line for each Save
	childSaves = 16
)

// Half-way through a rotation two processes, each sealing by another key, bring the
// same new identity at the same moment. It becomes one row, and both read it.
func TestProcessesWithDifferentPrimaryKeys(t *testing.T) {
	redistest.Need(t)
	if name := os.Getenv(processEnv); name != "" {
		saveInChild(t, name)
		return
	}
	srv := redistest.Single(t, redistest.Config{})
	_, knowing, ahead, files := keyFilesInRotation(t)
	if a, b := primary(t, files[0]), primary(t, files[1]); a == b {
		t.Fatalf("both processes seal by key %d", a)
	}

	var children [2]*childProcess
	for i := range children {
		children[i] = startChild(t, fmt.Sprintf("%d", i), urlEnv+"="+srv.URL(), keysEnv+"="+files[i])
	}
	var wg sync.WaitGroup
	ids := make([][]string, len(children))
	for i, c := range children {
		wg.Go(func() { ids[i] = c.race() })
	}
	wg.Wait()
	for i, got := range ids {
		if len(got) != childSaves {
			t.Fatalf("process %d made %d of %d saves: %s", i, len(got), childSaves, children[i].end())
		}
	}
	if all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(ids...)))); len(all) != 1 {
		t.Errorf("one identity became rows %q", all)
	}
	for _, keys := range []*seal.Keys{knowing, ahead} {
		row := wantSound(t, openStore(t, srv.URL(), keys), 1)[0]
		if row.ID != ids[0][0] || row.UserName != "u" {
			t.Errorf("row is %q of user %q, want %q of u", row.ID, row.UserName, ids[0][0])
		}
	}
}

// primary is the key that a keyset file seals by.
func primary(t *testing.T, file string) uint32 {
	t.Helper()
	keys, err := seal.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys.List() {
		if k.Status == seal.StatusPrimary {
			return k.ID
		}
	}
	t.Fatalf("%s has no primary key", file)
	return 0
}

// saveInChild opens the store, says so, waits for a line, and saves one identity many
// times at once, each time with another access token.
func saveInChild(t *testing.T, name string) {
	keys, err := seal.Open(os.Getenv(keysEnv))
	if err != nil {
		t.Fatal(err)
	}
	s, err := redisstore.Open(t.Context(), os.Getenv(urlEnv), config(keys))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fmt.Println(childReady)
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range childSaves {
		wg.Go(func() {
			tok, err := s.Save(t.Context(), bellwether.Token{UserName: "u", RefreshToken: secret("r"),
				AccessToken: secret(fmt.Sprint("a", name, "-", i))})
			if err != nil {
				t.Errorf("Save: %v", err)
				return
			}
			fmt.Println(childRow + tok.ID)
		})
	}
	wg.Wait()
}

// A childProcess is this test, run in another process.
type childProcess struct {
	in  io.WriteCloser
	out *bufio.Scanner
	end func() string // waits; returns what went wrong
}

// startChild starts a child process, which is ready when this returns.
func startChild(t *testing.T, name string, env ...string) *childProcess {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=60s")
	cmd.Env = append(append(os.Environ(), env...), processEnv+"="+name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &childProcess{in: in, out: bufio.NewScanner(out)}
	var said strings.Builder
	c.end = sync.OnceValue(func() string {
		_ = in.Close()
		for c.out.Scan() {
			fmt.Fprintln(&said, c.out.Text())
		}
		if err := cmd.Wait(); err != nil {
			fmt.Fprintln(&said, err)
		}
		return said.String()
	})
	t.Cleanup(func() { c.end() })
	if !c.out.Scan() || c.out.Text() != childReady {
		t.Fatalf("child process %s says %q: %s", name, c.out.Text(), c.end())
	}
	return c
}

// race lets the child go and returns the rows of its saves, up to the first that fails.
func (c *childProcess) race() (ids []string) {
	_, _ = io.WriteString(c.in, "go\n")
	for len(ids) < childSaves && c.out.Scan() {
		id, ok := strings.CutPrefix(c.out.Text(), childRow)
		if !ok {
			break
		}
		ids = append(ids, id)
	}
	return ids
}
