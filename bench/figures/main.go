// Command figures measures what the documents promise in numbers, against redis-server
// processes of its own on loopback, and prints a line for each: what, the bar, what was
// measured, and whether it holds. The exit code is 1 when one does not.
//
//	go run ./bench/figures [-rounds 10] [-tokens 1000000] [NAME…]
//
// It needs redis-server in PATH and a machine with nothing else to do: the bars are for
// medians of warm rounds, and 2 CPUs are shared by all replicas, Redis and the provider.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether/bench"
)

// A row is one line of the table.
type row struct {
	what, bar, measured string
	ok                  bool
}

// An env is what figures are given.
type env struct {
	rounds int
	tokens int
	print  func(row)
}

// A figure prints one or more rows.
type figure struct {
	name, about string
	run         func(context.Context, *env) error
}

var figures = []figure{
	{"herd", "8 processes × 250 callers, the token expired, the provider takes 1 s", herd},
	{"slow", "a provider slower than the TTL of the lock", slow},
	{"hit", "a token in memory, against oauth2.ReuseTokenSource", hit},
	{"read", "a token in Redis, against a bare HMGET of the same fields", read},
	{"steady", "Redis commands while every token lives", steady},
	{"commands", "Redis commands of one fleet-wide refresh", commands},
	{"killed", "the process that leads is killed while the provider holds its call", killed},
	{"cluster", "a Cluster master is killed", cluster},
	{"memory", "memory in Redis, sealed, with indexes", memory},
	{"million", "listing many tokens, and reading them through a bounded memory", million},
}

func main() {
	if len(os.Args) == 2 {
		worker := map[string]func(context.Context, io.Reader, io.Writer) error{
			bench.WorkerCommand: bench.RunWorker,
			listCommand:         runList,
		}[os.Args[1]]
		if worker != nil {
			exit(worker(context.Background(), os.Stdin, os.Stdout))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	exit(run(ctx, os.Args[1:], os.Stdout))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, args []string, w io.Writer) error {
	flags := flag.NewFlagSet("figures", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: figures [-rounds N] [-tokens N] [NAME…]")
		flags.PrintDefaults()
		for _, f := range figures {
			fmt.Fprintf(flags.Output(), "  %-10s %s\n", f.name, f.about)
		}
	}
	failed := 0
	e := &env{print: func(r row) {
		word := "ok"
		if !r.ok {
			word, failed = "NO", failed+1
		}
		fmt.Fprintf(w, "%-58s %-26s %-34s %s\n", r.what, r.bar, r.measured, word)
	}}
	flags.IntVar(&e.rounds, "rounds", 10, "warm rounds, of which the median counts")
	flags.IntVar(&e.tokens, "tokens", 1_000_000, "of the figure million")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, name := range flags.Args() {
		if !slices.ContainsFunc(figures, func(f figure) bool { return f.name == name }) {
			return fmt.Errorf("no figure %q", name)
		}
	}
	if e.rounds < 1 || e.tokens < 1 {
		return errors.New("-rounds and -tokens are at least 1")
	}
	redis.SetLogger(quiet{})
	fmt.Fprintln(w, machine())
	fmt.Fprintf(w, "%-58s %-26s %-34s\n", "what", "bar", "measured")
	for _, f := range figures {
		if flags.NArg() > 0 && !slices.Contains(flags.Args(), f.name) {
			continue
		}
		if err := f.run(ctx, e); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d figures miss their bar", failed)
	}
	return nil
}

// machine says what was measured on.
func machine() string {
	server := "no redis-server"
	if out, err := exec.Command("redis-server", "--version").Output(); err == nil {
		if i := strings.Index(string(out), " sha="); i > 0 {
			server = string(out[:i])
		}
	}
	model, load := "", ""
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(b), "model name")
		line, _, _ := strings.Cut(rest, "\n")
		model = strings.TrimLeft(line, "\t :") + ", "
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		one, _, _ := strings.Cut(string(b), " ")
		load = ", load " + one
	}
	return fmt.Sprintf("%s%d CPUs, %s/%s, %s, %s%s, %s", model, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH,
		runtime.Version(), server, load, time.Now().UTC().Format(time.DateOnly))
}

// median returns the middle of the values, which must not be none.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// quiet drops what go-redis logs: some figures kill servers.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
