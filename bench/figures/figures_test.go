package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bellwether-go/bellwether/bench"
	"github.com/bellwether-go/bellwether/internal/redistest"
)

// TestMain makes this binary its own workers, as the command is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		var err error
		switch os.Args[1] {
		case bench.WorkerCommand:
			err = bench.RunWorker(context.Background(), os.Stdin, os.Stdout)
		case listCommand:
			err = runList(context.Background(), os.Stdin, os.Stdout)
		default:
			os.Exit(m.Run())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(tc.values); got != tc.want {
			t.Errorf("median(%v) = %v, want %v", tc.values, got, tc.want)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"nonesuch"}, {"-rounds", "0", "hit"}, {"-tokens", "0", "hit"}} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out); err == nil || out.Len() > 0 {
			t.Errorf("%q: got %v and %q, want an error and no table", args, err, out.String())
		}
	}
}

// TestSmall runs what can be measured in no time. Whether a bar holds is not asked: the
// machine may be busy. What does not depend on it must be as it is.
func TestSmall(t *testing.T) {
	redistest.Need(t)
	var out bytes.Buffer
	err := run(t.Context(), []string{"-rounds", "1", "-tokens", "300", "read", "steady", "million"}, &out)
	if err != nil && !strings.Contains(err.Error(), "miss their bar") {
		t.Fatal(err)
	}
	for _, want := range []string{
		"L2 read with unsealing",
		"listing 300 tokens: peak memory of the process",
		"MiB for 300 tokens",
		"L1 of 15 after 300 tokens",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	for line := range strings.Lines(out.String()) {
		if f := strings.Fields(line); strings.HasPrefix(line, "steady state") && f[len(f)-1] != "ok" {
			t.Error(line)
		}
	}
}
