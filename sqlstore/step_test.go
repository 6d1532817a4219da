package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/sqlstore"
)

// stepEnv tells a test binary to save into what dsnEnv names and to be killed at a step.
const stepEnv = "BELLWETHER_SQLSTORE_STEP"

// written is the row that every child changes. Each field tells which write it is of.
func written(n int) bellwether.Token {
	tag := fmt.Sprint("-", n)
	return bellwether.Token{ID: "1", UserName: "ada", RefreshToken: secret("r" + tag), AccessToken: secret("a" + tag),
		Extra: map[string]bellwether.Secret{"k": secret("e" + tag)}}
}

const (
	writes = 2 // of each child: one that inserts and one that updates
	wrote  = "wrote"
)

var errFinished = errors.New("finished")

// killedAtStep is the child: it says which write it has done. A step is a statement, or
// one side of a commit.
func killedAtStep() error {
	step, err := strconv.Atoi(os.Getenv(stepEnv))
	if err != nil {
		return err
	}
	steps := -1 // until the store is open
	dialect := sqlstore.Dialect(os.Getenv(dialectEnv))
	db, err := tapped(string(dialect), os.Getenv(dsnEnv), func(string) {
		if steps < 0 {
			return
		}
		if steps++; steps > step {
			p, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = p.Kill()
			}
			if err != nil {
				panic(err)
			}
			select {}
		}
	})
	if err != nil {
		return err
	}
	s, err := sqlstore.Open(context.Background(), db, sqlstore.Config{Dialect: dialect})
	if err != nil {
		return err
	}
	steps = 0
	for n := range writes {
		if _, err := s.Save(context.Background(), written(n)); err != nil {
			return err
		}
		fmt.Println(wrote)
	}
	return errFinished
}

func TestKilledAtEachStep(t *testing.T) { testKilledAtEachStep(t, sqliteFile) }

// testKilledAtEachStep kills a process at every step of its Saves. What it leaves is the Save that
// was last acknowledged or the one that was cut off, whole, and it locks nobody out.
func testKilledAtEachStep(t *testing.T, make func(testing.TB) place) {
	for step := 0; ; step++ {
		p := make(t)
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
		cmd.Env = append(append(os.Environ(), p.env()...), stepEnv+"="+fmt.Sprint(step), "GORACE=atexit_sleep_ms=0")
		out, err := cmd.Output()
		if err == nil && !strings.Contains(string(out), errFinished.Error()) {
			t.Fatalf("step %d: the child was not killed, and has not finished: %s", step, out)
		}
		said := strings.Split(strings.TrimSpace(string(out)), "\n")
		done := 0
		for _, line := range said {
			switch line {
			case wrote:
				done++
			case errFinished.Error():
				if step < 10*writes {
					t.Errorf("%d Saves took %d steps", writes, step)
				}
				return
			case "":
			default:
				t.Fatalf("step %d: the child says %q", step, line)
			}
		}
		checkStep(t, fmt.Sprint("step ", step), p, done)
	}
}

// checkStep looks at what a process left that had done so many Saves.
func checkStep(t *testing.T, when string, p place, done int) {
	t.Helper()
	n := -1
	if got, err := p.Find(t.Context(), bellwether.Token{ID: "1"}); err == nil {
		_, text, _ := strings.Cut(got.RefreshToken.Reveal(), "-")
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		want := written(n)
		if !got.AccessToken.Equal(want.AccessToken) || !got.Extra["k"].Equal(want.Extra["k"]) || got.Generation != int64(n+1) {
			t.Errorf("%s: the row is of two writes: %q, %q, %q, generation %d", when, got.RefreshToken.Reveal(),
				got.AccessToken.Reveal(), got.Extra["k"].Reveal(), got.Generation)
		}
		wantFound(t, p, bellwether.Token{RefreshToken: want.RefreshToken}, "1")
		wantFound(t, p, bellwether.Token{AccessToken: want.AccessToken}, "1")
	}
	if n != done-1 && n != done {
		t.Errorf("%s: %d Saves were acknowledged, and the row is of write %d", when, done, n)
	}
	for old := range n { // what was superseded stays so
		if got := save(t, p, bellwether.Token{RefreshToken: written(old).RefreshToken}); !got.RefreshToken.Equal(written(n).RefreshToken) {
			t.Errorf("%s: write %d is back over %d", when, old, n)
		}
	}
	save(t, p, written(7))
	if got := record(t, p, "1").Token; !got.AccessToken.Equal(written(7).AccessToken) {
		t.Errorf("%s: afterwards a Save gives %q", when, got.AccessToken.Reveal())
	}
}
