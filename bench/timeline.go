package bench

import (
	"fmt"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
)

// mostProviderMarks bounds the calls that a timeline shows.
const mostProviderMarks = 256

// timelineOf is what a replica did in a round.
func timelineOf(n news) []report.Mark {
	row := fmt.Sprintf("replica %d", n.replica.number)
	marks := []report.Mark{{Row: row, What: "waiting", At: 0, To: milliseconds(n.Took)}}
	for i, m := range n.Marks {
		mark := report.Mark{Row: row, What: m.What, At: milliseconds(m.At)}
		if m.What == "calling" && i+1 < len(n.Marks) {
			mark.To = milliseconds(n.Marks[i+1].At)
		}
		marks = append(marks, mark)
	}
	return marks
}

// providerMarks are the calls that the provider logged in a round, and the kill.
func (s *stage) providerMarks(release time.Time, story Story) []report.Mark {
	var marks []report.Mark
	for _, c := range s.server.Log()[s.logged:] {
		if len(marks) == mostProviderMarks {
			break
		}
		at := c.Start.Sub(release)
		marks = append(marks, report.Mark{Row: "provider", What: c.Outcome, At: milliseconds(at), To: milliseconds(at + c.Duration)})
	}
	if !story.killed.IsZero() {
		marks = append(marks, report.Mark{Row: fmt.Sprintf("replica %d", story.Killed), What: "killed", At: milliseconds(story.killed.Sub(release))})
	}
	return marks
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
