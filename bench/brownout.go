package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/oauthtest"
)

var brownoutScenario = Scenario{
	Name:     "brownout",
	About:    "the provider throttles, then errs, then is slow, then is well again: once while the tokens live, once after their end",
	Sources:  []Source{SourceBellwether, SourceShared, SourceRedislockLinear},
	Usual:    []Source{SourceBellwether, SourceShared, SourceRedislockLinear},
	Defaults: Settings{Replicas: 8, Tokens: 4, Rounds: 1, Rate: 400, For: 12 * time.Second, Latency: 50 * time.Millisecond, Profile: "reusable"},
	check:    brownoutAllows,
	run:      runBrownout,
}

// brownoutTimes make cooldowns and recoveries short enough for a load of seconds.
var brownoutTimes = Times{
	CallTimeout:  1500 * time.Millisecond,
	CommitBudget: 1500 * time.Millisecond,
	LockTTL:      2 * time.Second,
	MaxHold:      6 * time.Second,
	CooldownBase: 500 * time.Millisecond,
	CooldownCap:  time.Second,
}

const (
	retryAfter = time.Second // of the throttle: the least that a header can say
	slowPoll   = time.Second // refresh's default
	// cooldownJitter is how much longer a cooldown may be than what was asked for.
	cooldownJitter = 1.25
	// spareLife is how long tokens outlive the trouble. x/oauth2 takes a token for ended
	// 10 s before it ends, and so meets the trouble.
	spareLife = 6 * time.Second

	// windowLives is the life of a token in times of what is left of it, when every
	// replica is to want to refresh it ahead: the window is a quarter of a life below 20
	// minutes, and up to 30 % narrower in one replica than in another.
	windowLives = 6.5

	livingWaitBar = 25.0 // ms, p99: nobody waits for a refresh ahead of its time
	fastFailBar   = 10.0 // ms, p50 of failed callers: told from memory, not by the provider
)

// A spell is a time in which the provider does one thing.
type spell struct {
	name   string
	fault  oauthtest.Fault
	length time.Duration
	// least is the shortest time between two calls for one token.
	least []time.Duration
}

// spells is the trouble, of a length. A 5xx and a call that gets no answer
// have an unknown outcome: the refresh token may be spent. A provider that lets it be
// used again meets both. For one that rotates, a second such outcome condemns the
// row as rotation_lost, by design; it meets one of them, and the row recovers by a single
// attempt, no sooner than CallTimeout + CommitBudget after the first began.
func spells(profile string, length time.Duration) []spell {
	doubling := []time.Duration{brownoutTimes.CooldownBase, brownoutTimes.CooldownCap}
	throttled := spell{"throttled", oauthtest.Throttle(retryAfter), length / 3, []time.Duration{retryAfter}}
	erring := spell{"erring", oauthtest.ServerError(503), length / 3, doubling}
	slow := spell{"slow", oauthtest.Fault{Name: "slow", Latency: 3 * brownoutTimes.CallTimeout}, length / 3, doubling}
	if profile == "reusable" {
		return []spell{throttled, erring, slow}
	}
	erring.length = min(erring.length, (brownoutTimes.CallTimeout+brownoutTimes.CommitBudget)/2)
	return []spell{erring, throttled}
}

// mostCalls is how many calls the cooldowns leave for one token in a spell of a length.
func (s spell) mostCalls(length time.Duration) int {
	n := 1
	for i := 0; ; i++ {
		length -= s.least[min(i, len(s.least)-1)]
		if length < 0 {
			return n
		}
		n++
	}
}

// freshBar is how long after its recovery the provider's answer is in Redis at the
// latest: a call under way gives up, its cooldown passes, a replica that serves a living
// token looks again, as it does once a slow poll, and another call is made. After an
// unknown outcome at a provider that rotates, that is also waited for.
func freshBar(profile string, latency time.Duration) time.Duration {
	d := brownoutTimes.CallTimeout + time.Duration(cooldownJitter*float64(max(retryAfter, brownoutTimes.CooldownCap))) + slowPoll + latency + 250*time.Millisecond
	if profile != "reusable" {
		d += brownoutTimes.CommitBudget
	}
	return d
}

func brownoutAllows(s Settings) error {
	if s.Profile == "zoho" {
		return invalid("use reusable, its kind of provider", "Zoho's quota of ten calls in ten minutes ends before the trouble does")
	}
	if least := s.wellAgain() + time.Second; s.For < least {
		return invalid(fmt.Sprintf("use %v or more", least), "a load of %v leaves no time for trouble and recovery", s.For)
	}
	return nil
}

func runBrownout(ctx context.Context, b *bout) ([]report.Run, error) {
	runs := make([]report.Run, len(b.sources))
	for i, s := range b.sources {
		runs[i] = b.newRun(s)
	}
	err := b.brownouts(ctx, runs)
	if err != nil {
		runs = measured(runs)
	}
	if ours := find(runs, SourceBellwether); ours != nil {
		if _, whole := ours.Metric(partLiving + "_arrivals"); whole { // a round, of both parts
			checkBrownout(ours, b)
		}
	}
	return runs, err
}

func (b *bout) brownouts(ctx context.Context, runs []report.Run) error {
	for round := 1; round <= b.Rounds; round++ {
		for i, s := range b.turn(round) {
			begun := time.Now()
			for _, part := range []string{partEnded, partLiving} { // the latter's picture stays
				l, t, err := b.brownout(ctx, s, part, round)
				if err != nil {
					return fmt.Errorf("%s: %w", s, err)
				}
				t.addTo(&runs[i], part, l)
				b.say("brownout, round %d of %d, %s, %s tokens: %v; all fresh %v after the recovery",
					round, b.Rounds, s, part, l, t.fresh.Round(time.Millisecond))
			}
			runs[i].Seconds += time.Since(begun).Seconds()
		}
	}
	return nil
}

// wellAgain is the end of the load, in which the provider is well.
func (s Settings) wellAgain() time.Duration { return freshBar(s.Profile, s.Latency) + time.Second }

// The parts, as the names of metrics begin.
const (
	partLiving = "living"
	partEnded  = "ended"
)

// A trouble is one part of one round.
type trouble struct {
	calls     int // most that the cooldowns leave, of all tokens
	made      int // by the provider's count, from the begin of the trouble on
	fresh     time.Duration
	notFresh  int // tokens that were never renewed
	spells    []spell
	begun     time.Time
	recovered time.Time
}

func (b *bout) brownout(ctx context.Context, s Source, part string, round int) (_ *loaded, _ *trouble, err error) {
	p := b.plan(s)
	p.Times, p.Expiry = brownoutTimes, expiryNone
	h, err := openHerd(ctx, b.redis, p)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	st := h.stage
	if _, err := st.warm(ctx); err != nil {
		return nil, nil, err
	}
	t := &trouble{spells: spells(b.Profile, b.For-b.wellAgain())}
	// The trouble is there before a replica could want to refresh.
	calls := st.server.Calls()
	t.begun = time.Now()
	st.server.FaultEvery(&t.spells[0].fault)
	if part == partEnded {
		st.Expiry = expiryAtOnce
		err = st.expire(ctx)
	} else {
		err = st.shorten(ctx, t.length()+spareLife, windowLives)
	}
	if err != nil {
		return nil, nil, err
	}
	l, err := st.underLoad(ctx, round, b.Rate, b.For, func(ctx context.Context, release time.Time) error {
		return t.pass(ctx, st, release, release.Add(b.For))
	})
	if err != nil {
		return nil, nil, err
	}
	t.made = st.server.Calls() - calls
	return l, t, nil
}

func (t *trouble) length() time.Duration {
	var sum time.Duration
	for _, s := range t.spells {
		sum += s.length
	}
	return sum
}

// pass goes through the spells, and then waits until every token is another one.
func (t *trouble) pass(ctx context.Context, st *stage, release, end time.Time) error {
	was, err := st.ground.accessTokens(ctx, st.Source, st.rows)
	if err != nil {
		return err
	}
	begun, due := t.begun, release
	for _, s := range t.spells {
		st.server.FaultEvery(&s.fault)
		due = due.Add(s.length)
		if err := sleep(ctx, time.Until(due)); err != nil {
			return err
		}
		t.calls += s.mostCalls(time.Since(begun)) * len(st.rows)
		begun = time.Now()
	}
	st.server.FaultEvery(nil)
	t.recovered = time.Now()
	t.calls += 2 * len(st.rows) // one that was under way, and the good one
	for {
		now, err := st.ground.accessTokens(ctx, st.Source, st.rows)
		if err != nil {
			return err
		}
		t.fresh, t.notFresh = time.Since(t.recovered), 0
		for i := range now {
			if now[i].Equal(was[i]) {
				t.notFresh++
			}
		}
		if t.notFresh == 0 || time.Now().After(end.Add(time.Second)) {
			return nil
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func (t *trouble) addTo(run *report.Run, part string, l *loaded) {
	// The calls that were made before the first caller was due count, too.
	l.Provider.Calls = t.made
	l.addTo(run, part)
	run.Add(part+"_calls_beyond_cooldown", "calls", report.Less, float64(max(0, t.made-t.calls)))
	run.Add(part+"_not_fresh", "tokens", report.Less, float64(t.notFresh))
	run.Add(part+"_fresh_after", "ms", report.Less, milliseconds(t.fresh))
	if p := l.Failed.Percentiles(); p != nil {
		run.Add(part+"_failed_wait_p50", "ms", report.Less, p.P50)
		run.Add(part+"_failed_wait_p99", "ms", report.Less, p.P99)
	}
}

// checkBrownout: while a token lives nobody notices; when it has ended nobody queues; and
// the provider is asked as often as its cooldowns allow, however many ask us.
func checkBrownout(run *report.Run, b *bout) {
	never(run, "living_failed_callers", "failed callers while the tokens live")
	for _, part := range []string{partLiving, partEnded} {
		never(run, part+"_calls_beyond_cooldown", "provider calls beyond what cooldowns leave, tokens "+part)
		never(run, part+"_replays", "replays of a spent refresh token, tokens "+part)
		never(run, part+"_grants_lost", "grants lost, tokens "+part)
		never(run, part+"_not_fresh", "tokens not renewed after the recovery, tokens "+part)
		medianAtMost(run, part+"_fresh_after", "renewed after the recovery, tokens "+part, milliseconds(freshBar(b.Profile, b.Latency)))
		medianAtMost(run, part+"_dropped", "arrivals that the machine could not begin, tokens "+part, 0)
	}
	medianAtMost(run, "living_wait_p99", "wait p99 while the tokens live", livingWaitBar)
	if slices.ContainsFunc(run.Metrics, func(m report.Metric) bool { return m.Name == "ended_failed_wait_p50" }) {
		medianAtMost(run, "ended_failed_wait_p50", "failed callers are told at once, p50", fastFailBar)
		medianAtMost(run, "ended_failed_wait_p99", "and within one call, p99", milliseconds(brownoutTimes.CallTimeout+250*time.Millisecond))
	}
}
