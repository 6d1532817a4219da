package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestKeptPlot: the plot that the README shows is what the newest kept report gives.
func TestKeptPlot(t *testing.T) {
	want, err := drawn("../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(plotOf("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/herd.svg is not what bench/results gives: go run -C tools ./herdplot writes it anew")
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil || !bytes.Contains(readme, []byte("](docs/herd.svg)")) {
		t.Errorf("the README does not show docs/herd.svg: %v", err)
	}
}

// TestDraw: every subject is there with its figures, and no other.
func TestDraw(t *testing.T) {
	const report = `{"runs": [
		{"scenario": "steady", "subject": "left out"},
		{"scenario": "herd", "subject": "bellwether", "parameters": {"replicas": 8, "callers": 250, "latency_ms": 1000}, "metrics": [
			{"name": "provider_calls", "values": [1, 1, 1]},
			{"name": "failed_callers", "values": [0, 0, 0]},
			{"name": "extra_wait_p99", "values": [9, 13, 11]}]},
		{"scenario": "herd", "subject": "nobody's", "parameters": {"replicas": 8, "callers": 250, "latency_ms": 1000}, "metrics": [
			{"name": "provider_calls", "values": [210, 212]},
			{"name": "failed_callers", "values": [2000, 2000]},
			{"name": "extra_wait_p99", "values": [2000, 2020]}]},
		{"scenario": "herd", "subject": "third", "parameters": {"replicas": 8, "callers": 250, "latency_ms": 1000}, "metrics": [
			{"name": "provider_calls", "values": [2]},
			{"name": "failed_callers", "values": [0, 0, 3]},
			{"name": "extra_wait_p99", "values": [4.25]}]}
	]}`
	rows, err := readHerd([]byte(report))
	if err != nil {
		t.Fatal(err)
	}
	b, err := draw(rows)
	if err != nil {
		t.Fatal(err)
	}
	svg := string(b)
	for _, text := range []string{">Bellwether<", ">11 ms<", ">1<", ">210–212<", ">2.01 s, all fail<", ">4.2 ms, 0–3 fail<", ">extra wait p99, log scale; 8 × 250 callers, calls of 1s<", ">third<"} {
		if n := strings.Count(svg, text); n != 1 {
			t.Errorf("%q is there %d times, want once", text, n)
		}
	}
	if strings.Contains(svg, "left out") {
		t.Error("another scenario is in the plot")
	}
	if again, err := draw(rows); err != nil || !bytes.Equal(b, again) {
		t.Error("the same figures give another plot")
	}
}

func TestReadHerdRefuses(t *testing.T) {
	for _, report := range []string{
		``, `{"runs": []}`,
		`{"runs": [{"scenario": "herd", "subject": "x", "metrics": [{"name": "provider_calls", "values": [1]}]}]}`,
		`{"runs": [` + herdOf(8) + `,` + herdOf(9) + `]}`,
		`{"runs": [{"scenario": "herd", "subject": "x", "metrics": [{"name": "provider_calls", "values": [1]}, {"name": "failed_callers", "values": [0]}, {"name": "extra_wait_p99", "values": []}]}]}`,
	} {
		if rows, err := readHerd([]byte(report)); err == nil {
			t.Errorf("%s gives %+v", report, rows)
		}
	}
}

func herdOf(replicas int) string {
	return fmt.Sprintf(`{"scenario": "herd", "subject": "x", "parameters": {"replicas": %d}, "metrics": [
		{"name": "provider_calls", "values": [1]}, {"name": "failed_callers", "values": [0]}, {"name": "extra_wait_p99", "values": [1]}]}`, replicas)
}
