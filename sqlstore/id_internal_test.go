package sqlstore

import "testing"

func TestNextID(t *testing.T) {
	for last, want := range map[string]string{
		"":            "1",
		"1":           "2",
		"8":           "9",
		"9":           "900000000",
		"10":          "11",
		"19":          "20",
		"98":          "99",
		"99":          "990000000",
		"900000000":   "900000001",
		"900000009":   "900000010",
		"999999999":   "9999999990",
		"9999999999":  "99999999990",
		"007":         "008",
		"12345678999": "12345679000",
	} {
		got := nextID(last)
		if got != want {
			t.Errorf("after %q comes %q, want %q", last, got, want)
		}
		if got <= last {
			t.Errorf("after %q comes %q, which stands before it as a text", last, got)
		}
	}
}
