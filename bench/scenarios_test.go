package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
)

func TestSteady(t *testing.T) {
	runs := runSmall(t, "steady", Settings{Replicas: 2, Tokens: 8, Rounds: 2, Rate: 500, For: 500 * time.Millisecond})
	for _, run := range runs {
		arrivals, _ := run.Metric("arrivals")
		if sum := arrivals.Values[0] + arrivals.Values[1]; len(arrivals.Values) != 2 || float64(run.Waits.Count()) != sum {
			t.Errorf("%s: %d waits of arrivals %v", run.Subject, run.Waits.Count(), arrivals.Values)
		}
	}
}

func TestHit(t *testing.T) {
	runs := runSmall(t, "hit", Settings{Rounds: 1})
	if a, r := most(t, runs, SourceAtomic, "load_cpu1"), most(t, runs, SourceReuse, "token_cpu1"); a <= 0 || a >= r {
		t.Errorf("an atomic load takes %v ns, ReuseTokenSource %v ns", a, r)
	}
}

func TestCold(t *testing.T) {
	runs := runSmall(t, "cold", Settings{Replicas: 2, Tokens: 20, Rounds: 1, Rate: 300, For: 500 * time.Millisecond})
	for _, run := range runs {
		// Callers of one row who meet share a read; most do not meet.
		if sent, came := most(t, runs, Source(run.Subject), "redis_commands"), most(t, runs, Source(run.Subject), "arrivals"); sent < came/2 {
			t.Errorf("%s: %v commands for %v callers: something is in memory", run.Subject, sent, came)
		}
	}
	if got := most(t, runs, SourceHMGet, "reads_per_s"); got < 100 {
		t.Errorf("%v bare reads a second", got)
	}
}

func TestStorm(t *testing.T) {
	runs := runSmall(t, "storm", Settings{Replicas: 2, Callers: 100, Tokens: 5, Rounds: 1})
	breaks(t, runs, SourceRedislockLinear, checkStorm)
}

func TestBrownout(t *testing.T) {
	s := Settings{Replicas: 2, Tokens: 2, Rate: 60, For: 7 * time.Second}
	runs := runSmall(t, "brownout", s, SourceBellwether, SourceShared)
	for _, metric := range []string{"living_failed_callers", "living_calls_beyond_cooldown", "ended_calls_beyond_cooldown"} {
		if most(t, runs, SourceShared, metric) == 0 {
			t.Errorf("%s is 0 without any cooldown", metric)
		}
	}
	if most(t, runs, SourceBellwether, "ended_failed_callers") == 0 {
		t.Error("the provider was well all the time")
	}
}

// TestBrownoutStrict: one call of unknown outcome costs a rotating grant nothing.
func TestBrownoutStrict(t *testing.T) {
	s := Settings{Replicas: 2, Tokens: 2, Rate: 60, For: 8 * time.Second, Profile: "strict"}
	runs := runSmall(t, "brownout", s, SourceBellwether)
	if !slices.ContainsFunc(runs[0].Timeline, func(m report.Mark) bool { return m.Row == "provider" && m.What == "server_error" }) {
		t.Errorf("no call had an unknown outcome: %v", runs[0].Timeline)
	}
}

func TestCommands(t *testing.T) {
	runs := runSmall(t, "commands", Settings{Replicas: 4, Callers: 5, Rounds: 1, Latency: 100 * time.Millisecond})
	var sizes [][2]int
	for _, run := range runs {
		sizes = append(sizes, [2]int{run.Parameters.Replicas, run.Parameters.Callers})
	}
	if want := [][2]int{{1, 5}, {4, 5}, {4, 25}}; !slices.Equal(sizes, want) {
		t.Errorf("sizes %v, want %v", sizes, want)
	}
}

func TestFailover(t *testing.T) {
	for _, masters := range []int{1, 3} {
		t.Run(fmt.Sprint(masters), func(t *testing.T) {
			s := Settings{Replicas: 2, Tokens: 4, Masters: masters, Rounds: 1, Rate: 100, For: 10 * time.Second}
			runs := runSmall(t, "failover", s, SourceBellwether)
			if most(t, runs, SourceBellwether, "promotion") <= 0 || most(t, runs, SourceBellwether, "write_after_promotion") <= 0 {
				t.Errorf("nothing was killed: %+v", runs[0].Metrics)
			}
		})
	}
}

func TestMemory(t *testing.T) {
	runs := runSmall(t, "memory", Settings{Tokens: 4})
	fresh, rotated := most(t, runs, SourceBellwether, "fresh_listpack"), most(t, runs, SourceBellwether, "rotated_listpack")
	if fresh < 500 || rotated <= fresh || most(t, runs, SourceBellwether, "fresh_default") <= fresh {
		t.Errorf("%v bytes, %v after rotations, %v without compact rows", fresh, rotated, most(t, runs, SourceBellwether, "fresh_default"))
	}
}

func TestMillion(t *testing.T) {
	runs := runSmall(t, "million", Settings{Tokens: 300})
	if got := most(t, runs, SourceBellwether, "list_memory"); got < 1 {
		t.Errorf("a process of %v MiB", got)
	}
}
