package csvstore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
)

// killEnv tells a test binary to save to the file of fileEnv and to be killed at a step.
const killEnv = "BELLWETHER_CSVSTORE_KILL"

// The row that every child changes. Each field tells which write it is of.
func written(n int) bellwether.Token {
	tag := fmt.Sprint("-", n)
	return bellwether.Token{ID: "1", UserName: "ada", RefreshToken: secret("r" + tag), AccessToken: secret("a" + tag),
		Extra: map[string]bellwether.Secret{"k": secret("e" + tag)}}
}

// killed is the child: it says which write it has done.
func killed() error {
	step, err := strconv.Atoi(os.Getenv(killEnv))
	if err != nil {
		return err
	}
	s, err := csvstore.OpenKilled(os.Getenv(fileEnv), step)
	if err != nil {
		return err
	}
	for n := range 3 {
		if _, err := s.Save(context.Background(), written(n)); err != nil {
			return err
		}
		fmt.Println(n)
	}
	return nil
}

// TestKilled kills a process at every step of three Saves. The file that it leaves holds
// the Save that was last acknowledged or the one that was cut off, whole; its lock is free;
// and its temporary file is in nobody's way.
func TestKilled(t *testing.T) {
	for step := 0; ; step++ {
		path := newPath(t)
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), killEnv+"="+fmt.Sprint(step), fileEnv+"="+path, "GORACE=atexit_sleep_ms=0")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err == nil {
			if step < 20 {
				t.Errorf("three Saves took %d steps", step)
			}
			return
		}
		if stderr.Len() > 0 {
			t.Fatalf("step %d: %v: %s", step, err, stderr.String())
		}
		done := strings.Count(string(out), "\n") // Saves that were acknowledged
		s := openStored(t, path)
		got, err := s.Find(t.Context(), bellwether.Token{ID: "1"})
		n := -1
		if err == nil {
			_, text, _ := strings.Cut(got.RefreshToken.Reveal(), "-")
			n, err = strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			want := written(n)
			if !got.AccessToken.Equal(want.AccessToken) || !got.Extra["k"].Equal(want.Extra["k"]) {
				t.Errorf("step %d: the row is of two writes: %q, %q, %q", step, got.RefreshToken.Reveal(), got.AccessToken.Reveal(), got.Extra["k"].Reveal())
			}
		}
		if n != done-1 && n != done {
			t.Errorf("step %d: %d Saves were acknowledged, and the row is of write %d (%v)", step, done, n, err)
		}
		for old := range n { // what was superseded stays so
			if got := mustSave(t, s, bellwether.Token{RefreshToken: written(old).RefreshToken}); !got.RefreshToken.Equal(written(n).RefreshToken) {
				t.Errorf("step %d: write %d is back over %d", step, old, n)
			}
		}
		mustSave(t, s, written(7))
		if got := mustRecord(t, s, "1").Token; !got.AccessToken.Equal(written(7).AccessToken) {
			t.Errorf("step %d: afterwards a Save gives %q", step, got.AccessToken.Reveal())
		}
	}
}
