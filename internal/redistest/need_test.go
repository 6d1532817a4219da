package redistest_test

import (
	"strings"
	"testing"

	"github.com/bellwether-go/bellwether/internal/redistest"
)

// A verdict records how Need ends a test.
type verdict struct {
	testing.TB
	skipped, failed bool
}

func (*verdict) Helper()                 {}
func (v *verdict) Skipf(string, ...any)  { v.skipped = true }
func (v *verdict) Fatalf(string, ...any) { v.failed = true }

func TestNeed(t *testing.T) {
	without := t.TempDir()
	tests := []struct {
		name, env       string
		absent          bool
		skipped, failed bool
	}{
		{name: "absent", absent: true, skipped: true},
		{name: "absent and required", absent: true, env: "require", failed: true},
		{name: "absent, another value", absent: true, env: "1", skipped: true},
		{name: "present"},
		{name: "present and required", env: "require"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !tt.absent {
				redistest.Need(t)
			} else {
				t.Setenv("PATH", without)
			}
			t.Setenv("BELLWETHER_TEST_SERVERS", tt.env)
			v := &verdict{TB: t}
			redistest.Need(v)
			if v.skipped != tt.skipped || v.failed != tt.failed {
				t.Errorf("skipped %v, failed %v; want %v, %v", v.skipped, v.failed, tt.skipped, tt.failed)
			}
			if err := redistest.Available(); (err != nil) != tt.absent {
				t.Errorf("available: %v", err)
			} else if err != nil && !strings.Contains(err.Error(), "redis-server") {
				t.Errorf("error %q does not say what is missing", err)
			}
		})
	}
}
