package embedded

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

func TestSnapshot(t *testing.T) {
	from, c := local(t)
	odd := "\x00\xff\r\nü"
	for _, err := range []error{
		c.Set(t.Context(), "s", odd, 0).Err(),
		c.Set(t.Context(), "blank", "", 0).Err(),
		c.Set(t.Context(), "dying", "v", time.Hour).Err(),
		c.Set(t.Context(), "dead", "v", time.Millisecond).Err(),
		c.HSet(t.Context(), "h", "a", "1", odd, odd).Err(),
		c.ZAdd(t.Context(), "z", redis.Z{Score: -1.5, Member: "m"}, redis.Z{Score: 1e15, Member: odd}).Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := from.Save(&b); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond) // the life of the key dead
	to, c := local(t)
	if err := to.Load(&b); err != nil {
		t.Fatal(err)
	}
	got := map[string]any{
		"s": c.Get(t.Context(), "s").Val(), "blank": c.Exists(t.Context(), "blank").Val(), "dead": c.Exists(t.Context(), "dead").Val(),
		"h": c.HGetAll(t.Context(), "h").Val(), "z": c.ZRangeWithScores(t.Context(), "z", 0, -1).Val(),
	}
	want := map[string]any{
		"s": odd, "blank": int64(1), "dead": int64(0),
		"h": map[string]string{"a": "1", odd: odd}, "z": []redis.Z{{Score: -1.5, Member: "m"}, {Score: 1e15, Member: odd}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is loaded (-want +got):\n%s", diff)
	}
	if left := c.TTL(t.Context(), "dying").Val(); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the TTL of dying is %v", left)
	}
	if left := c.TTL(t.Context(), "s").Val(); left != -1 {
		t.Errorf("the TTL of s is %v, want none", left)
	}
}

func TestSaveRefuses(t *testing.T) {
	s, c := local(t)
	if err := c.RPush(t.Context(), "l", "v").Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "type list") {
		t.Errorf("a list: got %v", err)
	}
	for i := range MostKeys {
		if err := s.mini.Set(fmt.Sprint(i), "v"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Save(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("%d keys: got %v", MostKeys+1, err)
	}
}

func TestLoadRefusesWhatIsCut(t *testing.T) {
	s, c := local(t)
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Save(&b); err != nil {
		t.Fatal(err)
	}
	to, _ := local(t)
	for n := range b.Len() {
		if err := to.Load(bytes.NewReader(b.Bytes()[:n])); err == nil {
			t.Fatalf("the first %d bytes of %d are taken", n, b.Len())
		}
	}
	if keys := to.mini.Keys(); len(keys) > 0 {
		t.Errorf("keys %q are there after errors", keys)
	}
}
