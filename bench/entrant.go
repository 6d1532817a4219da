package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
)

// An entrant is one source in a scenario of herds or loads.
type entrant struct {
	*bout
	plan herdPlan
	herd *herd // nil where each round has a fleet of its own
	run  report.Run
	// aside are rounds whose times do not count, but whose faults do: one that warms up,
	// and those that were dropped.
	aside  report.Run
	slow   int  // as in stage
	untold bool // its replicas are not told, however long they are given: it plays no more
}

// mostDropped is how often in a row a round may be dropped. Each time the replicas get
// twice the time to begin; the last one has 4 s.
const mostDropped = 4

// inTurn lets each source have its round in turn, so that all meet the same moods of the
// machine; round 0 warms up. Bellwether's rounds are checked. What was measured before an
// error comes along, checked.
func (b *bout) inTurn(ctx context.Context, plan func(Source) herdPlan, meet func(e *entrant, ctx context.Context, round int) error, check func(*report.Run)) ([]report.Run, error) {
	entrants := make([]*entrant, len(b.sources))
	for i, s := range b.sources {
		entrants[i] = &entrant{bout: b, plan: plan(s), run: b.newRun(s)}
	}
	err := b.rounds(ctx, entrants, meet)
	var runs []report.Run
	for _, e := range entrants {
		err = errors.Join(err, e.close(ctx))
		if e.plan.Source == SourceBellwether {
			e.check(check)
		}
		runs = append(runs, e.run)
	}
	if err != nil {
		runs = measured(runs)
	}
	return runs, err
}

func (b *bout) rounds(ctx context.Context, entrants []*entrant, meet func(e *entrant, ctx context.Context, round int) error) error {
	for _, e := range entrants {
		if err := e.open(ctx); err != nil {
			return err
		}
	}
	for round := range b.Rounds + 1 {
		for i, s := range b.turn(round) {
			if err := meet(entrants[i], ctx, round); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
	}
	return nil
}

// measured are the runs that have a value or a fault to tell.
func measured(runs []report.Run) []report.Run {
	return slices.DeleteFunc(runs, func(r report.Run) bool { return len(r.Metrics)+len(r.Checks) == 0 })
}

// open starts the fleet that all rounds share.
func (e *entrant) open(ctx context.Context) (err error) {
	if !e.plan.KillHolder {
		e.herd, err = openHerd(ctx, e.redis, e.plan)
	}
	return err
}

func (e *entrant) close(ctx context.Context) error {
	if e.herd == nil {
		return nil
	}
	return e.herd.close(ctx)
}

// meet adds a round of a herd. Round 0 warms the fleet up.
func (e *entrant) meet(ctx context.Context, round int) error {
	if round == 0 && e.plan.KillHolder {
		return nil
	}
	return e.count(ctx, round, e.round)
}

// count adds a round that is played. One that says nothing of times is dropped and
// repeated, until the machine is found to be too slow, or the replicas to be deaf: then a
// broken invariant says so, and the source plays no more.
func (e *entrant) count(ctx context.Context, round int, play func(context.Context) (Result, error)) error {
	if e.untold {
		return nil
	}
	for dropped, untold := 0, 0; ; dropped++ {
		begun := time.Now()
		r, err := play(ctx)
		if err != nil {
			return err
		}
		if round == 0 {
			e.add(&e.aside, r)
			return nil
		}
		why := r.Story.unfair()
		if why == "" {
			e.run.Seconds += time.Since(begun).Seconds()
			e.add(&e.run, r)
			e.run.Add("dropped_rounds", "rounds", report.Less, float64(dropped))
			e.run.Add("untold_rounds", "rounds", report.Less, float64(untold))
			e.say("%s, round %d of %d, %s: %d provider calls, %d failed callers",
				e.scenario.Name, round, e.Rounds, e.plan.Source, r.ProviderCalls, r.FailedCallers)
			return nil
		}
		e.add(&e.aside, r)
		if r.Story.Early > 0 {
			untold++
		}
		switch {
		case dropped < mostDropped:
		case r.Story.Late == 0:
			e.untold = true
			e.run.Checks = append(e.run.Checks, invariant("untold_rounds", fmt.Sprintf("callers served before their replica was told, %v after the expiry", told<<e.slow), false, "0", r.Story.Early))
			e.say("%s, round %d of %d, %s: %s, also when given %v", e.scenario.Name, round, e.Rounds, e.plan.Source, why, told<<e.slow)
			return nil
		default:
			return fmt.Errorf("bench: this machine is too slow for so many processes: %s, also when given %v to begin", why, lead<<e.slow)
		}
		e.slow = min(e.slow+1, mostDropped)
		e.say("%s, round %d of %d, %s: dropped and repeated: %s", e.scenario.Name, round, e.Rounds, e.plan.Source, why)
	}
}

// round is one of the fleet, or of a fleet for itself.
func (e *entrant) round(ctx context.Context) (_ Result, err error) {
	h := e.herd
	if h == nil {
		if h, err = openHerd(ctx, e.redis, e.plan); err != nil {
			return Result{}, err
		}
		defer func() { err = errors.Join(err, h.close(ctx)) }()
	}
	h.stage.slow = e.slow
	return h.round(ctx)
}

func (e *entrant) add(run *report.Run, r Result) {
	addResult(run, r)
	if e.plan.SignIn {
		run.Add("sign_ins_lost", "rows", report.Less, float64(r.Story.SignInsLost))
	}
}

// checkTold: a message reaches all replicas in its time. It is a bar: a busy machine drops
// a round now and then, and only one that stays deaf breaks an invariant.
func checkTold(run *report.Run) {
	m, measured := run.Metric("untold_rounds")
	if !measured {
		return
	}
	_, most := m.Range()
	run.Checks = append(run.Checks, bar("untold_rounds", fmt.Sprintf("rounds in which a replica was not told within %v", told), most == 0, "0", number(most)))
}

// unfair says why a round says nothing of times; blank when it does.
func (s Story) unfair() string {
	switch {
	case s.Late > 0:
		return fmt.Sprintf("%d replicas read the order after their callers were due", s.Late)
	case s.Early > 0:
		return fmt.Sprintf("%d callers were served before their replica was told that the token had ended", s.Early)
	}
	return ""
}

// check checks what was measured, and adds what the rounds have broken that were set
// aside.
func (e *entrant) check(check func(*report.Run)) {
	if len(e.run.Metrics) > 0 {
		check(&e.run)
	}
	if len(e.aside.Metrics) == 0 {
		return
	}
	check(&e.aside)
	for _, c := range e.aside.Checks {
		if c.Kind == report.Invariant && !c.OK {
			c.Name += ", in a round whose times do not count"
			e.run.Checks = append(e.run.Checks, c)
		}
	}
}
