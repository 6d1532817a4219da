package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bellwether-go/bellwether/bench"
)

// sizeFlags are those of "bench run" alone: no scenario has all of them.
var sizeFlags = []string{"replicas", "callers", "tokens", "masters", "rounds", "rate", "for", "provider-latency"}

// benchSizes are their values. One that takes several numbers is not in the settings.
type benchSizes struct {
	settings                           bench.Settings
	replicas, callers, tokens, masters []int
}

func (z *benchSizes) register(cmd *cobra.Command) {
	f := cmd.Flags()
	s := &z.settings
	f.IntSliceVar(&z.replicas, "replicas", nil, "replicas, each a process")
	f.IntSliceVar(&z.callers, "callers", nil, "callers in each replica")
	f.IntSliceVar(&z.tokens, "tokens", nil, "different tokens, up to 2,000,000")
	f.IntSliceVar(&z.masters, "masters", nil, "masters of a Redis that is started for it: 1 is no Cluster, more are one")
	f.IntVar(&s.Rounds, "rounds", 0, "measured rounds; bench compare needs 4 or more to see a difference")
	f.Float64Var(&s.Rate, "rate", 0, "arrivals a second, at all replicas together")
	f.DurationVar(&s.For, "for", 0, "how long arrivals go on")
	f.DurationVar(&s.Latency, "provider-latency", 0, "how long the provider takes for a call")
	f.StringVar(&s.Profile, "profile", "", "what the provider does with a used refresh token: "+strings.Join(bench.Profiles(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("profile", cobra.FixedCompletions(bench.Profiles(), cobra.ShellCompDirectiveNoFileComp))
}

// all are the settings with each of the numbers in turn.
func (z *benchSizes) all() []bench.Settings {
	all := []bench.Settings{z.settings}
	for _, dim := range []struct {
		numbers []int
		of      func(*bench.Settings) *int
	}{
		{z.replicas, func(s *bench.Settings) *int { return &s.Replicas }},
		{z.callers, func(s *bench.Settings) *int { return &s.Callers }},
		{z.tokens, func(s *bench.Settings) *int { return &s.Tokens }},
		{z.masters, func(s *bench.Settings) *int { return &s.Masters }},
	} {
		if len(dim.numbers) == 0 {
			continue
		}
		var next []bench.Settings
		for _, s := range all {
			for i, n := range dim.numbers {
				if slices.Contains(dim.numbers[:i], n) {
					continue // once is enough
				}
				*dim.of(&s) = n
				next = append(next, s)
			}
		}
		all = next
	}
	return all
}

// nonZeroSizes refuses a 0, which would be taken for a size that was left out.
func nonZeroSizes(cmd *cobra.Command) error {
	for _, name := range sizeFlags {
		f := cmd.Flags().Lookup(name)
		for v := range strings.SplitSeq(strings.Trim(f.Value.String(), "[]"), ",") {
			if f.Changed && (v == "0" || v == "0s") {
				return &usageError{"--" + name + " is 0", "leave it out for the scenario's own"}
			}
		}
	}
	return nil
}

// sizesOf writes settings as flags.
func sizesOf(s bench.Settings) string {
	var flags []string
	add := func(set bool, name string, value any) {
		if set {
			flags = append(flags, fmt.Sprintf("--%s %v", name, value))
		}
	}
	add(s.Replicas > 0, "replicas", s.Replicas)
	add(s.Callers > 0, "callers", s.Callers)
	add(s.Tokens > 0, "tokens", s.Tokens)
	add(s.Masters > 0, "masters", s.Masters)
	add(s.Rounds > 0, "rounds", s.Rounds)
	add(s.Rate > 0, "rate", s.Rate)
	add(s.For > 0, "for", s.For)
	add(s.Latency > 0, "provider-latency", s.Latency)
	add(s.Profile != "", "profile", s.Profile)
	return strings.Join(flags, " ")
}
