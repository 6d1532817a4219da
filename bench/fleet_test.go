package bench

import (
	"strings"
	"testing"
	"time"
)

func TestFleetBrokenReplica(t *testing.T) {
	t.Setenv(roleEnv, roleBroken)
	_, err := startFleet(t.Context(), 2, setup{Source: SourceShared})
	if err == nil || !strings.Contains(err.Error(), "out of luck") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a replica that dies: got %v, want its last words and its exit status", err)
	}
}

func TestFleetFailingReplica(t *testing.T) {
	for name, s := range map[string]setup{
		"unknown source": {Source: "nowhere"},
		"keyset":         {Source: SourceBellwether, Keyset: []byte("{}")},
	} {
		_, err := startFleet(t.Context(), 1, s)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestFleetStopKills: a replica that does not hear the end of its input is killed.
func TestFleetStopKills(t *testing.T) {
	t.Setenv(roleEnv, roleStubborn)
	f, err := startFleet(t.Context(), 2, setup{})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	f.stop()
	if took := time.Since(begun); took < exitPatience {
		t.Errorf("the replicas were given %v to end, want %v", took, exitPatience)
	}
	for _, r := range f.replicas {
		if r.cmd.ProcessState == nil || r.cmd.ProcessState.Success() {
			t.Errorf("replica %d ended as %v, want by a signal", r.number, r.cmd.ProcessState)
		}
	}
}

// TestFleetKilledReplica: one that was killed is waited for no more.
func TestFleetKilledReplica(t *testing.T) {
	g, err := openGround(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer g.close(t.Context())
	f, err := startFleet(t.Context(), 2, setup{Source: SourceBare, Redis: g.url, Rows: []string{g.plainKey("row")}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.stop()
	if err := f.kill(f.replicas[0]); err != nil {
		t.Fatal(err)
	}
	if err := f.tell(order{Do: orderWarm}); err != nil {
		t.Fatal(err)
	}
	got, err := f.await(t.Context(), newsWarmed, nil)
	if err != nil || len(got) != 1 || got[0].replica != f.replicas[1] {
		t.Errorf("got %v, %v; want the news of the second replica", got, err)
	}
	if err := f.tell(order{Do: "dance"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.await(t.Context(), newsDone, nil); err == nil || !strings.Contains(err.Error(), `unknown order "dance"`) {
		t.Errorf("an unknown order: got %v", err)
	}
}

func TestTail(t *testing.T) {
	var b tail
	for range 3 {
		if n, err := b.Write([]byte(strings.Repeat("x", tailSize-4) + "end\n")); n != tailSize || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := b.String(); len(got) != tailSize-1 || !strings.HasSuffix(got, "end") {
		t.Errorf("%d bytes are kept, ending in %q", len(got), got[max(0, len(got)-5):])
	}
}
