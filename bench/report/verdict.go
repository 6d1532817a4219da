package report

import (
	"cmp"
	"fmt"
	"slices"
)

// count returns how many checks of a kind there are and how many of them hold.
func (r Report) count(kind CheckKind) (hold, all int) {
	for _, run := range r.Runs {
		for _, c := range run.Checks {
			if c.Kind == kind {
				all++
				if c.OK {
					hold++
				}
			}
		}
	}
	return hold, all
}

// verdict says in a line what became of the checks, and first whether something was not
// measured.
func (r Report) verdict() string {
	text := r.invariants() + "; " + r.bars() + "."
	if r.Incomplete != "" {
		text = "INCOMPLETE (" + clean(r.Incomplete) + "): " + text
	}
	return text
}

func (r Report) invariants() string {
	switch hold, all := r.count(Invariant); {
	case all == 0:
		return "no invariant was checked"
	case hold == all:
		return "all " + plural(all, "invariant holds", "invariants hold")
	default:
		return fmt.Sprintf("%d of %s BROKEN", all-hold, plural(all, "invariant is", "invariants are"))
	}
}

func (r Report) bars() string {
	switch hold, all := r.count(Bar); {
	case all == 0:
		return "no bar was set"
	case hold == all:
		return "all " + plural(all, "bar is met", "bars are met")
	default:
		return fmt.Sprintf("%d of %s missed", all-hold, plural(all, "bar is", "bars are"))
	}
}

// A failure is what some callers were told.
type failure struct {
	Text  string
	Count int
}

// reasons returns the failures, the most frequent first.
func (r Run) reasons() (all []failure) {
	for text, n := range r.Failures {
		all = append(all, failure{text, n})
	}
	slices.SortFunc(all, func(a, b failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
	})
	return all
}
