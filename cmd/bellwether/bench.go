package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether/bench"
	"github.com/bellwether-go/bellwether/bench/report"
)

// defaultPage is where the HTML report goes unless another place is named.
const defaultPage = "bellwether-bench.html"

// benchOptions are the flags of "bench" and "bench run".
type benchOptions struct {
	suite        bench.SuiteOptions
	sizes        benchSizes
	subjects     []string
	page         string
	asJSON, asGo bool
	bars         bool
	quiet        bool
}

func newBench(s *settings) *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Load test Bellwether and what else a team might build",
		Long: `Runs every scenario: replicas as processes, callers released at once or arriving at a
rate, a strict OAuth provider on loopback. In each, Bellwether is measured beside what
a team would build without it, round by round in turn.

It starts a redis-server of its own, which must be installed, unless --redis names one;
keys are written under a name of their own and removed. What stores 100,000 tokens, some
200 MB, is left out on a Redis that is named. Progress goes to standard
error; a table to standard output, and a page with plots to ` + defaultPage + `.

Scenarios have invariants, which hold on every machine, and bars, which a
quiet machine of two CPUs meets. The exit code is 1 when an invariant is broken, with
--bars also when a bar is missed. "bellwether bench run" takes sizes, too.`,
		Example: `  bellwether bench
  bellwether bench --subjects bellwether,redislock-linear
  bellwether bench run herd --replicas 8 --callers 250 --provider-latency 1s
  bellwether bench run herd --replicas 1,2,4,8,16,32 --subjects bellwether
  bellwether bench run herd --json > new.json && bellwether bench compare old.json new.json
  bellwether bench run herd --go-bench | benchstat -`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, nil) },
	}
	o.register(cmd)
	cmd.AddCommand(newBenchRun(), newBenchList(s), newBenchCompare(s))
	return cmd
}

func newBenchRun() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "run SCENARIO...",
		Short: "Run some scenarios",
		Long: `Runs the named scenarios; "bellwether bench list" tells them, with their sizes. A size
that is left out is the scenario's own, and one that it does not have is an error. See
"bellwether bench --help" for what is printed. --replicas, --callers, --tokens and
--masters take several values, comma-separated: the scenario is run at each, and the page
shows how its figures grow. What stores very many tokens needs some 2 GB of memory in
Redis and up to 3 minutes for each million; "hold" needs as much again, for the processes
that hold them. A Redis that --redis names is filled with more than 10,000 tokens only when
--tokens says how many.`,
		Example: `  bellwether bench run herd convoy
  bellwether bench run herd --redis env --replicas 4 --callers 100 --rounds 3`,
		Args: func(_ *cobra.Command, names []string) error {
			if len(names) == 0 {
				return errors.New("which scenario? see bellwether bench list")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := nonZeroSizes(cmd); err != nil {
				return err
			}
			return o.run(cmd, names)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, s := range bench.Scenarios() {
				names = append(names, s.Name+"\t"+s.About)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	o.register(cmd)
	o.sizes.register(cmd)
	return cmd
}

func (o *benchOptions) register(cmd *cobra.Command) {
	f := cmd.Flags()
	s := &o.suite
	f.StringSliceVar(&o.subjects, "subjects", nil, "what to measure: "+joinSources(bench.Sources()))
	f.StringVar(&s.Redis, "redis", "", "`URL` of a Redis to use, env for that of $"+envRedis+", "+bench.EmbeddedRedis+" for one that shows what happens but not how fast")
	f.DurationVar(&s.Timeout, "timeout", 30*time.Minute, "for the whole run")
	f.StringVar(&o.page, "html", defaultPage, "`file` of the page with plots; blank for none")
	f.BoolVar(&o.asJSON, "json", false, "print the report as JSON; no page unless --html names one")
	f.BoolVar(&o.asGo, "go-bench", false, "print Go benchmark lines for benchstat; no page unless --html names one")
	f.BoolVar(&o.bars, "bars", false, "exit with 1 when a bar is missed, too")
	f.BoolVar(&o.quiet, "quiet", false, "no progress")
}

func joinSources(all []bench.Source) string {
	var names []string
	for _, s := range all {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

func (o *benchOptions) run(cmd *cobra.Command, names []string) error {
	if o.asJSON && o.asGo {
		return &usageError{"--json and --go-bench both say what is printed", "leave one out"}
	}
	if (o.asJSON || o.asGo) && !cmd.Flags().Changed("html") {
		o.page = ""
	}
	if o.page != "" { // a slip is told before the minutes of measuring
		if err := writable(o.page); err != nil {
			return pageError(err)
		}
	}
	var err error
	if o.suite.Redis, err = loadRedis(o.suite.Redis); err != nil {
		return err
	}
	o.suite.Scenarios, o.suite.Sizes = names, o.sizes.all()
	for _, s := range o.subjects {
		o.suite.Sources = append(o.suite.Sources, bench.Source(s))
	}
	if !o.quiet {
		o.suite.Say = func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }
	}
	rep, runErr := bench.RunSuite(cmd.Context(), o.suite)
	if len(rep.Runs) == 0 {
		return runErr
	}
	// What was measured before an error is worth having.
	if err := o.write(cmd, rep); err != nil {
		return err
	}
	verdict := bench.Verdict(rep, o.bars)
	if runErr == nil || verdict == nil {
		return cmp.Or(runErr, verdict)
	}
	return errors.Join(runErr, verdict)
}

// write prints the report and writes the page.
func (o *benchOptions) write(cmd *cobra.Command, rep report.Report) error {
	out := cmd.OutOrStdout()
	var err error
	switch {
	case o.asJSON:
		err = rep.Write(out)
	case o.asGo:
		err = report.WriteGoBench(out, rep)
	default:
		err = report.WriteTable(out, rep)
	}
	if err != nil {
		return err
	}
	if o.page == "" {
		return nil
	}
	if err := writeFile(o.page, func(w io.Writer) error { return report.WriteHTML(w, rep) }); err != nil {
		return pageError(err)
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "the page with plots is "+o.page)
	return nil
}

func pageError(err error) error {
	return &usageError{"the page cannot be written: " + err.Error(), "name another file with --html"}
}

// writable is an error when a file cannot be made in the folder of path, or is a folder.
func writable(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return errors.New(path + " is a folder")
	}
	f, err := tempBeside(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// tempBeside makes a file in the folder of path.
func tempBeside(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
}

// writeFile writes a file that is there whole or not at all.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := tempBeside(path)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// loadRedis is the --redis of commands that put load on a Redis: only one that is
// named, so that a Redis of the environment that others use is left alone.
func loadRedis(flag string) (string, error) {
	if flag != "env" {
		return flag, nil
	}
	if url := os.Getenv(envRedis); url != "" {
		return url, nil
	}
	return "", &usageError{"--redis env, and $" + envRedis + " is not set", "export it, or leave --redis out"}
}

func newBenchList(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the scenarios",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, sc := range bench.Scenarios() {
				if s.json {
					if err := writeJSON(cmd.OutOrStdout(), scenarioRow{
						sc.Name, sc.About, sc.Usual, sc.Sources, sc.AnyMasters, sc.Defaults.Parameters(), sc.ByName, sc.OwnServers,
					}); err != nil {
						return err
					}
					continue
				}
				sizes := sizesOf(sc.Defaults)
				if sc.AnyMasters {
					sizes += "; takes --masters"
				}
				fmt.Fprintf(w, "%s\t%s\n\tmeasures %s\n\tat %s\n", sc.Name, sc.About, joinSources(sc.Usual), sizes)
			}
			return w.Flush()
		},
	}
}

// A scenarioRow is a line of "bench list --json".
type scenarioRow struct {
	Name       string            `json:"name"`
	About      string            `json:"about"`
	Usual      []bench.Source    `json:"subjects"`
	Sources    []bench.Source    `json:"possible_subjects"`
	AnyMasters bool              `json:"any_masters,omitempty"` // none by default, but takes --masters
	Defaults   report.Parameters `json:"defaults"`
	ByName     bool              `json:"by_name_only,omitempty"` // not in a suite of all
	OwnServers bool              `json:"own_servers,omitempty"`  // refuses --redis
}

func newBenchCompare(s *settings) *cobra.Command {
	var o report.CompareOptions
	cmd := &cobra.Command{
		Use:   "compare OLD.json NEW.json",
		Short: "Compare two reports, with a verdict and an exit code",
		Long: `Compares the reports that "bellwether bench --json" has printed, metric by metric: the
medians, and whether their difference can be chance (Mann-Whitney U test), which takes 4
rounds or more to tell. The exit code is 1 when something is worse, when an invariant
broke, or when a run of the old report is missing.`,
		Example: `  bellwether bench run herd --json > new.json
  bellwether bench compare old.json new.json`,
		Args: func(_ *cobra.Command, paths []string) error {
			if len(paths) != 2 {
				return errors.New("two reports are compared, an old one and a new one")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, paths []string) error {
			var reports [2]report.Report
			for i, path := range paths {
				f, err := os.Open(path)
				if err != nil {
					return &usageError{"the report cannot be read: " + err.Error(), "name two files that bellwether bench --json has printed"}
				}
				reports[i], err = report.Read(f)
				_ = f.Close()
				if err != nil {
					return &usageError{path + ": " + err.Error(), "name two files that bellwether bench --json has printed"}
				}
			}
			if o.Threshold == 0 {
				o.Threshold = -1 // any change, as Compare has it
			}
			c := report.Compare(reports[0], reports[1], o)
			var err error
			if s.json {
				err = writeJSON(cmd.OutOrStdout(), c)
			} else {
				err = report.WriteComparison(cmd.OutOrStdout(), c)
			}
			if err != nil {
				return err
			}
			return c.Err()
		},
	}
	f := cmd.Flags()
	f.Float64Var(&o.Threshold, "threshold", 0.05, "the least change of a median that counts, 0.05 for 5 %, 0 for any")
	f.BoolVar(&o.AcrossMachines, "across-machines", false, "judge times though the machines differ")
	return cmd
}
