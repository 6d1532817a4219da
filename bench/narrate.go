package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
)

// NewText returns a Narrator that tells a run in plain words. On a terminal the
// waiting herd is one line that moves.
func NewText(w io.Writer, terminal bool) Narrator {
	return &textNarrator{w: w, terminal: terminal, begun: time.Now()}
}

type textNarrator struct {
	w        io.Writer
	terminal bool
	begun    time.Time
	results  []Result
	latency  time.Duration
	moving   bool // the last line is to be written over
}

var _ Narrator = (*textNarrator)(nil)

const (
	eraseLine = "\r\x1b[K"
	wrapAt    = 84
)

func (t *textNarrator) print(format string, args ...any) {
	if t.moving {
		fmt.Fprint(t.w, eraseLine)
		t.moving = false
	}
	fmt.Fprintf(t.w, format, args...)
}

func (t *textNarrator) Begin(o Options) {
	t.latency = o.Latency
	where := "an embedded Redis"
	if o.Redis != "" {
		where = "your Redis, in a namespace that is removed afterwards"
	}
	t.print("%s\n", wrap(fmt.Sprintf("%d replica processes with %d callers each share one OAuth grant over %s.", o.Replicas, o.Callers, where), ""))
	t.print("%s\n", wrap(profileText(o.Profile, o.Latency), ""))
}

// profileText says what the provider does.
func profileText(profile string, latency time.Duration) string {
	text := fmt.Sprintf("The provider runs on loopback and takes %v for a call. ", latency)
	switch profile {
	case "strict":
		text += "It is strict: each refresh gives a new refresh token, and a second use of an old one revokes the whole grant."
	case "grace":
		text += fmt.Sprintf("Each refresh gives a new refresh token; the old one stays usable for %v.", grace)
	case "until_successor_used":
		text += "Each refresh gives a new refresh token; the old one stays usable until the new one is used."
	case "zoho":
		text += "It speaks as Zoho does: the refresh token stays the same."
	default:
		text += "The refresh token stays the same."
	}
	return text
}

func (t *textNarrator) Scene(m Mode) {
	t.print("\n%s\n", map[Mode]string{
		ModeWithout:      "1. Without Bellwether: x/oauth2 over a shared store, which each replica reads before it refreshes",
		ModeBellwether:   "2. With Bellwether",
		ModeHolderKilled: "3. With Bellwether, and the replica that leads is killed (SIGKILL) in the middle of its call\n   (the provider now keeps refresh tokens valid, as Zoho does)",
	}[m])
}

func (t *textNarrator) Say(text string) {
	t.print("  %5.1f s  %s\n", time.Since(t.begun).Seconds(), text)
}

func (t *textNarrator) Live(l Live) {
	if !t.terminal {
		return
	}
	fmt.Fprintf(t.w, "%s  %5.1f s  %d of %d callers have returned, %s, %d under way",
		eraseLine, time.Since(t.begun).Seconds(), l.Returned, l.Callers, plural(l.Calls, "provider call"), l.InFlight)
	t.moving = true
}

func (t *textNarrator) Done(r Result) {
	t.Say(fmt.Sprintf("all callers have returned; the provider saw %s", plural(r.ProviderCalls, "call")))
	t.results = append(t.results, r)
	switch r.Mode {
	case ModeBellwether:
		t.print("\n%s", table(t.results[0], r))
		t.print("\n%s\n%s\n", wrap(explainWithout(t.results[0]), "Without: "), wrap(explainWith(r), "With: "))
	case ModeHolderKilled:
		t.print("\n%s\n", wrap(explainKilled(r), ""))
	}
}

// table sets two results side by side.
func table(without, with Result) string {
	rows := [][3]string{{"", "without", "with Bellwether"}}
	row := func(name string, cell func(Result) string) {
		rows = append(rows, [3]string{name, cell(without), cell(with)})
	}
	row("provider calls", func(r Result) string { return fmt.Sprint(r.ProviderCalls) })
	row("replays of a spent token", func(r Result) string { return fmt.Sprint(r.Replays) })
	row("failed callers", func(r Result) string { return fmt.Sprintf("%d of %d", r.FailedCallers, r.Survivors()) })
	row("grant", func(r Result) string {
		if r.GrantAlive {
			return "alive"
		}
		return "revoked"
	})
	for _, p := range []struct {
		name string
		of   func(report.Percentiles) float64
	}{
		{"p50", func(p report.Percentiles) float64 { return p.P50 }},
		{"p99", p99},
		{"max", func(p report.Percentiles) float64 { return p.Max }},
	} {
		row("extra wait "+p.name, func(r Result) string { return cell(r.ExtraWait, p.of) })
	}
	row("hand-over p99", func(r Result) string { return cell(r.Handover, p99) })
	row("Redis commands", func(r Result) string { return fmt.Sprint(r.RedisCommands) })
	var widths [3]int
	for _, cells := range rows {
		for i, c := range cells {
			widths[i] = max(widths[i], len(c))
		}
	}
	var b strings.Builder
	for _, c := range rows {
		fmt.Fprintf(&b, "  %-*s  %*s  %*s\n", widths[0], c[0], widths[1], c[1], widths[2], c[2])
	}
	b.WriteString("  (extra wait: beyond the provider's own time, failed callers with all of their wait;\n" +
		"  hand-over: from sending the new token to Redis to a caller's return)\n")
	return b.String()
}

func p99(p report.Percentiles) float64 { return p.P99 }

func cell(p *report.Percentiles, of func(report.Percentiles) float64) string {
	if p == nil {
		return "-"
	}
	return inWords(of(*p))
}

// inWords writes milliseconds with two or three digits.
func inWords(ms float64) string {
	switch {
	case ms >= 1000:
		return fmt.Sprintf("%.2f s", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// explainWithout says in a sentence what happened without Bellwether.
func explainWithout(r Result) string {
	switch {
	case !r.GrantAlive:
		return fmt.Sprintf("every replica read the same expired token and sent the same refresh token. "+
			"One use was served; %s looked like theft, so the provider revoked the grant and refuses every token made from it%s.",
			plural(r.Replays, "later use"), commonest(r.Story.Failures))
	case r.FailedCallers > 0:
		return fmt.Sprintf("%s for one token, and %s failed%s.",
			plural(r.ProviderCalls, "call"), plural(r.FailedCallers, "caller"), commonest(r.Story.Failures))
	case r.ProviderCalls > 1:
		return fmt.Sprintf("each replica refreshed for itself, %s for one token; this provider forgives that, its quotas do not.",
			plural(r.ProviderCalls, "call"))
	}
	return "one replica was early enough for the others to find its token; nothing but luck makes that so."
}

// commonest names what most failed callers were told.
func commonest(failures map[string]int) string {
	best := ""
	for text, n := range failures {
		if n > failures[best] || n == failures[best] && text < best {
			best = text
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (%s: %s)", plural(failures[best], "caller"), best)
}

// explainWith says in a sentence what happened with Bellwether.
func explainWith(r Result) string {
	if r.Check() != nil {
		return "this is not what Bellwether promises" + commonest(r.Story.Failures) + "."
	}
	return fmt.Sprintf("one replica took the lock and called once; the %s of the other replicas waited for its message and use its token.",
		plural((r.Replicas-1)*r.Callers, "caller"))
}

// explainKilled tells how the fleet went on.
func explainKilled(r Result) string {
	state := "the grant is alive"
	if !r.GrantAlive {
		state = "the grant is dead"
	}
	return fmt.Sprintf("Replica %d died with its call unanswered. Its lock ended after %v; another replica found the mark that the dead one "+
		"had left before it called, which this provider (as Zoho) allows to be tried again, and called %v after the kill. "+
		"%s in all, %d of %d callers of the surviving replicas failed, %s.",
		r.Story.Killed, r.Story.LockLeft.Round(10*time.Millisecond), r.Story.NextCall.Round(10*time.Millisecond),
		plural(r.ProviderCalls, "provider call"), r.FailedCallers, r.Survivors(), state)
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// wrap breaks text into lines, the first of which begins with head and the others
// with as much space.
func wrap(text, head string) string {
	var b strings.Builder
	line := head
	for i, word := range slices.Collect(strings.FieldsSeq(text)) {
		if i > 0 {
			if len(line)+1+len(word) > wrapAt {
				b.WriteString(line + "\n")
				line = strings.Repeat(" ", len(head))
			} else {
				line += " "
			}
		}
		line += word
	}
	return b.String() + line
}

// NewJSON returns a Narrator that prints each Result as one line of JSON.
func NewJSON(w io.Writer) Narrator { return jsonNarrator{json.NewEncoder(w)} }

type jsonNarrator struct{ enc *json.Encoder }

func (jsonNarrator) Begin(Options) {}
func (jsonNarrator) Scene(Mode)    {}
func (jsonNarrator) Say(string)    {}
func (jsonNarrator) Live(Live)     {}

// Done ignores a reader that has gone: the run goes on to clean up.
func (j jsonNarrator) Done(r Result) { _ = j.enc.Encode(r) }
