package seal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/seal"
)

func newKeys(t testing.TB) *seal.Keys {
	t.Helper()
	k, err := seal.New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustSeal(t testing.TB, s bellwether.Sealer, plaintext, aad string) []byte {
	t.Helper()
	sealed, err := s.Seal([]byte(plaintext), []byte(aad))
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	return sealed
}

func wantOpen(t testing.TB, s bellwether.Sealer, sealed []byte, aad, want string) {
	t.Helper()
	got, err := s.Open(sealed, []byte(aad))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if string(got) != want {
		t.Fatalf("Open = %q, want %q", got, want)
	}
}

// wantUnreadable checks that the error has a hint and says each word.
func wantUnreadable(t testing.TB, s bellwether.Sealer, sealed []byte, aad string, words ...string) {
	t.Helper()
	got, err := s.Open(sealed, []byte(aad))
	if !errors.Is(err, bellwether.ErrUnreadable) {
		t.Fatalf("Open = %q, %v; want ErrUnreadable", got, err)
	}
	if e, ok := errors.AsType[*bellwether.Error](err); !ok || e.Hint == "" {
		t.Errorf("%v has no hint", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func sealers(t *testing.T) map[string]bellwether.Sealer {
	return map[string]bellwether.Sealer{"Keys": newKeys(t), "Plaintext": seal.Plaintext{}}
}

func TestSealer(t *testing.T) {
	for name, s := range sealers(t) {
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{"", "x", "1000.abc\x00def", strings.Repeat("long ", 20_000)} {
				sealed := mustSeal(t, s, text, "crm/row/at")
				wantOpen(t, s, sealed, "crm/row/at", text)
				wantUnreadable(t, s, sealed, "crm/other/at")
				wantUnreadable(t, s, sealed, "")
				for _, cut := range []int{0, 1, 4, 5, 17, len(sealed) - 1} {
					if cut < len(sealed) {
						wantUnreadable(t, s, sealed[:cut], "crm/row/at")
					}
				}
				wantUnreadable(t, s, append(bytes.Clone(sealed), 0), "crm/row/at")
				for _, i := range []int{0, 5, len(sealed) / 2, len(sealed) - 1} {
					damaged := bytes.Clone(sealed)
					damaged[i] ^= 1
					wantUnreadable(t, s, damaged, "crm/row/at")
				}
				wantOpen(t, s, sealed, "crm/row/at", text) // Open changes nothing
			}
			wantUnreadable(t, s, nil, "")
			wantUnreadable(t, s, []byte("not sealed by anybody, but long enough to be"), "")
		})
	}
}

func TestMAC(t *testing.T) {
	for name, s := range sealers(t) {
		t.Run(name, func(t *testing.T) {
			seen := make(map[string][]string)
			for _, parts := range [][]string{
				nil, {""}, {"", ""}, {"", "", ""}, {"a"}, {"a", ""}, {"", "a"}, {"ab", "c"}, {"a", "bc"}, {"abc"}, {"a", "b", "c"},
				{"\x00"}, {"\x00\x00\x00\x00\x00\x00\x00\x00"}, {strings.Repeat("x", 300)}, {strings.Repeat("x", 301)},
				{"bellwether fingerprint of the index key"},
			} {
				mac := s.MAC(parts...)
				if len(mac) != 32 {
					t.Errorf("MAC(%q) has %d bytes, want 32", parts, len(mac))
				}
				if other, ok := seen[string(mac)]; ok {
					t.Errorf("MAC(%q) = MAC(%q)", parts, other)
				}
				seen[string(mac)] = parts
				if again := s.MAC(parts...); !bytes.Equal(mac, again) {
					t.Errorf("MAC(%q) is not always the same", parts)
				}
				if strings.HasPrefix(fmt.Sprintf("%x", mac), s.Fingerprint()) {
					t.Errorf("MAC(%q) gives the fingerprint", parts)
				}
			}
		})
	}
}

func TestOtherKeyset(t *testing.T) {
	a, b := newKeys(t), newKeys(t)
	id := a.List()[0].ID
	wantUnreadable(t, b, mustSeal(t, a, "x", ""), "", fmt.Sprint(id), "keyset")
	if bytes.Equal(a.MAC("x"), b.MAC("x")) {
		t.Error("two keysets have one index key")
	}
	if a.Fingerprint() == b.Fingerprint() || len(a.Fingerprint()) != 16 {
		t.Errorf("fingerprints %q and %q, want two of 16 digits", a.Fingerprint(), b.Fingerprint())
	}
}

func TestSealIsRandomized(t *testing.T) {
	k := newKeys(t)
	if bytes.Equal(mustSeal(t, k, "x", ""), mustSeal(t, k, "x", "")) {
		t.Error("one text sealed twice looks the same")
	}
	if got := len(mustSeal(t, k, "1234567890", "aad")); got != 10+45 {
		t.Errorf("10 bytes sealed are %d, want 45 more", got)
	}
}

func TestPlaintextAndKeysDoNotMix(t *testing.T) {
	keys, plain := newKeys(t), seal.Plaintext{}
	wantUnreadable(t, keys, mustSeal(t, plain, "x", "a"), "a", "plaintext")
	wantUnreadable(t, plain, mustSeal(t, keys, "x", "a"), "a", "keyset")
	if keys.Fingerprint() == plain.Fingerprint() {
		t.Error("a keyset has the fingerprint of plaintext")
	}
	if sealed := mustSeal(t, keys, "needle", "a"); bytes.Contains(sealed, []byte("needle")) {
		t.Error("the sealed text shows the text")
	}
	if sealed := mustSeal(t, plain, "needle", "a"); !bytes.HasPrefix(sealed, []byte("plaintext:")) {
		t.Errorf("plaintext storage is not marked: %q", sealed)
	}
}

// TestRotation walks two replicas through both steps, one of them always behind.
func TestRotation(t *testing.T) {
	ahead := newKeys(t)
	behind := reload(t, ahead)
	first := ahead.List()[0].ID
	old := mustSeal(t, ahead, "old", "a")

	// Step one: known to one replica, then to both. All that is written opens on both.
	second, err := ahead.Add()
	if err != nil {
		t.Fatal(err)
	}
	wantOpen(t, behind, mustSeal(t, ahead, "x", "a"), "a", "x")
	behind = reload(t, ahead)

	// Step two: different primaries race, and read each other.
	if err := ahead.Promote(second); err != nil {
		t.Fatal(err)
	}
	wantOpen(t, behind, mustSeal(t, ahead, "new", "a"), "a", "new")
	wantOpen(t, ahead, mustSeal(t, behind, "new", "a"), "a", "new")
	wantOpen(t, ahead, old, "a", "old")
	wantOpen(t, behind, old, "a", "old")
	if !bytes.Equal(ahead.MAC("x"), behind.MAC("x")) || ahead.Fingerprint() != behind.Fingerprint() {
		t.Error("the index key changed with a sealing key")
	}

	// The old key goes: disabled first, and still there to come back.
	if err := ahead.Disable(first); err != nil {
		t.Fatal(err)
	}
	wantUnreadable(t, ahead, old, "a", fmt.Sprint(first), "disabled")
	if err := ahead.Enable(first); err != nil {
		t.Fatal(err)
	}
	wantOpen(t, ahead, old, "a", "old")
	if err := errors.Join(ahead.Disable(first), ahead.Remove(first)); err != nil {
		t.Fatal(err)
	}
	wantUnreadable(t, ahead, old, "a", fmt.Sprint(first), "does not hold")
	wantOpen(t, ahead, mustSeal(t, ahead, "x", "a"), "a", "x")
}

func TestPromotedTooEarly(t *testing.T) {
	ahead := newKeys(t)
	behind := reload(t, ahead)
	id, err := ahead.Add()
	if err != nil {
		t.Fatal(err)
	}
	if err := ahead.Promote(id); err != nil {
		t.Fatal(err)
	}
	wantUnreadable(t, behind, mustSeal(t, ahead, "x", ""), "", fmt.Sprintf("key %d", id), "give this replica")
}

func TestList(t *testing.T) {
	k := newKeys(t)
	second, err := k.Add()
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, want ...seal.Status) {
		t.Helper()
		list := k.List()
		if len(list) != len(want) {
			t.Fatalf("%s: %d keys, want %d", when, len(list), len(want))
		}
		for i, key := range list {
			if key.Status != want[i] || key.ID == 0 || key.Created.IsZero() {
				t.Errorf("%s: key %d is %+v, want %s", when, i, key, want[i])
			}
		}
	}
	check("added", seal.StatusPrimary, seal.StatusEnabled)
	if err := k.Promote(second); err != nil {
		t.Fatal(err)
	}
	check("promoted", seal.StatusEnabled, seal.StatusPrimary)
	if err := k.Disable(k.List()[0].ID); err != nil {
		t.Fatal(err)
	}
	check("disabled", seal.StatusDisabled, seal.StatusPrimary)
	k.List()[0].Status = seal.StatusPrimary
	check("after a change of what List returned", seal.StatusDisabled, seal.StatusPrimary)
}

func TestRefusedChanges(t *testing.T) {
	k := newKeys(t)
	primary := k.List()[0].ID
	other, err := k.Add()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		err  error
		want error
	}{
		"disable the primary":   {k.Disable(primary), bellwether.ErrInvalid},
		"remove the primary":    {k.Remove(primary), bellwether.ErrInvalid},
		"remove an enabled":     {k.Remove(other), bellwether.ErrInvalid},
		"promote an unknown":    {k.Promote(primary ^ other), bellwether.ErrNotFound},
		"disable an unknown":    {k.Disable(primary ^ other), bellwether.ErrNotFound},
		"enable an unknown":     {k.Enable(primary ^ other), bellwether.ErrNotFound},
		"remove an unknown":     {k.Remove(primary ^ other), bellwether.ErrNotFound},
		"disable, then promote": {errors.Join(k.Disable(other), k.Promote(other)), bellwether.ErrInvalid},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", name, tt.err, tt.want)
		}
		if e, ok := errors.AsType[*bellwether.Error](tt.err); !ok || e.Hint == "" {
			t.Errorf("%s: %v has no hint", name, tt.err)
		}
	}
	wantOpen(t, k, mustSeal(t, k, "x", ""), "", "x")
}

// TestConcurrentUse seals, opens and digests while keys are added and promoted.
func TestConcurrentUse(t *testing.T) {
	k := newKeys(t)
	mac := k.MAC("user", "bot")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				wantOpen(t, k, mustSeal(t, k, "text", "aad"), "aad", "text")
				if !bytes.Equal(k.MAC("user", "bot"), mac) {
					t.Error("MAC changed")
					return
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 5 {
				id, err := k.Add()
				if err == nil {
					err = k.Promote(id)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := len(k.List()); n != 11 {
		t.Errorf("%d keys, want 11: an added key was lost", n)
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	k := newKeys(t)
	content := contentOf(t, k)
	var f struct {
		IndexKey    string `json:"index_key"`
		SealingKeys struct {
			Key []struct{ KeyData struct{ Value string } }
		} `json:"sealing_keys"`
	}
	if err := json.Unmarshal(content, &f); err != nil {
		t.Fatal(err)
	}
	material := []string{f.IndexKey, f.SealingKeys.Key[0].KeyData.Value}
	for _, m := range material {
		if len(m) < 40 {
			t.Fatalf("the file holds no key material in %q", m)
		}
	}
	texts := map[string]string{}
	type holder struct{ keys *seal.Keys }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts[verb] = fmt.Sprintf(verb, k)
		texts["holder "+verb] = fmt.Sprintf(verb, holder{k})
	}
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	texts["json"] = string(b)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "keys", k, "holder", holder{k})
	texts["slog"] = log.String()
	for how, text := range texts {
		if len(text) > 300 {
			t.Errorf("%s prints %d bytes: %.100s", how, len(text), text)
		}
		for _, m := range material {
			if strings.Contains(text, m) {
				t.Errorf("%s shows key material", how)
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	k := newKeys(f)
	f.Add([]byte(nil), []byte(nil))
	f.Add(mustSeal(f, k, "text", "aad"), []byte("other"))
	f.Add(mustSeal(f, seal.Plaintext{}, "text", "aad"), []byte("other"))
	f.Add([]byte{1, 2, 3, 4, 5}, []byte{})
	f.Add([]byte("plaintext:1234567"), []byte{})
	f.Fuzz(func(t *testing.T, sealed, aad []byte) {
		if _, err := k.Open(sealed, aad); !errors.Is(err, bellwether.ErrUnreadable) {
			t.Errorf("Keys.Open: %v, want ErrUnreadable", err)
		}
		if text, err := (seal.Plaintext{}).Open(sealed, aad); err == nil {
			if again, _ := (seal.Plaintext{}).Seal(text, aad); !bytes.Equal(again, sealed) {
				t.Error("Plaintext.Open accepts what Plaintext.Seal does not write")
			}
		} else if !errors.Is(err, bellwether.ErrUnreadable) {
			t.Errorf("Plaintext.Open: %v, want ErrUnreadable", err)
		}
		// What is sealed opens again.
		sealedAgain, err := k.Seal(sealed, aad)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := k.Open(sealedAgain, aad); err != nil || !bytes.Equal(text, sealed) {
			t.Errorf("Open of what was sealed: %v", err)
		}
	})
}

func BenchmarkKeys(b *testing.B) {
	k := newKeys(b)
	text, aad := bytes.Repeat([]byte("x"), 500), []byte("crm/KJHGFDSAQWERTYUIOPLKJHGFDS/at/1772600000000")
	sealed := mustSeal(b, k, string(text), string(aad))
	b.Run("Seal500", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := k.Seal(text, aad); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Open500", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := k.Open(sealed, aad); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("MAC", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.MAC("refresh", "1000.0123456789abcdef0123456789abcdef.0123456789abcdef0123456789abcdef")
		}
	})
}
