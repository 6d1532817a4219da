package bench

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/internal/sample"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/refresh"
)

// A spoilt is a metric with a value that must break one or more checks.
type spoilt struct {
	metric string
	value  float64
}

// made is a run of made-up numbers.
func made(s Source, metrics map[string]float64, bad ...spoilt) report.Run {
	run := report.Run{Subject: string(s)}
	for name, v := range metrics {
		for _, b := range bad {
			if b.metric == name {
				v = b.value
			}
		}
		run.Add(name, "", report.Less, v)
	}
	return run
}

// TestChecksCanFail: every check of every scenario holds of good numbers, and is broken
// by a bad one.
func TestChecksCanFail(t *testing.T) {
	b := &bout{Settings: brownoutScenario.Defaults}
	reuse := made(SourceReuse, map[string]float64{"token_cpu1": 100, "token_cpu8": 100})
	bare := made(SourceHMGet, map[string]float64{"reads_per_s": 100})
	probe := made(SourceBare, map[string]float64{"extra_wait_p99": 10})
	for name, c := range map[string]struct {
		good  map[string]float64
		bad   []spoilt
		check func(*report.Run)
	}{
		"herds": {
			map[string]float64{"provider_calls": 1, "replays": 0, "failed_callers": 0, "grants_lost": 0},
			[]spoilt{{"provider_calls", 2}, {"provider_calls", 0}, {"replays", 1}, {"failed_callers", 1}, {"grants_lost", 1}},
			func(run *report.Run) { checkHerds(run, 1) },
		},
		"herd": {
			map[string]float64{"handover_p99": 5, "extra_wait_p99": 15},
			[]spoilt{{"handover_p99", 5.1}, {"extra_wait_p99", 15.1}},
			func(run *report.Run) { checkHerd(run, &probe) },
		},
		"told": {
			map[string]float64{"untold_rounds": 0},
			[]spoilt{{"untold_rounds", 1}},
			checkTold,
		},
		"cold of very many": {
			map[string]float64{"reads_per_s": 80},
			[]spoilt{{"reads_per_s", 79}},
			func(run *report.Run) { checkCold(run, &bare) },
		},
		"kill": {
			map[string]float64{"next_call_after_lock": 100},
			[]spoilt{{"next_call_after_lock", 101}},
			checkKill,
		},
		"steady": {
			map[string]float64{"dropped": 0},
			[]spoilt{{"dropped", 1}},
			checkSteady,
		},
		"load in memory": {
			map[string]float64{"failed_callers": 0, "provider_calls": 0, "unexplained_commands": 0},
			[]spoilt{{"failed_callers", 1}, {"provider_calls", 1}, {"unexplained_commands", 1}},
			checkLoad,
		},
		"load without memory": {
			map[string]float64{"failed_callers": 0, "provider_calls": 0},
			[]spoilt{{"failed_callers", 1}, {"provider_calls", 1}},
			checkLoad,
		},
		"hit": {
			map[string]float64{"allocations": 0, "redis_commands": 0, "token_cpu1": 50, "token_cpu8": 33, "get_cpu1": 80, "get_cpu8": 50},
			[]spoilt{{"allocations", 1}, {"redis_commands", 1}, {"token_cpu1", 51}, {"token_cpu8", 34}, {"get_cpu1", 81}, {"get_cpu8", 51}},
			func(run *report.Run) { checkHit(run, &reuse) },
		},
		"cold": {
			map[string]float64{"dropped": 0, "reads_per_s": 80},
			[]spoilt{{"dropped", 1}, {"reads_per_s", 79}},
			func(run *report.Run) { checkCold(run, &bare) },
		},
		"storm": {
			map[string]float64{"failed_callers": 0, "provider_calls": 0, "unexplained_commands": 0},
			[]spoilt{{"failed_callers", 1}, {"provider_calls", 1}, {"unexplained_commands", 1}},
			checkStorm,
		},
		"brownout": {
			map[string]float64{
				"living_failed_callers": 0, "living_wait_p99": 20, "ended_failed_wait_p50": 1, "ended_failed_wait_p99": 1600,
				"living_calls_beyond_cooldown": 0, "living_replays": 0, "living_grants_lost": 0, "living_not_fresh": 0, "living_fresh_after": 4000, "living_dropped": 0,
				"ended_calls_beyond_cooldown": 0, "ended_replays": 0, "ended_grants_lost": 0, "ended_not_fresh": 0, "ended_fresh_after": 4000, "ended_dropped": 0,
			},
			[]spoilt{
				{"living_failed_callers", 1}, {"living_wait_p99", 26}, {"ended_failed_wait_p50", 11}, {"ended_failed_wait_p99", 1800},
				{"living_calls_beyond_cooldown", 1}, {"living_replays", 1}, {"living_grants_lost", 1}, {"living_not_fresh", 1}, {"living_fresh_after", 4100}, {"living_dropped", 1},
				{"ended_calls_beyond_cooldown", 1}, {"ended_replays", 1}, {"ended_grants_lost", 1}, {"ended_not_fresh", 1}, {"ended_fresh_after", 4100}, {"ended_dropped", 1},
			},
			func(run *report.Run) { checkBrownout(run, b) },
		},
		"failover": {
			map[string]float64{"living_failed_callers": 0, "provider_calls": 1, "replays": 0, "grants_lost": 0, "write_after_promotion": 900, "dropped": 0},
			[]spoilt{{"living_failed_callers", 1}, {"provider_calls", 3}, {"provider_calls", 0}, {"replays", 1}, {"grants_lost", 1}, {"write_after_promotion", 1001}, {"dropped", 1}},
			checkFailover,
		},
		"hold": {
			map[string]float64{"hit_commands": 0, "cpu_idle": 1},
			[]spoilt{{"hit_commands", 1}, {"cpu_idle", 1.1}},
			checkHold,
		},
		"memory": {
			map[string]float64{"fresh_listpack": 2048, "rotated_listpack": 3072},
			[]spoilt{{"fresh_listpack", 2049}, {"rotated_listpack", 3073}},
			checkMemory,
		},
		"million": {
			map[string]float64{"missing": 0, "doubled": 0, "list_memory": 64, "heap_early": 100, "heap_late": 110},
			[]spoilt{{"missing", 1}, {"doubled", 1}, {"list_memory", 65}, {"heap_late", 111}},
			checkMillion,
		},
	} {
		t.Run(name, func(t *testing.T) {
			run := made(SourceBellwether, c.good)
			c.check(&run)
			var never []string
			for _, k := range run.Checks {
				if _, measured := run.Metric(k.Metric); !k.OK || !measured {
					t.Errorf("good numbers break %+v, or it names none of them", k)
				}
				never = append(never, k.Name)
			}
			for _, bad := range c.bad {
				run := made(SourceBellwether, c.good, bad)
				c.check(&run)
				broken := 0
				for _, k := range run.Checks {
					if !k.OK {
						broken++
						never = slices.DeleteFunc(never, func(n string) bool { return n == k.Name })
					}
				}
				if broken != 1 {
					t.Errorf("%s of %v breaks %d checks, want one", bad.metric, bad.value, broken)
				}
			}
			if len(never) > 0 {
				t.Errorf("nothing breaks %q", never)
			}
			run = report.Run{Subject: "nothing measured"}
			c.check(&run)
			for _, k := range run.Checks {
				if k.OK {
					t.Errorf("without a measurement %+v holds", k)
				}
			}
		})
	}
}

// TestAside: faults of a round that warms up or was dropped count, its times do not; and
// nothing is checked of what was never measured.
func TestAside(t *testing.T) {
	good := map[string]float64{"provider_calls": 1, "replays": 0, "failed_callers": 0, "grants_lost": 0}
	for name, c := range map[string]struct {
		aside  report.Run
		broken int
	}{
		"there was none": {report.Run{}, 0},
		"a good one":     {made(SourceBellwether, good), 0},
		"a second call":  {made(SourceBellwether, good, spoilt{"provider_calls", 2}), 1},
	} {
		e := &entrant{run: made(SourceBellwether, good), aside: c.aside}
		e.check(func(run *report.Run) {
			checkHerds(run, 1)
			medianAtMost(run, "replays", "a bar that is missed", -1)
		})
		if got := len((report.Report{Runs: []report.Run{e.run}}).Broken(report.Invariant)); got != c.broken || len(e.run.Checks) != 5+got {
			t.Errorf("%s: %+v, want %d broken", name, e.run.Checks, c.broken)
		}
	}
	none := &entrant{}
	none.check(func(run *report.Run) { t.Errorf("checked %+v", run) })
}

func TestCheckCommands(t *testing.T) {
	sized := func(replicas, callers int, sent float64) report.Run {
		run := made(SourceBellwether, map[string]float64{"redis_commands": sent})
		run.Parameters = report.Parameters{Replicas: replicas, Callers: callers}
		return run
	}
	for _, c := range []struct {
		sent   [4]float64
		broken int
	}{
		{[4]float64{22, 90, 22 + 30*12, 98}, 0},
		{[4]float64{22, 90, 22 + 30*13, 98}, 1},
		{[4]float64{22, 90, 22 + 30*12, 99}, 1},
	} {
		runs := []report.Run{sized(2, 50, c.sent[0]), sized(8, 50, c.sent[1]), sized(32, 50, c.sent[2]), sized(8, 250, c.sent[3])}
		checkCommands(runs, 1)
		if got := len((report.Report{Runs: runs}).Broken(report.Bar)); got != c.broken || len(runs[3].Checks) != 2 {
			t.Errorf("commands %v: %+v, want %d broken", c.sent, runs[3].Checks, c.broken)
		}
	}
}

// TestUnexplained: one read of each token by each replica is explained, and as many after
// a new subscription; a command for each caller is not.
func TestUnexplained(t *testing.T) {
	b := &bout{Settings: Settings{Replicas: 8, Callers: 250, Tokens: 100}}
	for _, c := range []struct {
		commands int64
		resyncs  int
		want     float64
	}{{800, 0, 0}, {880, 0, 0}, {881, 0, 1}, {880 + 100, 1, 0}, {2000, 0, 1120}} {
		r := Result{RedisCommands: c.commands}
		for range c.resyncs {
			r.Story.Timeline = append(r.Story.Timeline, report.Mark{Row: "replica 1", What: "resynced"})
		}
		if got := b.unexplained(r); got != c.want {
			t.Errorf("%d commands, %d subscriptions: %v unexplained, want %v", c.commands, c.resyncs, got, c.want)
		}
	}
}

// TestMeterUnexplained: a read of each row is explained, and another one for each new subscription.
func TestMeterUnexplained(t *testing.T) {
	m := &meter{}
	read := func(n int) {
		for range n {
			m.count(redis.NewSliceCmd(t.Context(), "hmget", "row"))
		}
	}
	m.reset(time.Now())
	for i, step := range []struct {
		subscribed bool
		reads      int
		want       int64
	}{{false, 10, 0}, {false, 1, 1}, {true, 9, 0}, {false, 2, 2}} {
		if step.subscribed {
			m.observe(refresh.Report{Event: refresh.EventResynced, At: time.Now()})
		}
		read(step.reads)
		if got := m.unexplained(10); got != step.want {
			t.Errorf("step %d: %d commands are unexplained, want %d", i, got, step.want)
		}
	}
	m.reset(time.Now())
	if read(11); m.unexplained(10) != 1 || m.subscriptions() != 0 {
		t.Error("a reset keeps subscriptions")
	}
}

// TestRoll: one token that is missing does not make up for another that comes twice.
func TestRoll(t *testing.T) {
	r := newRoll(3)
	for _, id := range []string{sample.ID(0), sample.ID(2), sample.ID(2), sample.ID(3), "token-1", "stranger"} {
		r.mark(id)
	}
	if r.listed != 6 || r.missing() != 1 || r.doubled != 4 {
		t.Errorf("%d listed, %d missing, %d doubled; want 6, 1, 4", r.listed, r.missing(), r.doubled)
	}
}

func TestMostCalls(t *testing.T) {
	throttled := spell{least: []time.Duration{time.Second}}
	erring := spell{least: []time.Duration{500 * time.Millisecond, time.Second}}
	for _, c := range []struct {
		spell  spell
		length time.Duration
		want   int
	}{
		{throttled, 900 * time.Millisecond, 1}, {throttled, time.Second, 2}, {throttled, 2900 * time.Millisecond, 3},
		{erring, 499 * time.Millisecond, 1}, {erring, 500 * time.Millisecond, 2}, {erring, 1499 * time.Millisecond, 2}, {erring, 1500 * time.Millisecond, 3},
	} {
		if got := c.spell.mostCalls(c.length); got != c.want {
			t.Errorf("in %v, at intervals of %v: %d calls, want %d", c.length, c.spell.least, got, c.want)
		}
	}
}

// TestSpells: a grant that rotates meets no second call of unknown outcome before its
// recovery.
func TestSpells(t *testing.T) {
	until := brownoutTimes.CallTimeout + brownoutTimes.CommitBudget
	for _, profile := range Profiles() {
		unknown := time.Duration(0)
		for _, s := range spells(profile, 5*time.Minute) {
			if s.name != "throttled" {
				unknown += s.length
			}
		}
		if rotates := profile != "reusable"; rotates != (unknown < until) {
			t.Errorf("%s: outcomes are unknown for %v, a recovery takes %v", profile, unknown, until)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 2: "2", -1.25: "-1.25", 0.01234: "0.0123", 99.96: "100", 4061.7: "4062", 1e9: "1000000000"} {
		if got := number(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}

func TestFailure(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	told := func(id string, until time.Time) string {
		return failure(fmt.Errorf("caller: %w", &bellwether.Error{Kind: bellwether.ErrThrottled, Op: "get", ID: id, Until: until}))
	}
	if a, b := told("one", at), told("two", at.Add(time.Second)); a != b || a == "" {
		t.Errorf("one cause is told as %q and as %q", a, b)
	}
	for text, want := range map[string]string{
		"dial 127.0.0.1:18112: 429\nResponse: <html>":                 "dial 127.0.0.1: 429",
		"read tcp 10.0.0.5:51234->10.0.0.7:6379: i/o timeout":         "read tcp 10.0.0.5->10.0.0.7: i/o timeout",
		"read tcp [::1]:51234->[fd00::7]:6379: connection reset by X": "read tcp [::1]->[fd00::7]: connection reset by X",
	} {
		if got := failure(errors.New(text)); got != want {
			t.Errorf("got %q, want the first line without the ports, %q", got, want)
		}
	}
}

func TestCommandStats(t *testing.T) {
	got := commandStats("# Commandstats\r\ncmdstat_hmget:calls=12,usec=3\r\ncmdstat_config|get:calls=2,usec=1\r\n" +
		"cmdstat_client|setinfo:calls=9,usec=1\r\ncmdstat_info:calls=3,usec=1\r\ncmdstat_time:calls=3,usec=1\r\n")
	if len(got) != 2 || got["hmget"] != 12 || got["config|get"] != 2 {
		t.Errorf("got %v, want hmget and config|get", got)
	}
}
