package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether/bench"
	"github.com/bellwether-go/bellwether/internal/redistest"
)

// The bars of fleets.
const (
	handoverBar      = 5.0 // ms, p99
	extraWaitBar     = 1.5 // times the bare probe's p99
	perReplicaBar    = 12  // commands
	perCallerBar     = 8   // commands that 1600 more callers may add: slow polls, not callers
	killedBar        = 100 * time.Millisecond
	fleetReplicas    = 8
	fleetCallers     = 250
	providerLatency  = time.Second
	fewCallers       = 50
	lockTTL          = 3 * time.Second
	shortCallTimeout = 4 * time.Second
)

// rounds opens a herd and returns its rounds after a first one that warms it.
func rounds(ctx context.Context, url string, n int, p bench.Plan) (results []bench.Result, err error) {
	h, err := bench.OpenHerd(ctx, url, p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close(ctx)) }()
	for i := range n + 1 {
		r, err := h.Round(ctx)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			results = append(results, r)
		}
	}
	return results, nil
}

func medianOf(results []bench.Result, f func(bench.Result) float64) float64 {
	var v []float64
	for _, r := range results {
		v = append(v, f(r))
	}
	return median(v)
}

func extraWaitP99(r bench.Result) float64 { return r.ExtraWait.P99 }
func handoverP99(r bench.Result) float64  { return r.Handover.P99 }

// herd alternates rounds of Bellwether with rounds of the bare probe: both meet the
// same moods of the machine.
func herd(ctx context.Context, e *env) error {
	srv, err := redistest.StartSingle(redistest.Config{})
	if err != nil {
		return err
	}
	defer srv.Close()
	p := bench.Plan{Replicas: fleetReplicas, Callers: fleetCallers, Latency: providerLatency, Profile: "strict"}
	var herds [2]*bench.Herd
	for i, source := range []bench.Source{bench.SourceBellwether, bench.SourceBare} {
		p.Source = source
		if herds[i], err = bench.OpenHerd(ctx, srv.URL(), p); err != nil {
			return err
		}
		defer herds[i].Close(ctx)
	}
	var results [2][]bench.Result
	for round := range e.rounds + 1 {
		for i, h := range herds {
			r, err := h.Round(ctx)
			if err != nil {
				return err
			}
			if round > 0 {
				results[i] = append(results[i], r)
			}
		}
	}
	ours, probe := results[0], results[1]
	calls, failed := 0, 0
	for _, r := range ours {
		calls = max(calls, r.ProviderCalls)
		failed += r.FailedCallers
		if err := r.Check(); err != nil {
			calls = max(calls, 2)
		}
	}
	e.print(row{"8 × 250 callers: provider calls an expiry, most", "1", fmt.Sprint(calls), calls == 1})
	e.print(row{"8 × 250 callers: failed callers, all rounds", "0", fmt.Sprint(failed), failed == 0})
	handover := medianOf(ours, handoverP99)
	e.print(row{"8 × 250 callers: hand-over p99", fmt.Sprintf("≤ %.0f ms", handoverBar),
		fmt.Sprintf("%.2f ms (probe %.2f ms)", handover, medianOf(probe, handoverP99)), handover <= handoverBar})
	wait, bare := medianOf(ours, extraWaitP99), medianOf(probe, extraWaitP99)
	e.print(row{"8 × 250 callers: extra wait p99", fmt.Sprintf("≤ %.1f × bare probe", extraWaitBar),
		fmt.Sprintf("%.1f ms = %.2f × %.1f ms", wait, wait/bare, bare), wait <= extraWaitBar*bare})
	return nil
}

// slow needs the renewal of the lock: the call lasts longer than its TTL.
func slow(ctx context.Context, e *env) error {
	srv, err := redistest.StartSingle(redistest.Config{})
	if err != nil {
		return err
	}
	defer srv.Close()
	const ttl, latency = time.Second, 3500 * time.Millisecond
	results, err := rounds(ctx, srv.URL(), 2, bench.Plan{
		Source: bench.SourceBellwether, Replicas: fleetReplicas, Callers: fewCallers, Latency: latency, Profile: "strict",
		Times: bench.Times{CallTimeout: 2 * latency, CommitBudget: 2 * time.Second, LockTTL: ttl, MaxHold: 14 * time.Second},
	})
	if err != nil {
		return err
	}
	calls, ok := 0, true
	for _, r := range results {
		calls = max(calls, r.ProviderCalls)
		ok = ok && r.Check() == nil
	}
	e.print(row{fmt.Sprintf("provider takes %v, lock TTL %v: provider calls", latency, ttl), "1", fmt.Sprint(calls), ok})
	return nil
}

func commands(ctx context.Context, e *env) error {
	srv, err := redistest.StartSingle(redistest.Config{})
	if err != nil {
		return err
	}
	defer srv.Close()
	count := func(replicas, callers int) (float64, error) {
		results, err := rounds(ctx, srv.URL(), min(e.rounds, 5), bench.Plan{
			Source: bench.SourceBellwether, Replicas: replicas, Callers: callers, Latency: providerLatency, Profile: "strict",
		})
		if err != nil {
			return 0, err
		}
		return medianOf(results, func(r bench.Result) float64 { return float64(r.RedisCommands) }), nil
	}
	sent := map[int]float64{}
	fleets := []int{2, 8, 32}
	for _, n := range fleets {
		if sent[n], err = count(n, fewCallers); err != nil {
			return err
		}
	}
	slope := (sent[32] - sent[2]) / 30
	e.print(row{"Redis commands a refresh at 2, 8, 32 replicas", fmt.Sprintf("≤ %d more a replica", perReplicaBar),
		fmt.Sprintf("%.0f, %.0f, %.0f: %.1f a replica", sent[2], sent[8], sent[32], slope), slope <= perReplicaBar})
	many, err := count(8, fleetCallers)
	if err != nil {
		return err
	}
	more := many - sent[8]
	e.print(row{fmt.Sprintf("the same at 8 replicas, %d callers in place of %d", 8*fleetCallers, 8*fewCallers), "none a caller",
		fmt.Sprintf("%.0f: %+.0f", many, more), more <= perCallerBar})
	return nil
}

// killed needs a new fleet for each round.
func killed(ctx context.Context, e *env) error {
	srv, err := redistest.StartSingle(redistest.Config{})
	if err != nil {
		return err
	}
	defer srv.Close()
	var late []float64
	for range e.rounds {
		h, err := bench.OpenHerd(ctx, srv.URL(), bench.Plan{
			Source: bench.SourceBellwether, Replicas: fleetReplicas, Callers: fewCallers, Latency: 100 * time.Millisecond,
			Profile: "zoho", KillHolder: true,
			Times: bench.Times{CallTimeout: shortCallTimeout, CommitBudget: 2 * time.Second, LockTTL: lockTTL, MaxHold: 14 * time.Second},
		})
		if err != nil {
			return err
		}
		r, err := h.Round(ctx)
		if err = errors.Join(err, h.Close(ctx)); err != nil {
			return err
		}
		if err := r.Check(); err != nil {
			return err
		}
		late = append(late, float64(r.Story.NextCall-r.Story.LockLeft))
	}
	mid := time.Duration(median(late))
	e.print(row{"holder killed, reusable profile: next call after its lock", fmt.Sprintf("≤ %v", killedBar),
		fmt.Sprintf("%v, most %v", mid.Round(100*time.Microsecond), time.Duration(slices.Max(late)).Round(100*time.Microsecond)), mid <= killedBar})
	return nil
}
