package refresh

import (
	"testing"
	"time"
)

func TestWindows(t *testing.T) {
	for _, tt := range []struct{ life, advisory, mandatory time.Duration }{
		{0, 0, 0},
		{-time.Second, 0, 0},
		{time.Minute, 15 * time.Second, 3 * time.Second},
		{20 * time.Minute, 5 * time.Minute, time.Minute},
		{30 * time.Minute, 7*time.Minute + 30*time.Second, time.Minute},
		{time.Hour, 15 * time.Minute, time.Minute},
		{90 * time.Minute, 15 * time.Minute, time.Minute},
		{2 * time.Hour, 30 * time.Minute, time.Minute},
		{24 * time.Hour, time.Hour, time.Minute},
	} {
		if a, m := windows(tt.life); a != tt.advisory || m != tt.mandatory {
			t.Errorf("windows(%v) = %v, %v; want %v, %v", tt.life, a, m, tt.advisory, tt.mandatory)
		}
	}
}

func TestJitterOnlyNarrows(t *testing.T) {
	for _, d := range []float64{0, 0.3, 0.999} {
		for _, e := range []float64{0, 0.5, 0.999} {
			if got := narrowed(time.Hour, d, e); got > time.Hour || got < 42*time.Minute {
				t.Errorf("narrowed(1h, %v, %v) = %v", d, e, got)
			}
		}
	}
	if a, b := draw("a", "cred"), draw("b", "cred"); a == b || a < 0 || a >= 1 {
		t.Errorf("draws %v and %v", a, b)
	}
	if a, b := draw("a", "cred"), draw("a", "cred"); a != b {
		t.Errorf("two draws of one token: %v and %v", a, b)
	}
}
