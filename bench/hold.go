package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/internal/cost"
	"github.com/bellwether-go/bellwether/bench/internal/host"
	"github.com/bellwether-go/bellwether/bench/internal/sample"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/refresh"
)

var holdScenario = Scenario{
	Name:     "hold",
	About:    "one replica holds many tokens in its memory: their bytes, the cost of a hit on one of them, and the CPU while nobody asks",
	Sources:  []Source{SourceBellwether, SourceReuse},
	Usual:    []Source{SourceBellwether, SourceReuse},
	Defaults: Settings{Tokens: 100_000, Rounds: 4, For: 5 * time.Second},
	run:      runHold,

	AnyMasters: true,
	fills:      true,
	outlasted:  true,
}

const (
	idleBar  = 1.0     // % of a core
	heldHits = 300_000 // rows drawn for a round

	// A round is the median of so many samples of each kind of call.
	heldSamples = 5
	heldSample  = 40 * time.Millisecond
	leastHeld   = 10_000 // tokens of which bytes are told: of fewer, the rest of a process is what takes them
)

func runHold(ctx context.Context, b *bout) (_ []report.Run, err error) {
	g, err := openGround(ctx, b.redis)
	if err != nil {
		return nil, err
	}
	g.disposable = b.owned
	defer func() { err = errors.Join(err, g.close(ctx)) }()
	if err := b.fillSamples(ctx, g); err != nil {
		return nil, err
	}
	runs := make([]report.Run, len(b.sources))
	fleets := make([]*fleet, len(b.sources))
	defer func() {
		for _, f := range fleets {
			if f != nil {
				f.stop()
			}
		}
	}()
	for i, s := range b.sources {
		runs[i] = b.newRun(s)
		begun := time.Now()
		if fleets[i], err = b.startHolder(ctx, g, s); err != nil {
			return nil, err
		}
		h, err := hold(ctx, fleets[i], order{Do: orderReadIn})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		runs[i].Seconds += time.Since(begun).Seconds()
		if b.Tokens >= leastHeld {
			runs[i].Add("heap_per_token", "bytes", report.Less, h.Heap/float64(b.Tokens))
		}
		if b.Tokens >= leastHeld && s == SourceBellwether && h.CPU >= 0 {
			runs[i].Add("cpu_per_read", "µs", report.Less, h.CPU.Seconds()*1e6/float64(b.Tokens))
		}
		b.say("hold, %s: %d tokens in %.1f MiB", s, b.Tokens, h.Heap/(1<<20))
	}
	for round := 1; round <= b.Rounds; round++ {
		for i, s := range b.turn(round) {
			begun := time.Now()
			h, err := hold(ctx, fleets[i], order{Do: orderHold, For: b.For, Round: round})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s, err)
			}
			runs[i].Seconds += time.Since(begun).Seconds()
			h.addTo(&runs[i], b.For)
			cpu := "CPU is not told here"
			if h.CPU >= 0 {
				cpu = fmt.Sprintf("%v of CPU in %v without callers", h.CPU, b.For)
			}
			b.say("hold, round %d of %d, %s: %.0f ns a call by id, %s", round, b.Rounds, s, h.Get, cpu)
		}
	}
	if ours := find(runs, SourceBellwether); ours != nil {
		checkHold(ours)
	}
	return runs, nil
}

// checkHold: what is held costs nothing while nobody asks.
func checkHold(run *report.Run) {
	never(run, "hit_commands", "Redis commands of hits, re-reads after a new subscription apart")
	if _, known := run.Metric("cpu_idle"); known {
		medianAtMost(run, "cpu_idle", "CPU while nobody asks, % of a core", idleBar)
	}
}

// startHolder starts the replica of a source. It re-reads nothing by age, so that a hit is
// a hit however long the others take; cpu_per_read is what a re-read costs.
func (b *bout) startHolder(ctx context.Context, g *ground, s Source) (*fleet, error) {
	rows := make([]string, b.Tokens)
	for i := range rows {
		rows[i] = sample.ID(i)
	}
	return startFleet(ctx, 1, setup{Source: s, Redis: g.url, Namespace: g.namespace, Keyset: g.keyset, Rows: rows, L1Size: b.Tokens, MaxStale: -1,
		Provider: providerSpec{Zoho: true, Name: "zoho", Base: "http://127.0.0.1:1"}})
}

// hold gives the order to the one replica.
func hold(ctx context.Context, f *fleet, o order) (*held, error) {
	if err := f.tell(o); err != nil {
		return nil, err
	}
	all, err := f.await(ctx, newsHeld, nil)
	if err != nil {
		return nil, err
	}
	return all[0].Held, nil
}

// held is what a replica measured of the tokens that it holds.
type held struct {
	Heap  float64       // bytes that they take
	CPU   time.Duration // of orderReadIn, or of the idle time of orderHold; negative: not told here
	Get   float64       // ns of a call by id
	Token float64       // ns of a call of a TokenSource
	// Commands that all calls so far have sent to Redis beyond one read of each token, and
	// another one for each new subscription.
	Commands int64
}

func (h *held) addTo(run *report.Run, idle time.Duration) {
	run.Add("get", "ns", report.Less, h.Get)
	run.Add("token", "ns", report.Less, h.Token)
	if run.Subject == string(SourceBellwether) { // others know no Redis
		run.Add("hit_commands", "commands", report.Less, float64(h.Commands))
	}
	if h.CPU >= 0 {
		run.Add("cpu_idle", "%", report.Less, 100*h.CPU.Seconds()/idle.Seconds())
	}
}

// A holder is a source that is measured by what it holds.
type holder interface {
	source
	letGo(ctx context.Context) error        // of all it holds; its connections are open then
	begin() error                           // to hold, after letGo
	get(ctx context.Context, row int) error // by its id
	tokenSource(row int) oauth2.TokenSource
}

// readIn reads every token into memory. What the bytes are told of begins empty, with all
// connections that it will have.
func (w *worker) readIn(ctx context.Context) (news, error) {
	s, ok := w.source.(holder)
	if !ok {
		return news{}, fmt.Errorf("bench: %s holds no tokens", w.setup.Source)
	}
	if err := s.letGo(ctx); err != nil {
		return news{}, err
	}
	w.held = make([]oauth2.TokenSource, len(w.setup.Rows))
	w.meter.reset(time.Now())
	before, used := heapMiB(), host.CPU()
	if err := s.begin(); err != nil {
		return news{}, err
	}
	if err := each(ctx, len(w.setup.Rows), func(row int) error { return s.get(ctx, row) }); err != nil {
		return news{}, err
	}
	h := &held{CPU: cpuSince(used)}
	h.Heap = (heapMiB() - before) * (1 << 20)
	for i := range w.held {
		w.held[i] = s.tokenSource(i)
	}
	return news{Word: newsHeld, Held: h}, nil
}

// cpuSince is the CPU since host.CPU was used; negative where it is not told.
func cpuSince(used time.Duration) time.Duration {
	if used == 0 {
		return -1
	}
	return host.CPU() - used
}

// hold measures hits on tokens drawn at random, and the CPU while nobody asks.
func (w *worker) hold(ctx context.Context, o order) (news, error) {
	s, ok := w.source.(holder)
	if !ok || w.held == nil {
		return news{}, fmt.Errorf("bench: %s holds no tokens", w.setup.Source)
	}
	r := rand.New(rand.NewPCG(uint64(o.Round), 0))
	rows := make([]int, heldHits)
	for i := range rows {
		rows[i] = r.IntN(len(w.setup.Rows))
	}
	runtime.GC() // so that the collector has nothing to do while hits are timed
	var failed error
	hits := func(call func(row int) error) func() bool {
		next := 0
		return func() bool {
			err := call(rows[next])
			if next++; next == len(rows) {
				next = 0
			}
			if err != nil {
				failed = err
			}
			return err == nil
		}
	}
	costs, err := cost.Median(ctx, 1, heldSamples, heldSample,
		hits(func(row int) error { return s.get(ctx, row) }),
		hits(func(row int) error {
			_, err := w.held[row].Token()
			return err
		}))
	if err != nil {
		return news{}, errors.Join(err, failed)
	}
	h := &held{Get: costs[0], Token: costs[1], Commands: w.meter.unexplained(len(w.setup.Rows))}
	runtime.GC() // so that what the calls left behind is not collected in the idle time
	used := host.CPU()
	if err := sleep(ctx, o.For); err != nil {
		return news{}, err
	}
	h.CPU = cpuSince(used)
	return news{Word: newsHeld, Held: h}, nil
}

// letGo implements holder. It waits until the store's subscription stands: what is read
// before is read again.
func (r *bellwetherReplica) letGo(ctx context.Context) error {
	for r.meter.subscriptions() == 0 {
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	if err := r.refresher.Close(); err != nil {
		return err
	}
	r.refresher = nil
	return eachOf(ctx, loaders, loaders, func(i int) error {
		_, err := r.store.Peek(ctx, r.rows[i%len(r.rows)], "")
		return err
	})
}

// begin implements holder.
func (r *bellwetherReplica) begin() (err error) {
	r.refresher, err = refresh.New(r.store, r.cfg)
	return err
}

func (r *bellwetherReplica) get(ctx context.Context, row int) error {
	_, err := r.refresher.Get(ctx, r.rows[row], refresh.Want{})
	return err
}

func (r *bellwetherReplica) tokenSource(row int) oauth2.TokenSource {
	return r.refresher.Source(r.rows[row])
}

// A reuseReplica has an oauth2.ReuseTokenSource for each row, in a sync.Map. It reads no
// store.
type reuseReplica struct {
	rows []string
	held sync.Map // of oauth2.TokenSource by id
}

func openReuse(_ context.Context, s setup, _ *meter) (source, error) {
	return &reuseReplica{rows: s.Rows}, nil
}

func (r *reuseReplica) letGo(context.Context) error {
	r.held.Clear()
	return nil
}

func (r *reuseReplica) begin() error { return nil }

func (r *reuseReplica) get(_ context.Context, row int) error {
	_, err := r.tokenSource(row).Token()
	return err
}

func (r *reuseReplica) tokenSource(row int) oauth2.TokenSource {
	id := r.rows[row]
	if s, ok := r.held.Load(id); ok {
		return s.(oauth2.TokenSource)
	}
	t := plainToken(sample.Token(row, time.Now()))
	t.RefreshToken = "" // what Bellwether hands out has none either
	s, _ := r.held.LoadOrStore(id, oauth2.ReuseTokenSource(t, nil))
	return s.(oauth2.TokenSource)
}

func (r *reuseReplica) token(ctx context.Context, row int) (bellwether.Secret, error) {
	t, err := r.tokenSource(row).Token()
	if err != nil {
		return bellwether.Secret{}, err
	}
	return bellwether.NewSecret(t.AccessToken), nil
}

func (r *reuseReplica) warm(context.Context) error { return nil }

func (r *reuseReplica) close() {}
