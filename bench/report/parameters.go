package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A dimension is a parameter along which a fleet can grow.
type dimension struct {
	name string // as in the JSON form
	of   func(*Parameters) *int
}

var dimensions = []dimension{
	{"replicas", func(p *Parameters) *int { return &p.Replicas }},
	{"callers", func(p *Parameters) *int { return &p.Callers }},
	{"tokens", func(p *Parameters) *int { return &p.Tokens }},
	{"masters", func(p *Parameters) *int { return &p.Masters }},
}

// title is that of its axis.
func (d dimension) title() string {
	if d.name == "masters" {
		return "masters (1: no Cluster)"
	}
	return d.name
}

func (d dimension) value(p Parameters) int { return *d.of(&p) }

// without returns p with the dimension left open.
func (d dimension) without(p Parameters) Parameters {
	*d.of(&p) = 0
	if d.name == "masters" && (p.Redis == "single" || p.Redis == "cluster") {
		p.Redis = "" // the number says which of the two it is
	}
	return p
}

// setting is p without the number of rounds: more of them say the same more surely.
func (p Parameters) setting() Parameters {
	p.Rounds = 0
	return p
}

// lasts is for how long callers arrive.
func (p Parameters) lasts() time.Duration { return time.Duration(p.Seconds * float64(time.Second)) }

// latency is what the provider takes.
func (p Parameters) latency() time.Duration {
	return time.Duration(p.LatencyMS * float64(time.Millisecond))
}

// pairs returns name and value of what is set, in a fixed order, rounds apart.
func (p Parameters) pairs() (pairs [][2]string) {
	add := func(set bool, name, value string) {
		if set {
			pairs = append(pairs, [2]string{name, value})
		}
	}
	for _, d := range dimensions {
		n := d.value(p)
		add(n != 0, d.name, strconv.Itoa(n))
	}
	add(p.Rate != 0, "rate", strconv.FormatFloat(p.Rate, 'f', -1, 64))
	add(p.Seconds != 0, "for", p.lasts().String())
	add(p.LatencyMS != 0, "latency", p.latency().String())
	add(p.Profile != "", "profile", p.Profile)
	add(p.Redis != "", "redis", p.Redis)
	return pairs
}

// String says what was asked for in a phrase; it is blank for nothing.
func (p Parameters) String() string {
	var parts []string
	add := func(set bool, format string, args ...any) {
		if set {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(p.Replicas != 0, "%s", plural(p.Replicas, "replica", "replicas"))
	each := ""
	if p.Replicas != 0 {
		each = " in each"
	}
	add(p.Callers != 0, "%s%s", plural(p.Callers, "caller", "callers"), each)
	add(p.Tokens != 0, "%s", plural(p.Tokens, "token", "tokens"))
	add(p.Masters != 0, "%s", plural(p.Masters, "Redis master", "Redis masters"))
	add(p.Rate != 0, "%s arrivals a second", number(p.Rate))
	add(p.Seconds != 0, "for %v", p.lasts())
	add(p.LatencyMS != 0, "provider takes %v", p.latency())
	add(p.Profile != "", "profile %s", clean(p.Profile))
	add(p.Redis != "", "Redis %s", clean(p.Redis))
	add(p.Rounds != 0, "%s", plural(p.Rounds, "round", "rounds"))
	return strings.Join(parts, ", ")
}
