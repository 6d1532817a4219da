package main

import (
	"slices"
	"testing"

	"github.com/bellwether-go/bellwether/bench"
)

func TestBenchSizes(t *testing.T) {
	z := benchSizes{settings: bench.Settings{Rounds: 2}, replicas: []int{1, 8}, callers: []int{5, 50, 5, 500, 5}}
	var got [][2]int
	for _, s := range z.all() {
		if s.Rounds != 2 {
			t.Errorf("size %+v has lost its rounds", s)
		}
		got = append(got, [2]int{s.Replicas, s.Callers})
	}
	if want := [][2]int{{1, 5}, {1, 50}, {1, 500}, {8, 5}, {8, 50}, {8, 500}}; !slices.Equal(got, want) {
		t.Errorf("sizes %v, want %v", got, want)
	}
	if got := new(benchSizes).all(); len(got) != 1 || got[0] != (bench.Settings{}) {
		t.Errorf("no size is %+v, want the defaults alone", got)
	}
}
