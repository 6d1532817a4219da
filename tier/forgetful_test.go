package tier_test

import (
	"context"
	"iter"

	"github.com/bellwether-go/bellwether"
)

// A forgetful store loses all of Redis before each Save without a generation, each Delete,
// DeleteAll and List. A Save by a generation would fail: a row that is brought back has
// another. What Find and FindByID do after that is thereby seen too.
type forgetful struct{ tiers }

// flush empties Redis but for its scripts, as FLUSHALL does.
func (f forgetful) flush() { f.redis.FlushAll() }

func (f forgetful) Save(ctx context.Context, t bellwether.Token) (bellwether.Token, error) {
	if t.Generation == 0 {
		f.flush()
	}
	return f.tiers.Save(ctx, t)
}

func (f forgetful) Delete(ctx context.Context, id string) error {
	f.flush()
	return f.tiers.Delete(ctx, id)
}

func (f forgetful) DeleteAll(ctx context.Context) error {
	f.flush()
	return f.tiers.DeleteAll(ctx)
}

func (f forgetful) List(ctx context.Context) iter.Seq2[bellwether.Token, error] {
	f.flush()
	return f.tiers.List(ctx)
}
