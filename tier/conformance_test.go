package tier_test

import (
	"log/slog"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/memstore"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
	"github.com/bellwether-go/bellwether/storetest"
	"github.com/bellwether-go/bellwether/tier"
)

var (
	_ refresh.Backend    = (*tier.Store)(nil)
	_ tier.Front         = (*redisstore.Store)(nil)
	_ bellwether.Durable = (*memstore.Store)(nil)
)

var quiet = slog.New(slog.DiscardHandler)

// tiers is a store over both tiers, and the tiers.
type tiers struct {
	*tier.Store
	front *redisstore.Store
	back  *durable
	redis *miniredis.Miniredis
	keys  bellwether.Sealer
}

func newTiers(t testing.TB) tiers {
	t.Helper()
	m := miniredis.RunT(t)
	redistest.CrossSlot(m, nil)
	return replica(t, m, newKeys(t), &durable{Durable: memstore.New()})
}

func newKeys(t testing.TB) bellwether.Sealer {
	t.Helper()
	keys, err := seal.New()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// replica opens both tiers as another process would.
func replica(t testing.TB, m *miniredis.Miniredis, keys bellwether.Sealer, back *durable) tiers {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: m.Addr(), ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	front, err := redisstore.New(t.Context(), client, redisstore.Config{Namespace: "test", Sealer: keys, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Close() })
	s := tier.New(front, back, tier.Config{Logger: quiet})
	t.Cleanup(func() { _ = s.Close() })
	return tiers{Store: s, front: front, back: back, redis: m, keys: keys}
}

// The whole contract of a Store holds over two tiers.
func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		Rows: 500,
		New:  func(t testing.TB) bellwether.Store { return newTiers(t) },
	})
}

// It holds too when Redis forgets all it has before each call, but for generations: a row
// that is brought back has another.
func TestStoreOverForgetfulRedis(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		Rows:   200,
		Groups: []string{"Identity", "Past", "Delete", "List", "Context"},
		New:    func(t testing.TB) bellwether.Store { return forgetful{newTiers(t)} },
	})
}
