// Command herdplot draws what the scenario herd has measured, from a report that
// "bellwether bench --json" has printed, as the SVG that the README shows.
//
//	go run -C tools ./herdplot
//
// It reads the newest suite in bench/results and writes docs/herd.svg. The same report
// always gives the same file.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

func main() {
	root := flag.String("root", "..", "`folder` of the repository")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "herdplot:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	svg, err := drawn(root)
	if err != nil {
		return err
	}
	return os.WriteFile(plotOf(root), svg, 0o644)
}

func plotOf(root string) string { return filepath.Join(root, "docs", "herd.svg") }

// drawn is the plot of the newest kept suite.
func drawn(root string) ([]byte, error) {
	suites, err := filepath.Glob(filepath.Join(root, "bench", "results", "*-suite.json"))
	if err != nil {
		return nil, err
	}
	if len(suites) == 0 {
		return nil, errors.New("no *-suite.json in bench/results")
	}
	b, err := os.ReadFile(slices.Max(suites)) // their names begin with the date
	if err != nil {
		return nil, err
	}
	rows, err := readHerd(b)
	if err != nil {
		return nil, err
	}
	return draw(rows)
}

// A row is one subject of the herd, over all its rounds.
type row struct {
	subject string
	calls   spread  // of the provider for one expiry
	wait    float64 // ms, p99 over all callers, median of the rounds
	failed  spread  // callers
	fleet   fleet
}

// A spread is the least and the most of a round: a median would hide a fault.
type spread struct{ least, most float64 }

// A fleet is what the herd was run with.
type fleet struct {
	Replicas, Callers int
	Latency           float64 `json:"latency_ms"`
}

func (f fleet) callers() float64 { return float64(f.Replicas * f.Callers) }

func (f fleet) String() string {
	return fmt.Sprintf("%d × %d callers, calls of %v", f.Replicas, f.Callers, time.Duration(f.Latency*float64(time.Millisecond)))
}

// readHerd finds the subjects of the herd in a report, in its order.
func readHerd(b []byte) ([]row, error) {
	var report struct {
		Runs []struct {
			Scenario, Subject string
			Parameters        fleet
			Metrics           []struct {
				Name   string
				Values []float64
			}
		}
	}
	if err := json.Unmarshal(b, &report); err != nil {
		return nil, err
	}
	var rows []row
	for _, run := range report.Runs {
		if run.Scenario != "herd" {
			continue
		}
		r := row{subject: run.Subject, fleet: run.Parameters}
		found := 0
		for _, m := range run.Metrics {
			if len(m.Values) == 0 {
				continue
			}
			switch m.Name {
			case "extra_wait_p99":
				r.wait = median(m.Values)
			case "provider_calls":
				r.calls = spread{slices.Min(m.Values), slices.Max(m.Values)}
			case "failed_callers":
				r.failed = spread{slices.Min(m.Values), slices.Max(m.Values)}
			default:
				continue
			}
			found++
		}
		if found != 3 {
			return nil, fmt.Errorf("the herd of %s has %d of 3 metrics", run.Subject, found)
		}
		if len(rows) > 0 && rows[0].fleet != r.fleet {
			return nil, fmt.Errorf("the herd of %s is another one: %v, %v", run.Subject, r.fleet, rows[0].fleet)
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return nil, errors.New("the report has no herd")
	}
	return rows, nil
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
