package sqlstore_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/sqlstore"
)

// lookups are the statements by which rows are found.
var lookups = []string{"load", "load_locked", "by_key", "by_user", "by_access", "by_credential"}

// testPlans: no lookup reads a table from end to end. SQLite says SCAN, MySQL type ALL or
// index; the derived table of one row is neither's.
func testPlans(t *testing.T, p place, explain string) {
	for i := range 200 {
		save(t, p, bellwether.Token{ID: fmt.Sprint(i), UserName: fmt.Sprint("u", i),
			RefreshToken: secret(fmt.Sprint("r", i)), AccessToken: secret(fmt.Sprint("a", i))})
	}
	for _, name := range lookups {
		text := sqlstore.Text(p.Store, name)
		args := make([]any, strings.Count(text, "?"))
		for i := range args {
			args[i] = "x"
		}
		rows, err := p.db.QueryContext(t.Context(), explain+text, args...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		steps := 0
		for rows.Next() {
			fields := make([]*string, len(columns))
			into := make([]any, len(columns))
			for i := range fields {
				into[i] = &fields[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			steps++
			step := make(map[string]string)
			for i, f := range fields {
				if f != nil {
					step[columns[i]] = *f
				}
			}
			reads := strings.HasPrefix(step["detail"], "SCAN ") && !strings.HasPrefix(step["detail"], "SCAN one") &&
				!strings.HasPrefix(step["detail"], "SCAN CONSTANT ROW")
			if reads || step["type"] == "index" || step["type"] == "ALL" && !strings.HasPrefix(step["table"], "<") {
				t.Errorf("%s reads a whole table: %v", name, step)
			}
		}
		if err := rows.Err(); err != nil || steps == 0 {
			t.Errorf("%s: %d steps, %v", name, steps, err)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPlans(t *testing.T) { testPlans(t, sqliteFile(t), "EXPLAIN QUERY PLAN ") }
