package storetest_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/memstore"
	"github.com/bellwether-go/bellwether/storetest"
)

// TestDurableSuite runs the suite for durable tiers over a store in memory, with a
// fault when TestSuitesFindFaults asks for one.
func TestDurableSuite(t *testing.T) {
	h := storetest.Harness{
		New: func(testing.TB) bellwether.Store { return memstore.New() },
		// What a store in memory keeps when it is opened again is itself.
		Reopen: func(_ testing.TB, s bellwether.Store) bellwether.Store { return s },
	}
	if f, ok := durableFaults[os.Getenv(faultEnv)]; ok {
		f.spoil(&h)
	}
	storetest.Durable(t, h)
}

type record = bellwether.Record

// A faultyDurable passes each call to its function where it has one.
type faultyDurable struct {
	bellwether.Durable
	mu     sync.Mutex
	record func(ctx context.Context, id string) (record, error)
	swap   func(ctx context.Context, expected string, next record) (record, error)
	save   func(ctx context.Context, t token) (token, error)
}

func (f *faultyDurable) Record(ctx context.Context, id string) (record, error) {
	if f.record == nil {
		return f.Durable.Record(ctx, id)
	}
	return f.record(ctx, id)
}

func (f *faultyDurable) Swap(ctx context.Context, expected string, next record) (record, error) {
	if f.swap == nil {
		return f.Durable.Swap(ctx, expected, next)
	}
	return f.swap(ctx, expected, next)
}

func (f *faultyDurable) Save(ctx context.Context, t token) (token, error) {
	if f.save == nil {
		return f.Durable.Save(ctx, t)
	}
	return f.save(ctx, t)
}

func tier(found string, spoil func(*faultyDurable)) fault {
	return fault{found, func(h *storetest.Harness) {
		h.New = func(testing.TB) bellwether.Store {
			f := &faultyDurable{Durable: memstore.New()}
			spoil(f)
			return f
		}
	}}
}

// onSwap is a fault in what Swap gets.
func onSwap(found string, change func(record) record) fault {
	return tier(found, func(f *faultyDurable) {
		f.swap = func(ctx context.Context, expected string, next record) (record, error) {
			next.Token = next.Token.Clone()
			return f.Durable.Swap(ctx, expected, change(next))
		}
	})
}

// onRecord is a fault in what Record gives.
func onRecord(found string, change func(record) record) fault {
	return tier(found, func(f *faultyDurable) {
		f.record = func(ctx context.Context, id string) (record, error) {
			r, err := f.Durable.Record(ctx, id)
			if err != nil {
				return r, err
			}
			return change(r), nil
		}
	})
}

// durableFaults is keyed by what the store does.
var durableFaults = map[string]fault{
	"loses the notes": onSwap("Swap/KeepsAll", func(r record) record { r.Notes = nil; return r }),
	"loses prev":      onSwap("Swap/KeepsAll", func(r record) record { r.Prev = ""; return r }),
	"loses the state": onSwap("Swap/KeepsAll", func(r record) record {
		r.Token.State, r.Token.Failure = bellwether.StateActive, nil
		return r
	}),
	"counts generations by itself": onSwap("Swap/KeepsAll", func(r record) record { r.Token.Generation = 1; return r }),
	"says nothing of a Save":       onRecord("Record/OfASave", func(r record) record { r.Adopted = false; return r }),
	"takes the generation for a version": tier("Record/VersionsNeverRepeat", func(f *faultyDurable) {
		f.record = func(ctx context.Context, id string) (record, error) {
			r, err := f.Durable.Record(ctx, id)
			if err == nil {
				r.Version = string(rune('a' + r.Token.Generation))
			}
			return r, err
		}
	}),
	"finds no record without an error": tier("Record/Missing", func(f *faultyDurable) {
		f.record = func(ctx context.Context, id string) (record, error) {
			r, err := f.Durable.Record(ctx, id)
			if errors.Is(err, bellwether.ErrNotFound) {
				err = nil
			}
			return r, err
		}
	}),
	"compares nothing": tier("Swap/OtherVersion", func(f *faultyDurable) {
		f.swap = func(ctx context.Context, _ string, next record) (record, error) {
			now, _ := f.Durable.Record(ctx, next.Token.ID)
			return f.Durable.Swap(ctx, now.Version, next)
		}
	}),
	"inserts over a version that is gone": tier("Swap/Missing", func(f *faultyDurable) {
		f.swap = func(ctx context.Context, expected string, next record) (record, error) {
			if _, err := f.Durable.Record(ctx, next.Token.ID); errors.Is(err, bellwether.ErrNotFound) {
				expected = ""
			}
			return f.Durable.Swap(ctx, expected, next)
		}
	}),
	"does not show the row that won": tier("Swap/OtherVersion", func(f *faultyDurable) {
		f.swap = func(ctx context.Context, expected string, next record) (record, error) {
			r, err := f.Durable.Swap(ctx, expected, next)
			if errors.Is(err, bellwether.ErrConflict) {
				r = record{}
			}
			return r, err
		}
	}),
	"forgets the cred at a Save": tier("Swap/SaveAfter", func(f *faultyDurable) {
		saved := make(map[string]bool)
		f.save = func(ctx context.Context, t token) (token, error) {
			row, err := f.Durable.Save(ctx, t)
			f.mu.Lock()
			defer f.mu.Unlock()
			saved[row.ID] = true
			return row, err
		}
		f.record = func(ctx context.Context, id string) (record, error) {
			r, err := f.Durable.Record(ctx, id)
			f.mu.Lock()
			defer f.mu.Unlock()
			if saved[id] {
				r.Cred, r.Prev = "", ""
			}
			return r, err
		}
	}),
	"gives a row two owners of one token": onSwap("Swap/OwnedElsewhere/refresh", func(r record) record {
		if r.Token.RefreshToken.Equal(bellwether.NewSecret("refresh-a")) && r.Token.ID != "owner" {
			r.Token.RefreshToken = bellwether.NewSecret("another")
		}
		return r
	}),
	"makes up a cred": onSwap("Swap/Refuses/no_cred", func(r record) record {
		if r.Cred == "" {
			r.Cred = "made-up"
		}
		return r
	}),
	"merges": tier("Swap/ClearsAndShares", func(f *faultyDurable) {
		f.swap = func(ctx context.Context, expected string, next record) (record, error) {
			if old, err := f.Durable.Record(ctx, next.Token.ID); err == nil {
				next.Token.UserName = old.Token.UserName
			}
			return f.Durable.Swap(ctx, expected, next)
		}
	}),
	"ignores the ctx of a Swap": tier("Swap/Context", func(f *faultyDurable) {
		f.swap = func(ctx context.Context, expected string, next record) (record, error) {
			return f.Durable.Swap(context.WithoutCancel(ctx), expected, next)
		}
	}),
	"forgets the past at a Swap": tier("SwapPast/BootWithTheFirstRefreshToken", func(f *faultyDurable) {
		f.swap = func(ctx context.Context, expected string, next record) (record, error) {
			now, err := f.Durable.Record(ctx, next.Token.ID)
			if err == nil && now.Version == expected {
				if err := f.Durable.Delete(ctx, next.Token.ID); err != nil {
					return record{}, err
				}
				id := next.Token.ID
				next.Token.ID += "-"
				r, err := f.Durable.Swap(ctx, "", next)
				if err != nil {
					return r, err
				}
				next.Token.ID = id
				_ = f.Durable.Delete(ctx, id+"-")
				expected = ""
			}
			return f.Durable.Swap(ctx, expected, next)
		}
	}),
	"looks, then swaps": tier("SwapRace/OneVersionOneWinner", func(f *faultyDurable) {
		f.swap = func(ctx context.Context, expected string, next record) (record, error) {
			now, _ := f.Durable.Record(ctx, next.Token.ID)
			if now.Version != expected {
				return now, &bellwether.Error{Kind: bellwether.ErrConflict}
			}
			for {
				runtime.Gosched()
				r, err := f.Durable.Swap(ctx, now.Version, next)
				if !errors.Is(err, bellwether.ErrConflict) {
					return r, err
				}
				now = r
			}
		}
	}),
	"is empty when it is opened again": {"Reopen/KeepsAll", func(h *storetest.Harness) {
		h.Reopen = func(testing.TB, bellwether.Store) bellwether.Store { return memstore.New() }
	}},
}
