package bench

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bellwether-go/bellwether/bench/report"
)

// TestDroppedRounds: a round that began late or met callers who were not told in time is
// repeated with more time, and its faults count; a machine that stays too slow is an
// error that says so, and replicas that are never told break an invariant.
func TestDroppedRounds(t *testing.T) {
	fair := Result{ProviderCalls: 1}
	late := Result{ProviderCalls: 2, Story: Story{Late: 3}}
	early := Result{ProviderCalls: 1, Story: Story{Early: 5}}
	for name, c := range map[string]struct {
		rounds  []Result
		dropped float64
		untold  float64
		slow    int
		broken  int
		fails   string
	}{
		"fair":           {[]Result{fair}, 0, 0, 0, 0, ""},
		"late, with two": {[]Result{late, fair}, 1, 0, 1, 1, ""},
		"early, twice":   {[]Result{early, early, fair}, 2, 2, 2, 0, ""},
		"late for ever":  {slices.Repeat([]Result{late}, mostDropped+1), 0, 0, mostDropped, 1, "too slow for so many processes: 3 replicas"},
		"never told":     {slices.Repeat([]Result{early}, mostDropped+1), -1, -1, mostDropped, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			b := &bout{scenario: herdScenario, say: func(format string, _ ...any) { said = append(said, format) }}
			e := &entrant{bout: b, plan: herdPlan{Source: SourceBellwether}}
			played := 0
			err := e.count(t.Context(), 1, func(context.Context) (Result, error) {
				played++
				return c.rounds[played-1], nil
			})
			e.check(func(run *report.Run) { neverAbove(run, "provider_calls", "calls", 1) })
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
			if played != len(c.rounds) || e.slow != c.slow {
				t.Errorf("%d rounds played, slow %d; want %d, %d", played, e.slow, len(c.rounds), c.slow)
			}
			for name, want := range map[string]float64{"dropped_rounds": c.dropped, "untold_rounds": c.untold} {
				if m, counted := e.run.Metric(name); counted != (c.fails == "" && want >= 0) || counted && (m.Median() != want || m.Better != report.Less) {
					t.Errorf("%s %v, want %v", name, m, want)
				}
			}
			if err := e.count(t.Context(), 2, func(context.Context) (Result, error) { played++; return fair, nil }); err != nil {
				t.Error(err)
			}
			if goesOn := name != "never told"; goesOn != (played == len(c.rounds)+1) {
				t.Errorf("%d rounds played in all", played)
			}
			if got := len((report.Report{Runs: []report.Run{e.run}}).Broken(report.Invariant)); got != c.broken {
				t.Errorf("%+v: %d broken, want %d", e.run.Checks, got, c.broken)
			}
			if len(said) == 0 {
				t.Error("nothing was said")
			}
		})
	}
}

// TestInTurnKeeps: what was measured before an error comes along, checked; what was not
// is left out.
func TestInTurnKeeps(t *testing.T) {
	broken := errors.New("broken")
	b := &bout{Settings: Settings{Rounds: 3}, sources: []Source{SourceBellwether, SourceShared, SourceBare}}
	plan := func(s Source) herdPlan { return herdPlan{Source: s, KillHolder: true} } // no fleet
	runs, err := b.inTurn(t.Context(), plan, func(e *entrant, _ context.Context, round int) error {
		switch {
		case e.plan.Source == SourceBare:
			return nil
		case round == 2:
			return broken
		case round == 1:
			e.run.Add("n", "", "", 1)
		}
		return nil
	}, func(run *report.Run) { never(run, "n", "none") })
	if !errors.Is(err, broken) || len(runs) != 2 {
		t.Fatalf("%d runs, %v; want the two that were measured, and the error", len(runs), err)
	}
	if len(runs[0].Checks) != 1 || runs[0].Checks[0].OK {
		t.Errorf("Bellwether's run has the checks %+v, want a broken one", runs[0].Checks)
	}
}
