package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/bellwether-go/bellwether/internal/child"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

// listCommand is the argument by which this binary knows that it is to list a store
// and to report its own memory.
const listCommand = "list-worker"

// A listSetup is what such a process reads; it holds a password and keys.
type listSetup struct {
	URL    string
	Keyset []byte
}

// A listReport is what it answers.
type listReport struct {
	Tokens  int
	PeakKiB int // of resident memory
}

func runList(ctx context.Context, in io.Reader, out io.Writer) error {
	var s listSetup
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		return err
	}
	keys, err := seal.Parse(s.Keyset)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, s.URL, keys)
	if err != nil {
		return err
	}
	defer store.Close()
	var rep listReport
	for _, err := range store.List(ctx) {
		if err != nil {
			return err
		}
		rep.Tokens++
	}
	if rep.PeakKiB, err = peakKiB(); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(rep)
}

// peakKiB is the most resident memory that this process has had.
func peakKiB() (int, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), "VmHWM:")
	f := strings.Fields(rest)
	if !ok || len(f) == 0 {
		return 0, fmt.Errorf("/proc/self/status has no VmHWM")
	}
	return strconv.Atoi(f[0])
}

const (
	listBar = 64 << 10 // KiB
	l1Bar   = 1.1
)

// million saves very many tokens, lists them in a process of its own, and reads them
// all through a Refresher whose memory is bounded.
func million(ctx context.Context, e *env) error {
	dir, err := os.MkdirTemp("", "figures-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "keyset.json")
	keys, err := seal.Create(path)
	if err != nil {
		return err
	}
	keyset, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	g, err := openGround(ctx, keys, listpack)
	if err != nil {
		return err
	}
	defer g.close()
	if err := g.save(ctx, e.tokens); err != nil {
		return err
	}
	rep, err := list(listSetup{g.srv.URL(), keyset})
	if err != nil {
		return err
	}
	e.print(row{fmt.Sprintf("listing %d tokens: peak memory of the process", e.tokens), fmt.Sprintf("≤ %d MiB", listBar>>10),
		fmt.Sprintf("%d MiB for %d tokens", rep.PeakKiB>>10, rep.Tokens), rep.PeakKiB <= listBar && rep.Tokens == e.tokens})
	return boundedL1(ctx, e, g)
}

func list(s listSetup) (listReport, error) {
	exe, err := os.Executable()
	if err != nil {
		return listReport{}, err
	}
	in, err := json.Marshal(s)
	if err != nil {
		return listReport{}, err
	}
	var out bytes.Buffer
	cmd := exec.Command(exe, listCommand)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, os.Stderr
	if err := child.Start(cmd); err != nil {
		return listReport{}, err
	}
	if err := cmd.Wait(); err != nil {
		return listReport{}, err
	}
	var rep listReport
	return rep, json.Unmarshal(out.Bytes(), &rep)
}

// boundedL1 reads a fifth of the tokens, more than the L1 holds, and then the others:
// the heap must not grow with them.
func boundedL1(ctx context.Context, e *env, g *ground) error {
	size := max(e.tokens/20, 1)
	r, err := newRefresher(g, refresh.Config{L1Size: size})
	if err != nil {
		return err
	}
	defer r.Close()
	get := func(from, to int) error {
		return each(ctx, to-from, func(i int) error {
			t, err := g.token(from + i)
			if err == nil {
				_, err = r.Get(ctx, t.ID, refresh.Want{})
			}
			return err
		})
	}
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what the first one finalized
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	if err := get(0, e.tokens/5); err != nil {
		return err
	}
	early := heap()
	if err := get(e.tokens/5, e.tokens); err != nil {
		return err
	}
	late := heap()
	e.print(row{fmt.Sprintf("L1 of %d after %d tokens, as after %d", size, e.tokens, e.tokens/5), fmt.Sprintf("≤ %.1f × the heap", l1Bar),
		fmt.Sprintf("%.1f MiB = %.2f × %.1f MiB", late, late/early, early), late <= l1Bar*early})
	return nil
}
