package bench

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/report"
)

// A Scenario is something that can happen to a fleet, with what must hold of Bellwether
// when it does.
type Scenario struct {
	Name  string
	About string // one line
	// Sources can be measured in it; Usual are those that are unless others are asked
	// for, SourceBellwether first.
	Sources, Usual []Source
	// Defaults fill what Settings leave out. A field that is zero here too means nothing
	// to the scenario, and asking for it is an error.
	Defaults Settings
	// ByName: it takes long, so a suite of all scenarios leaves it out.
	ByName bool
	// OwnServers: it kills Redis servers, so it starts its own.
	OwnServers bool

	// AnyMasters: it also runs on as many masters as Settings say, started for it.
	AnyMasters bool

	// fills: it stores so much that it gets a server for itself unless one is named.
	fills bool
	// outlasted: its tokens must outlast all its rounds.
	outlasted bool
	// check refuses Settings that are within bounds and still cannot be right; nil: none.
	check func(Settings) error
	run   func(context.Context, *bout) ([]report.Run, error)
}

// Settings say how large a scenario is. Zero values are the scenario's own defaults.
type Settings struct {
	Replicas int           // processes
	Callers  int           // goroutines in each
	Tokens   int           // different ones
	Masters  int           // of Redis: 1 is no Cluster, more are one
	Rounds   int           // measured ones; those that warm a fleet come on top
	Rate     float64       // arrivals a second at all replicas together
	For      time.Duration // of load at a rate
	Latency  time.Duration // of the provider
	Profile  string        // how the provider treats used refresh tokens; one of Profiles
}

// Scenarios are all of them, in the order in which a suite runs them.
func Scenarios() []Scenario {
	return []Scenario{herdScenario, convoyScenario, rotateScenario, killScenario, leaveScenario, signInScenario, steadyScenario, hitScenario, coldScenario, stormScenario, brownoutScenario, commandsScenario, failoverScenario, holdScenario, memoryScenario, millionScenario}
}

// FindScenario returns the one of a name. An unknown one matches bellwether.ErrInvalid.
func FindScenario(name string) (Scenario, error) {
	all := Scenarios()
	i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
	if i >= 0 {
		return all[i], nil
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	return Scenario{}, invalid("use one of "+strings.Join(names, ", "), "there is no scenario %q", name)
}

func invalid(hint, format string, args ...any) error {
	return &bellwether.Error{Kind: bellwether.ErrInvalid, Op: "bench", Detail: fmt.Sprintf(format, args...), Hint: hint}
}

// settings fills in the defaults and refuses what the scenario cannot do.
func (s Scenario) settings(o Settings) (Settings, error) {
	d := s.Defaults
	knownMasters := d.Masters
	if s.AnyMasters {
		knownMasters = 1
	}
	for _, f := range []struct {
		name             string
		asked, known     float64
		least, mostValue float64
	}{
		{"replicas", float64(o.Replicas), float64(d.Replicas), 1, maxReplicas},
		{"callers", float64(o.Callers), float64(d.Callers), 1, maxCallers},
		{"tokens", float64(o.Tokens), float64(d.Tokens), 1, maxTokens},
		{"masters", float64(o.Masters), float64(knownMasters), 1, maxMasters},
		{"rounds", float64(o.Rounds), float64(d.Rounds), 1, maxRounds},
		{"rate", o.Rate, d.Rate, 1, maxRate},
		{"duration", o.For.Seconds(), d.For.Seconds(), 0.1, maxLoad.Seconds()},
		{"provider latency", o.Latency.Seconds(), d.Latency.Seconds(), 0, maxBenchLatency.Seconds()},
	} {
		switch {
		case f.asked == 0:
		case f.known == 0:
			return o, invalid("leave it out", "scenario %s has no %s", s.Name, f.name)
		case f.asked < f.least || f.asked > f.mostValue:
			return o, invalid(fmt.Sprintf("use %v to %v", f.least, f.mostValue), "%s of %v", f.name, f.asked)
		}
	}
	switch {
	case o.Profile == "":
	case d.Profile == "":
		return o, invalid("leave it out", "scenario %s has no profile", s.Name)
	case !slices.Contains(Profiles(), o.Profile):
		return o, invalid("use "+strings.Join(Profiles(), ", "), "profile %q", o.Profile)
	}
	o = Settings{
		Replicas: cmp.Or(o.Replicas, d.Replicas),
		Callers:  cmp.Or(o.Callers, d.Callers),
		Tokens:   cmp.Or(o.Tokens, d.Tokens),
		Masters:  cmp.Or(o.Masters, d.Masters),
		Rounds:   cmp.Or(o.Rounds, d.Rounds),
		Rate:     cmp.Or(o.Rate, d.Rate),
		For:      cmp.Or(o.For, d.For),
		Latency:  cmp.Or(o.Latency, d.Latency),
		Profile:  cmp.Or(o.Profile, d.Profile),
	}
	if n := o.Replicas * o.Callers; n > maxAllCallers {
		return o, invalid(fmt.Sprintf("use %d or fewer", maxAllCallers), "%d callers in %d replicas are %d", o.Callers, o.Replicas, n)
	}
	if s.check != nil {
		return o, s.check(o)
	}
	return o, nil
}

// Bounds of Settings: a slip of the hand must not take a machine down.
const (
	maxAllCallers   = 64_000 // at 32 KB of stack each
	maxProcesses    = 256    // that stand at once: a fleet of each source
	maxTokens       = 2_000_000
	maxMasters      = 9
	maxRounds       = 1000
	maxRate         = 1_000_000
	maxLoad         = 10 * time.Minute
	maxBenchLatency = 10 * time.Second
	maxLiving       = 45 * time.Minute // of rounds over tokens that live for an hour and must not end

	// mostUnasked is how many tokens are stored in a Redis that is named unless more are
	// asked for.
	mostUnasked = 10_000
)

// A bout is one scenario with its settings filled in, and the sources to be measured.
type bout struct {
	Settings
	scenario Scenario
	sources  []Source
	redis    string // URL
	kind     string // of that Redis
	owned    bool   // that Redis is the bout's alone, and ends with it
	say      func(format string, args ...any)
}

// turn yields the sources with their places, in the order of a round: each round begins
// with another one, so that none has always the same one before it.
func (b *bout) turn(round int) iter.Seq2[int, Source] {
	return func(yield func(int, Source) bool) {
		for i := range b.sources {
			i = (i + round) % len(b.sources)
			if !yield(i, b.sources[i]) {
				return
			}
		}
	}
}

// newRun is an empty report of one source.
func (b *bout) newRun(s Source) report.Run {
	p := b.Parameters()
	p.Redis = b.kind
	return report.Run{Scenario: b.scenario.Name, Subject: string(s), Parameters: p}
}

// Parameters are the settings as a report has them.
func (s Settings) Parameters() report.Parameters {
	return report.Parameters{
		Replicas:  s.Replicas,
		Callers:   s.Callers,
		Tokens:    s.Tokens,
		Masters:   s.Masters,
		Rate:      s.Rate,
		Seconds:   s.For.Seconds(),
		LatencyMS: milliseconds(s.Latency),
		Profile:   s.Profile,
		Rounds:    s.Rounds,
	}
}

// plan is the herd of a source.
func (b *bout) plan(s Source) herdPlan {
	return herdPlan{Source: s, Replicas: b.Replicas, Callers: b.Callers, Tokens: b.Tokens, Latency: b.Latency, Profile: b.Profile}
}
