package memstore_test

import (
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/memstore"
	"github.com/bellwether-go/bellwether/storetest"
)

var harness = storetest.Harness{
	New:     func(testing.TB) bellwether.Store { return memstore.New() },
	Condemn: func(_ testing.TB, s bellwether.Store, id string) { s.(*memstore.Store).Condemn(id) },
}

func TestStore(t *testing.T) { storetest.Run(t, harness) }

func TestDurable(t *testing.T) { storetest.Durable(t, harness) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, harness) }
