package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A kind of behaviour, from which synthetic makes runs that look like measured ones.
type kind struct {
	subject string
	calls   func(replicas int) float64
	wait    func(rnd *rand.Rand, caller int) float64 // beyond the provider's time, ms
	redis   map[string]int64
	failed  string
}

const callers = 250

var kinds = []kind{
	{"bellwether", one, func(rnd *rand.Rand, _ int) float64 { return 2 + 6*rnd.ExpFloat64()/2 },
		map[string]int64{"evalsha": 11, "hmget": 16, "publish": 1, "set": 1}, ""},
	{"x-oauth2-each", func(n int) float64 { return float64(n) }, func(rnd *rand.Rand, _ int) float64 { return 400 + 300*rnd.Float64() },
		nil, "oauth2: \"invalid_grant\" \"refresh token was used before\""},
	{"x-oauth2-shared", func(n int) float64 { return math.Ceil(0.8 * float64(n)) }, func(rnd *rand.Rand, _ int) float64 { return 60 + 500*rnd.Float64() },
		map[string]int64{"get": 16, "set": 8}, "oauth2: \"invalid_grant\" \"refresh token was used before\""},
	{"redislock-linear", one, func(rnd *rand.Rand, caller int) float64 {
		return 12 * float64(caller%2000) * (0.9 + 0.2*rnd.Float64()) / 6
	},
		map[string]int64{"evalsha": 21400, "get": 2000, "set": 1}, "redislock: not obtained"},
	{"redislock-exponential", one, func(rnd *rand.Rand, caller int) float64 { return 50 + 2.2*float64(caller%2000)*rnd.Float64() },
		map[string]int64{"evalsha": 9100, "get": 2000, "set": 1}, ""},
	{"lock-polling", one, func(rnd *rand.Rand, _ int) float64 { return 50*rnd.Float64() + 4 },
		map[string]int64{"evalsha": 9, "get": 820, "set": 1}, ""},
	{"bare", one, func(rnd *rand.Rand, _ int) float64 { return 1.5 + rnd.ExpFloat64()*2.4 },
		map[string]int64{"hmget": 8, "publish": 1}, ""},
}

func one(int) float64 { return 1 }

// synthetic is a report of a herd over all kinds, rotate, storm, and a herd that grows.
func synthetic(t testing.TB) Report {
	t.Helper()
	rnd := rand.New(rand.NewPCG(7, 11))
	r := Report{
		Format:  Format,
		Started: time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC),
		Seconds: 412,
		Machine: Machine{CPU: "AMD EPYC 7B13", CPUs: 2, OS: "linux", Arch: "amd64", Kernel: "6.1.0-28", Memory: 8 << 30, Load: 0.21},
		Versions: Versions{Bellwether: "v0.2.0", Commit: "c756599d2a11", Modified: true, Go: "go1.26.8", Redis: "7.0.15",
			Modules: map[string]string{"github.com/redis/go-redis/v9": "v9.23.0", "github.com/bsm/redislock": "v0.10.0"}},
	}
	for _, k := range kinds {
		r.Runs = append(r.Runs, k.run(t, rnd, "herd", Parameters{Replicas: 8, Callers: callers, LatencyMS: 1000, Profile: "strict", Rounds: 10, Redis: "single"}))
	}
	for _, k := range []kind{kinds[0], kinds[5]} {
		r.Runs = append(r.Runs, k.run(t, rnd, "rotate", Parameters{Replicas: 4, Callers: 50, LatencyMS: 100, Profile: "strict", Rounds: 50, Redis: "single"}))
	}
	for _, k := range []kind{kinds[0], kinds[3], kinds[6]} {
		r.Runs = append(r.Runs, k.run(t, rnd, "storm", Parameters{Replicas: 8, Callers: 100, Tokens: 1000, LatencyMS: 200, Profile: "reusable", Rounds: 5, Redis: "single"}))
	}
	for _, replicas := range []int{1, 2, 4, 16, 32} {
		for _, k := range []kind{kinds[0], kinds[4], kinds[6]} {
			r.Runs = append(r.Runs, k.run(t, rnd, "herd", Parameters{Replicas: replicas, Callers: callers, LatencyMS: 1000, Profile: "strict", Rounds: 5, Redis: "single"}))
		}
	}
	return r
}

func (k kind) run(t testing.TB, rnd *rand.Rand, scenario string, p Parameters) Run {
	t.Helper()
	run := Run{Scenario: scenario, Subject: k.subject, Parameters: p, Seconds: 1.4 * float64(p.Rounds), Waits: &Histogram{}}
	grown := math.Sqrt(float64(p.Replicas) / 8)
	for range p.Rounds {
		var round Histogram
		for caller := range p.Replicas * p.Callers {
			d := time.Duration(k.wait(rnd, caller) * (0.7 + 0.3*grown) * float64(time.Millisecond))
			if err := round.Record(d); err != nil {
				t.Fatal(err)
			}
		}
		run.Waits.Merge(round)
		run.Add("provider_calls", "calls", Less, k.calls(p.Replicas))
		failed := 0.0
		if k.failed != "" {
			failed = math.Floor(float64(p.Replicas*p.Callers) * (0.5 + 0.2*rnd.Float64()))
			run.Failures = map[string]int{k.failed: int(failed) * p.Rounds}
		}
		run.Add("failed_callers", "", Less, failed)
		run.Add("extra_wait_p50", "ms", Less, round.Quantile(0.5))
		run.Add("extra_wait_p99", "ms", Less, round.Quantile(0.01))
		run.Add("extra_wait_max", "ms", Less, round.Quantile(0))
		commands := 0.0
		for _, n := range k.redis {
			commands += float64(n) * float64(p.Replicas) / 8
		}
		run.Add("redis_commands", "", Less, math.Round(commands))
		run.Add("cpu", "s", "", 0.2+0.1*rnd.Float64()*grown)
	}
	if k.redis != nil {
		run.Commands = map[string]int64{}
		for name, n := range k.redis {
			run.Commands[name] = max(1, n*int64(p.Replicas)/8)
		}
	}
	run.Timeline = k.timeline(rnd, p)
	m, _ := run.Metric("provider_calls")
	if k.subject == "bellwether" || k.subject == "lock-polling" {
		p99, _ := run.Metric("extra_wait_p99")
		run.Checks = []Check{
			{Invariant, "provider_calls", "1 in each round", number(m.Median()), true, "provider_calls"},
			{Invariant, "failed_callers", "0", number(0), true, "failed_callers"},
			{Bar, "extra_wait_p99", "≤ 30 ms", number(p99.Median()) + " ms", p99.Median() <= 30, "extra_wait_p99"},
		}
	}
	return run
}

func (k kind) timeline(rnd *rand.Rand, p Parameters) (marks []Mark) {
	release := 3 + rnd.Float64()*3
	all := int(k.calls(p.Replicas))
	for i := range p.Replicas {
		row := fmt.Sprintf("replica %d", i+1)
		switch {
		case i == 0 && all == 1:
			marks = append(marks, Mark{row, "calling", release, release + p.LatencyMS}, Mark{row, "committing", release + p.LatencyMS, release + p.LatencyMS + 2})
		case i < all:
			marks = append(marks, Mark{row, "calling", release, release + p.LatencyMS*(1+rnd.Float64()/2)})
		default:
			end := release + p.LatencyMS + k.wait(rnd, i*callers)
			marks = append(marks, Mark{row, "waiting", release, end}, Mark{row, "adopted", end, 0})
		}
	}
	if k.subject == "redislock-exponential" {
		marks = append(marks, Mark{"replica 2", "killed", release + p.LatencyMS/2, 0})
	}
	return append(marks, Mark{"provider", "serving", release + 1, release + p.LatencyMS - 1})
}
