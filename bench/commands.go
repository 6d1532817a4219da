package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
)

var commandsScenario = Scenario{
	Name:  "commands",
	About: "Redis commands of one expiry, in fleets of a sixteenth, a quarter and all replicas, and with five times the callers",
	// The others' commands are in herd.
	Sources:  []Source{SourceBellwether},
	Usual:    []Source{SourceBellwether},
	Defaults: Settings{Replicas: 32, Callers: 50, Rounds: 5, Latency: time.Second, Profile: "strict"},
	run:      runCommands,

	AnyMasters: true,
}

// The bars of commands: so many more for each more replica, and none for more callers
// but what slow polls make.
const (
	perReplicaBar = 12
	perCallerBar  = 8
	moreCallers   = 5
)

func runCommands(ctx context.Context, b *bout) ([]report.Run, error) {
	sizes := slices.Compact([]int{max(b.Replicas/16, 1), max(b.Replicas/4, 1), b.Replicas})
	var runs []report.Run
	measure := func(replicas, callers int) error {
		size := *b
		size.Replicas, size.Callers = replicas, callers
		more, err := size.herds(ctx, size.plan, 1)
		runs = append(runs, more...)
		return err
	}
	for _, n := range sizes {
		if err := measure(n, b.Callers); err != nil {
			return runs, err
		}
	}
	few := sizes[len(sizes)/2]
	if err := measure(few, min(moreCallers*b.Callers, maxCallers, maxAllCallers/few)); err != nil {
		return runs, err
	}
	checkCommands(runs, len(sizes)/2)
	return runs, nil
}

// checkCommands adds to the last run, which differs from run few by its callers alone.
func checkCommands(runs []report.Run, few int) {
	sent := func(r report.Run) float64 {
		m, _ := r.Metric("redis_commands")
		return m.Median()
	}
	last := &runs[len(runs)-1]
	sizes := runs[:len(runs)-1]
	least, most := sizes[0], sizes[len(sizes)-1]
	if n := most.Parameters.Replicas - least.Parameters.Replicas; n > 0 {
		slope := (sent(most) - sent(least)) / float64(n)
		last.Checks = append(last.Checks, bar("redis_commands", "Redis commands a replica", slope <= perReplicaBar, fmt.Sprintf("≤ %d", perReplicaBar),
			fmt.Sprintf("%.1f (%.0f at %d, %.0f at %d)", slope, sent(least), least.Parameters.Replicas, sent(most), most.Parameters.Replicas)))
	}
	more := sent(*last) - sent(sizes[few])
	last.Checks = append(last.Checks, bar("redis_commands", "Redis commands that more callers add", more <= perCallerBar, fmt.Sprintf("≤ %d", perCallerBar),
		fmt.Sprintf("%+.0f for %d more", more, last.Parameters.Replicas*(last.Parameters.Callers-sizes[few].Parameters.Callers))))
}
