// Command peers measures Bellwether beside other libraries that keep tokens, or things
// like tokens, in memory and in Redis. README.md says what is compared, how each peer is
// set up and what is not fair about it.
//
//	cd bench/peers && go run . [-rounds 5] [-json peers.json] [SCENARIO…]
//
// It starts a redis-server and a provider of its own on loopback, changes GOMAXPROCS
// while it measures, and leaves nothing behind. It is a module of its own, so that no
// user inherits these dependencies.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether/bench/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// run measures what the arguments ask for and writes the table to out, progress and
// usage to news. An invariant that does not hold is an error, after all is written. What
// was measured before another error or an interrupt is written too, and marked.
func run(ctx context.Context, args []string, out, news io.Writer) error {
	o, path, err := parse(args, news)
	if err != nil {
		return err
	}
	redis.SetLogger(quiet{})
	if path != "" { // a slip is told before the minutes of measuring
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return err
		}
	}
	rep, ended := measure(ctx, o)
	if len(rep.Runs) == 0 {
		return ended
	}
	// What was measured before an error is worth having.
	if err := write(rep, out, path); err != nil {
		return errors.Join(ended, err)
	}
	if broken := rep.Broken(report.Invariant); len(broken) > 0 {
		return errors.Join(ended, errors.New(strings.Join(broken, "\n")))
	}
	return ended
}

// write writes the table, and the report too where a path is named.
func write(rep report.Report, out io.Writer, path string) error {
	if err := report.WriteTable(out, rep); err != nil {
		return err
	}
	writeModules(out, rep.Versions.Modules)
	if path == "" {
		return nil
	}
	return writeReport(path, rep)
}

func writeReport(path string, rep report.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(rep.Write(f), f.Close())
}

// Bounds of the options: a slip of the hand must not take a machine down.
const (
	maxRounds   = 1000
	maxReplicas = 64
	maxCallers  = 1000
	maxRows     = 100_000
	maxSample   = 10 * time.Second
	maxLatency  = 10 * time.Second
)

func parse(args []string, news io.Writer) (o options, path string, err error) {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(news)
	flags.Usage = func() {
		fmt.Fprintln(news, "usage: peers [flags] [SCENARIO…]")
		flags.PrintDefaults()
		for _, s := range scenarios {
			fmt.Fprintf(news, "  %-8s %s\n", s.name, s.about)
		}
	}
	flags.IntVar(&o.rounds, "rounds", 5, "measured `rounds`, of which the median counts")
	flags.DurationVar(&o.sample, "sample", time.Second, "least `time` of a sample of a throughput")
	flags.IntVar(&o.rows, "rows", 4096, "stored `tokens` of read")
	flags.IntVar(&o.replicas, "replicas", 8, "`replicas` of refresh")
	flags.IntVar(&o.callers, "callers", 50, "`callers` in each replica of refresh")
	flags.DurationVar(&o.latency, "latency", 300*time.Millisecond, "of the provider, in refresh")
	flags.StringVar(&path, "json", "", "write the report to this `file` too")
	if err := flags.Parse(args); err != nil {
		return options{}, "", err
	}
	for _, name := range flags.Args() {
		if !slices.Contains(scenarioNames(), name) {
			return options{}, "", fmt.Errorf("there is no scenario %q: use %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	for _, b := range []struct {
		name             string
		got, least, most float64
	}{
		{"rounds", float64(o.rounds), 1, maxRounds},
		{"replicas", float64(o.replicas), 1, maxReplicas},
		{"callers", float64(o.callers), 1, maxCallers},
		{"rows", float64(o.rows), 1, maxRows},
		{"sample (seconds)", o.sample.Seconds(), 0.001, maxSample.Seconds()},
		{"latency (seconds)", o.latency.Seconds(), 0, maxLatency.Seconds()},
	} {
		if b.got < b.least || b.got > b.most {
			return options{}, "", fmt.Errorf("-%s must be from %v to %v", b.name, b.least, b.most)
		}
	}
	o.only = flags.Args()
	o.say = func(format string, args ...any) { fmt.Fprintf(news, format+"\n", args...) }
	return o, path, nil
}

// quiet drops what go-redis logs, as when a connection is closed under it.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
