package csvstore

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
)

const sdkHeader = "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,expiry_time,redirect_url,api_domain"

// TestParseReads: what the SDKs write is read, and what was not changed is written back
// byte for byte.
func TestParseReads(t *testing.T) {
	ada := []string{"1", "ada@example.com:7", "c", "s", "r", "a", "", "1700000000000", "https://example.com/cb", "https://www.zohoapis.eu"}
	line := strings.Join(ada, ",")
	for name, c := range map[string]struct {
		file    string
		dialect Dialect
		want    [][]string
		rewrite string // blank: as it came
	}{
		"node":           {file: sdkHeader + "\n" + line, want: [][]string{ada}},
		"java":           {file: sdkHeader + "\n" + line + "\n", want: [][]string{ada}},
		"python":         {file: strings.Replace(sdkHeader, "redirect_url", "redirect_uri", 1) + "\r\n" + line + "\r\n", want: [][]string{ada}},
		"CRLF, cut end":  {file: sdkHeader + "\r\n" + line, want: [][]string{ada}},
		"byte order":     {file: "\ufeff" + sdkHeader + "\n" + line, want: [][]string{ada}},
		"header only":    {file: sdkHeader},
		"header, ended":  {file: sdkHeader + "\n"},
		"empty":          {file: "", rewrite: sdkHeader},
		"blank line":     {file: sdkHeader + "\n\n" + line + "\n\n", want: [][]string{ada}, rewrite: sdkHeader + "\n" + line + "\n"},
		"nine columns":   {file: strings.TrimSuffix(sdkHeader, ",api_domain") + "\n" + strings.Join(ada[:9], ","), want: [][]string{append(slices.Clone(ada[:9]), "")}, rewrite: sdkHeader + "\n" + strings.Join(ada[:9], ",") + ","},
		"user_mail":      {file: strings.Replace(sdkHeader, "user_name", "user_mail", 1) + "\n" + line, want: [][]string{ada}},
		"other columns":  {file: "note," + sdkHeader + ",more\nn," + line + ",m", want: [][]string{ada}},
		"other order":    {file: "api_domain," + strings.TrimSuffix(sdkHeader, ",api_domain") + "\n" + ada[9] + "," + strings.Join(ada[:9], ","), want: [][]string{ada}},
		"quoted":         {file: sdkHeader + "\n" + `1,"a,""b""` + "\n" + `c",,,r,,,,,`, want: [][]string{{"1", "a,\"b\"\nc", "", "", "r", "", "", "", "", ""}}},
		"quoted CR LF":   {file: sdkHeader + "\r\n" + "1,\"a\r\nb\",,,r,,,,,\"x\"\r\n", want: [][]string{{"1", "a\r\nb", "", "", "r", "", "", "", "", "x"}}},
		"node's quote":   {file: sdkHeader + "\n" + `1,"a,,,r,,,,,`, dialect: Node, want: [][]string{{"1", `"a`, "", "", "r", "", "", "", "", ""}}},
		"quote in text":  {file: sdkHeader + "\n" + `1,a"b,,,r,,,,,`, want: [][]string{{"1", `a"b`, "", "", "r", "", "", "", "", ""}}},
		"to python":      {file: sdkHeader + "\n" + line, dialect: Python, want: [][]string{ada}, rewrite: pythonHeader + "\r\n" + line + "\r\n"},
		"python to node": {file: pythonHeader + "\r\n" + line + "\r\n", dialect: Node, want: [][]string{ada}, rewrite: sdkHeader + "\n" + line + "\n"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			table, err := parse([]byte(c.file), c.dialect)
			if err != nil {
				t.Fatal(err)
			}
			var got [][]string
			for _, r := range table.records {
				if r.problem != "" {
					t.Fatalf("a line is no row: %s", r.problem)
				}
				columns := table.columnsOf(r)
				got = append(got, columns[:])
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			want := c.rewrite
			if want == "" {
				want = c.file
			}
			if d := cmp.Diff(want, string(table.bytes(table.records))); d != "" {
				t.Errorf("written back (-want +got):\n%s", d)
			}
			if table.cut {
				t.Error("the file is taken for cut")
			}
		})
	}
}

// TestParseRefuses: a file without its header is never guessed at.
func TestParseRefuses(t *testing.T) {
	for name, file := range map[string]string{
		"lost":          "1,ada,c,s,r,a,,1700000000000,,",
		"lost, blank":   "\n1,ada,c,s,r,a,,1700000000000,,\n",
		"cut":           "id,user_name,client_id",
		"column twice":  sdkHeader + ",id\n",
		"both spelling": sdkHeader + ",redirect_uri\n",
		"binary":        "\x00\x01\x02",
		"quote":         `"` + sdkHeader,
	} {
		_, err := parse([]byte(file), "")
		e, ok := errors.AsType[*bellwether.Error](err)
		if !ok || !errors.Is(err, bellwether.ErrMisconfigured) || e.Hint == "" {
			t.Errorf("%s: %v, want ErrMisconfigured and what to do", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "ada") {
			t.Errorf("%s: the error quotes the file: %v", name, err)
		}
	}
}

// TestParseBrokenLines: a line that is no row hides no other one, and is kept.
func TestParseBrokenLines(t *testing.T) {
	good := "7,good,,,r,,,,,"
	for name, c := range map[string]struct {
		line string
		end  string
		cut  bool
	}{
		"too few":                  {line: "1,ada,c", end: "\n"},
		"too few, last":            {line: "1,ada,c", cut: true},
		"too many":                 {line: "1,ada,c,,r,,,,,,,", end: "\n"},
		"an unquoted comma, last":  {line: "1,ada,lovelace,c,s,r,a,,1700000000000,,"},
		"text behind a quote":      {line: `1,"ada"x,,,r,,,,,`, end: "\n"},
		"a quote, not closed":      {line: `1,"ada,,,r,,,,,`, end: "\n", cut: true},
		"a quote, not closed, cut": {line: `1,"ada,,,r`, cut: true},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			file := sdkHeader + "\n" + good + "\n" + c.line + c.end
			table, err := parse([]byte(file), "")
			if err != nil {
				t.Fatal(err)
			}
			if len(table.records) != 2 || table.records[0].problem != "" || table.records[1].problem == "" {
				t.Fatalf("%d lines, want the good one and the broken one", len(table.records))
			}
			if strings.Contains(table.records[1].problem, "ada") {
				t.Errorf("the problem quotes the line: %s", table.records[1].problem)
			}
			if table.cut != c.cut {
				t.Errorf("cut is %v, want %v", table.cut, c.cut)
			}
			if d := cmp.Diff(file, string(table.bytes(table.records))); d != "" {
				t.Errorf("written back (-want +got):\n%s", d)
			}
		})
	}
}

// FuzzParse: any file is refused or read, and what is read is written back so that it is
// read the same.
func FuzzParse(f *testing.F) {
	line := "1,ada,c,s,r,a,,1700000000000,https://example.com/cb,https://www.zohoapis.eu"
	for _, file := range []string{
		sdkHeader + "\n" + line, pythonHeader + "\r\n" + line + "\r\n", "\ufeff" + sdkHeader + "\n" + line + "\n2,cut",
		sdkHeader + ",more\n" + line + `,"a,""b""` + "\r\n\"\n", strings.TrimSuffix(sdkHeader, ",api_domain") + "\n" + line,
		sdkHeader + "\n\"1\"x,\n\r\r\n\"\"\"\n",
	} {
		f.Add([]byte(file), "")
		f.Add([]byte(file), string(Python))
		f.Add([]byte(file), string(Node))
	}
	type row struct {
		Columns []string
		Broken  bool
	}
	read := func(t *table) []row {
		var rows []row
		for _, r := range t.records {
			if r.problem != "" {
				rows = append(rows, row{Broken: true})
				continue
			}
			columns := t.columnsOf(r)
			rows = append(rows, row{Columns: columns[:]})
		}
		return rows
	}
	f.Fuzz(func(t *testing.T, data []byte, dialect string) {
		d := Dialect(dialect)
		if (Config{Dialect: d}).validate() != nil {
			return
		}
		table, err := parse(bytes.Clone(data), d)
		if err != nil {
			if !errors.Is(err, bellwether.ErrMisconfigured) {
				t.Fatalf("%v, want ErrMisconfigured", err)
			}
			return
		}
		written := table.bytes(table.records)
		again, err := parse(written, d)
		if err != nil {
			t.Fatalf("what was written back is refused: %v\n%q", err, written)
		}
		if !slices.ContainsFunc(table.records, func(r *record) bool { return r.problem != "" }) {
			if diff := cmp.Diff(read(table), read(again)); diff != "" {
				t.Fatalf("read, written and read (-once +twice):\n%s", diff)
			}
		}
		// Every row can be written anew, unless its dialect cannot carry it.
		for i, r := range table.records {
			if r.problem != "" {
				continue
			}
			columns := table.columnsOf(r)
			anew, err := table.with(r, columns)
			if err != nil {
				if !table.plain {
					t.Fatal(err)
				}
				continue
			}
			records := slices.Clone(table.records[:i])
			one, err := parse(table.bytes(append(records, anew)), d)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(one.records); n > 0 && !slices.ContainsFunc(one.records, func(r *record) bool { return r.problem != "" }) {
				if diff := cmp.Diff(columns, one.columnsOf(one.records[n-1])); diff != "" {
					t.Fatalf("written anew (-want +got):\n%s", diff)
				}
			}
		}
	})
}
