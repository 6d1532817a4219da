package report

import (
	"encoding/json"
	"math"
	"time"
)

// MarshalJSON gives the medians of each side instead of their values, and leaves out
// what is no number: the ratio to nothing or to 0.
func (c Comparison) MarshalJSON() ([]byte, error) {
	type side struct {
		Started    time.Time `json:"started"`
		Machine    Machine   `json:"machine"`
		Versions   Versions  `json:"versions"`
		Incomplete string    `json:"incomplete,omitempty"`
	}
	type delta struct {
		Scenario   string     `json:"scenario"`
		Subject    string     `json:"subject"`
		Parameters Parameters `json:"parameters"`
		Metric     string     `json:"metric"`
		Unit       string     `json:"unit"`
		Better     Better     `json:"better,omitempty"`
		Old        *float64   `json:"old,omitempty"` // median
		New        *float64   `json:"new,omitempty"`
		OldRounds  int        `json:"old_rounds"`
		NewRounds  int        `json:"new_rounds"`
		Ratio      *float64   `json:"ratio,omitempty"`
		P          float64    `json:"p"`
		Need       int        `json:"need_rounds,omitempty"`
		Verdict    Verdict    `json:"verdict"`
	}
	finite := func(v float64) *float64 {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return &v
	}
	deltas := make([]delta, len(c.Deltas))
	for i, d := range c.Deltas {
		deltas[i] = delta{
			d.Scenario, d.Subject, d.Parameters, d.Metric, d.Unit, d.Better,
			finite(Median(d.Old)), finite(Median(d.New)), len(d.Old), len(d.New),
			finite(d.Ratio), d.P, d.Need, d.Verdict,
		}
	}
	head := func(r Report) side { return side{r.Started, r.Machine, r.Versions, r.Incomplete} }
	return json.Marshal(struct {
		OK           bool     `json:"ok"` // as the exit code says
		Verdict      string   `json:"verdict"`
		Old          side     `json:"old"`
		New          side     `json:"new"`
		OtherMachine []string `json:"other_machine,omitempty"`
		Told         bool     `json:"times_told_only,omitempty"`
		Broken       []string `json:"broken,omitempty"`
		StillBroken  []string `json:"still_broken,omitempty"`
		MissedBars   []string `json:"missed_bars,omitempty"`
		MissingRuns  []string `json:"missing_runs,omitempty"`
		Metrics      []delta  `json:"metrics"`
	}{
		c.Err() == nil, c.verdict(), head(c.Old), head(c.New), c.OtherMachine, c.Told,
		c.Broken, c.StillBroken, c.MissedBars, c.MissingRuns, deltas,
	})
}
