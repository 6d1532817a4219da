package csvstore_test

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/csvstore"
	"github.com/bellwether-go/bellwether/storetest"
)

const fileEnv = "BELLWETHER_CSVSTORE_FILE"

func TestMain(m *testing.M) {
	if os.Getenv(killEnv) != "" {
		if err := killed(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	storetest.Main(m, func() (bellwether.Store, error) {
		return csvstore.OpenUnsynced(os.Getenv(fileEnv), csvstore.Config{})
	})
}

// A stored is a store that knows where its file is.
type stored struct {
	*csvstore.Store
	path string
}

func openStored(t testing.TB, path string) stored {
	t.Helper()
	s, err := csvstore.OpenUnsynced(path, csvstore.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return stored{s, path}
}

var harness = storetest.Harness{
	New: func(t testing.TB) bellwether.Store {
		return openStored(t, filepath.Join(t.TempDir(), "sdk_tokens.txt"))
	},
	Process: func(_ testing.TB, s bellwether.Store) []string { return []string{fileEnv + "=" + s.(stored).path} },
	Condemn: condemn,
	Reopen: func(t testing.TB, s bellwether.Store) bellwether.Store {
		old := s.(stored)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		return openStored(t, old.path)
	},
	Rows: 400,
}

// condemn does to the row id what a refused refresh does in the tier above.
func condemn(t testing.TB, s bellwether.Store, id string) {
	t.Helper()
	d := s.(bellwether.Durable)
	r, err := d.Record(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	r.Cred = cmp.Or(r.Cred, "cred")
	r.Token.Generation++
	r.Token.State = bellwether.StateReauthRequired
	r.Token.Failure = &bellwether.Failure{Reason: bellwether.ReasonRevoked, Class: bellwether.ClassRefused,
		Code: "invalid_grant", Count: 1, At: time.UnixMilli(time.Now().UnixMilli()).UTC()}
	if _, err := d.Swap(t.Context(), r.Version, r); err != nil {
		t.Fatal(err)
	}
}

func TestDurable(t *testing.T) { storetest.Durable(t, harness) }

func TestStore(t *testing.T) { storetest.Run(t, harness) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, harness) }
