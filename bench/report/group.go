package report

import (
	"cmp"
	"slices"
)

// A scenarioGroup holds the runs of one scenario as they are shown: subjects beside
// each other, and subjects that grow. Every run is in at least one of these.
type scenarioGroup struct {
	name        string
	comparisons []block
	growths     []block
}

// A block is a set of runs of one scenario that differ in the subject, and in grows
// when that is set.
type block struct {
	parameters Parameters // what the runs share; no rounds when they differ in these
	grows      *dimension
	runs       []Run
}

// label names a run in its block.
func (b block) label(r Run) string {
	if b.grows == nil {
		return r.Subject
	}
	return r.Subject + ", " + plural(b.grows.value(r.Parameters), b.grows.name[:len(b.grows.name)-1], b.grows.name)
}

// metrics returns the metrics of all runs, without values, in order of appearance.
func (b block) metrics() (all []Metric) {
	for _, run := range b.runs {
		for _, m := range run.Metrics {
			if !slices.ContainsFunc(all, func(have Metric) bool { return have.Name == m.Name }) {
				m.Values = nil
				all = append(all, m)
			}
		}
	}
	return all
}

// subjects are those of a report in order of appearance. A subject's index is its
// colour.
func (r Report) subjects() (all []string) {
	for _, run := range r.Runs {
		if !slices.Contains(all, run.Subject) {
			all = append(all, run.Subject)
		}
	}
	return all
}

func (r Report) scenarios() []scenarioGroup {
	subjects := r.subjects()
	var groups []scenarioGroup
	for _, runs := range grouped(r.Runs, func(run Run) string { return run.Scenario }) {
		g := scenarioGroup{name: runs[0].Scenario}
		for _, d := range dimensions {
			g.growths = append(g.growths, growths(runs, d, subjects)...)
		}
		g.comparisons = comparisons(runs, g.growths)
		groups = append(groups, g)
	}
	return groups
}

// growths finds the runs of a subject that differ in one dimension and nothing else.
func growths(runs []Run, d dimension, subjects []string) (found []block) {
	for _, alike := range grouped(runs, func(r Run) Parameters { return d.without(r.Parameters.setting()) }) {
		var growing []Run
		for _, of := range grouped(alike, func(r Run) string { return r.Subject }) {
			of = slices.DeleteFunc(of, func(r Run) bool { return d.value(r.Parameters) == 0 })
			if slices.ContainsFunc(of, func(r Run) bool { return d.value(r.Parameters) != d.value(of[0].Parameters) }) {
				growing = append(growing, of...)
			}
		}
		if len(growing) == 0 {
			continue
		}
		slices.SortStableFunc(growing, func(a, b Run) int {
			return cmp.Or(
				cmp.Compare(slices.Index(subjects, a.Subject), slices.Index(subjects, b.Subject)),
				cmp.Compare(d.value(a.Parameters), d.value(b.Parameters)))
		})
		b := newBlock(growing)
		b.grows, b.parameters = &d, d.without(b.parameters)
		found = append(found, b)
	}
	return found
}

// comparisons returns a block for each setting that shows something which no growth
// does: the setting with most subjects, and those with a run that is in no growth.
func comparisons(runs []Run, growths []block) (found []block) {
	settings := grouped(runs, func(r Run) Parameters { return r.Parameters.setting() })
	in := func(r Run) (n int) {
		for _, g := range growths {
			if slices.ContainsFunc(g.runs, func(have Run) bool {
				return have.Subject == r.Subject && have.Parameters.setting() == r.Parameters.setting()
			}) {
				n++
			}
		}
		return n
	}
	size := func(of []Run) int { return len(grouped(of, func(r Run) string { return r.Subject })) }
	main := slices.MaxFunc(settings, func(a, b []Run) int {
		return cmp.Or(cmp.Compare(size(a), size(b)), cmp.Compare(in(a[0]), in(b[0])))
	})
	for _, of := range settings {
		if of[0].Parameters.setting() == main[0].Parameters.setting() ||
			slices.ContainsFunc(of, func(r Run) bool { return in(r) == 0 }) {
			found = append(found, newBlock(of))
		}
	}
	return found
}

func newBlock(runs []Run) block {
	b := block{parameters: runs[0].Parameters, runs: runs}
	for _, r := range runs {
		if r.Parameters.Rounds != b.parameters.Rounds {
			b.parameters.Rounds = 0
		}
	}
	return b
}

// grouped splits items by a key, in order of appearance.
func grouped[T any, K comparable](items []T, key func(T) K) (groups [][]T) {
	at := map[K]int{}
	for _, item := range items {
		k := key(item)
		i, ok := at[k]
		if !ok {
			i = len(groups)
			at[k], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], item)
	}
	return groups
}
