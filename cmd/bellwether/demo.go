package main

import (
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether/bench"
)

func newDemo() *cobra.Command {
	var o bench.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a herd of replicas refresh one token, with and without Bellwether",
		Long: `Starts replicas as processes of their own, lets a token expire that they share, and
has all callers ask for it at once: first with x/oauth2 over a shared store, then with
Bellwether, then with Bellwether while the replica that leads is killed. The provider
runs inside, on loopback; so does Redis unless --redis names one. A Redis that is only in
$` + envRedis + ` is left alone: others may use it.

It needs nothing, takes some ten seconds and leaves nothing behind. The exit code is 1
when Bellwether does not do what it promises.

With --json it prints one object a line: mode (without, bellwether, holder_killed),
replicas, callers (in each), provider_calls, replays, failed_callers, grant_alive,
handover_ms, extra_wait_ms (p50, p99, max) and redis_commands.`,
		Example: `  bellwether demo
  bellwether demo --replicas 16 --callers 100 --profile grace
  bellwether demo --redis redis://localhost:6379 --json
  bellwether demo --redis env    # that of $` + envRedis,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for flag, value := range map[string]int{"replicas": o.Replicas, "callers": o.Callers} {
				if value < 1 {
					return &usageError{"--" + flag + " is less than 1", "leave it out for the default"}
				}
			}
			if o.Latency <= 0 || o.Timeout <= 0 {
				return &usageError{"--provider-latency and --timeout are longer than 0", "leave them out for the defaults"}
			}
			var err error
			if o.Redis, err = loadRedis(o.Redis); err != nil {
				return err
			}
			n := bench.NewText(cmd.OutOrStdout(), showsLive(cmd.OutOrStdout()))
			if asJSON {
				n = bench.NewJSON(cmd.OutOrStdout())
			}
			_, err = bench.Run(cmd.Context(), o, n)
			return err
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Replicas, "replicas", 8, "replicas, each a process")
	f.IntVar(&o.Callers, "callers", 250, "callers in each")
	f.DurationVar(&o.Latency, "provider-latency", time.Second, "how long the provider takes for a call, at most 3s")
	f.StringVar(&o.Profile, "profile", "strict", "what the provider does with a used refresh token: "+strings.Join(bench.Profiles(), ", "))
	f.StringVar(&o.Redis, "redis", "", "`URL` of a Redis to use, or env for that of $"+envRedis+"; embedded when left out")
	f.DurationVar(&o.Timeout, "timeout", time.Minute, "for the whole run")
	f.BoolVar(&asJSON, "json", false, "print JSON, one object a line")
	_ = cmd.RegisterFlagCompletionFunc("profile", cobra.FixedCompletions(bench.Profiles(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// showsLive reports whether a line written to w can be written over.
func showsLive(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("TERM") != "dumb"
}
