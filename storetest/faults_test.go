package storetest_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/memstore"
	"github.com/bellwether-go/bellwether/storetest"
)

type token = bellwether.Token

// A fault breaks one rule of a good store.
type fault struct {
	found string // the subtest that must fail
	spoil func(*storetest.Harness)
}

// A faulty store passes each call to its function where it has one, else to the good
// store.
type faulty struct {
	bellwether.Store
	mu       sync.Mutex
	find     func(ctx context.Context, partial token) (token, error)
	findByID func(ctx context.Context, id string) (token, error)
	save     func(ctx context.Context, t token) (token, error)
	delete   func(ctx context.Context, id string) error
	list     func(ctx context.Context) iter.Seq2[token, error]
}

func (f *faulty) Find(ctx context.Context, partial token) (token, error) {
	if f.find == nil {
		return f.Store.Find(ctx, partial)
	}
	return f.find(ctx, partial)
}

func (f *faulty) FindByID(ctx context.Context, id string) (token, error) {
	if f.findByID == nil {
		return f.Store.FindByID(ctx, id)
	}
	return f.findByID(ctx, id)
}

func (f *faulty) Save(ctx context.Context, t token) (token, error) {
	if f.save == nil {
		return f.Store.Save(ctx, t)
	}
	return f.save(ctx, t)
}

func (f *faulty) Delete(ctx context.Context, id string) error {
	if f.delete == nil {
		return f.Store.Delete(ctx, id)
	}
	return f.delete(ctx, id)
}

func (f *faulty) List(ctx context.Context) iter.Seq2[token, error] {
	if f.list == nil {
		return f.Store.List(ctx)
	}
	return f.list(ctx)
}

// onSave is a fault in what Save gets.
func onSave(found string, change func(token) token) fault {
	return store(found, func(f *faulty) {
		f.save = func(ctx context.Context, t token) (token, error) { return f.Store.Save(ctx, change(t.Clone())) }
	})
}

func store(found string, spoil func(*faulty)) fault {
	return fault{found, func(h *storetest.Harness) {
		h.New = func(testing.TB) bellwether.Store {
			f := &faulty{Store: memstore.New()}
			spoil(f)
			return f
		}
	}}
}

// faults is keyed by what the store does.
var faults = map[string]fault{
	"keeps times to the second": onSave("Values/TimesToTheMillisecond", func(t token) token {
		t.ExpiresAt = t.ExpiresAt.Truncate(time.Second)
		return t
	}),
	"loses the scopes": onSave("Values/EveryField", func(t token) token { t.Scopes = nil; return t }),
	"ends an ID at NUL": onSave("Values/HostileIDs", func(t token) token {
		if head, _, cut := strings.Cut(t.ID, "\x00"); cut && head != "" {
			t.ID = head
		}
		return t
	}),
	"trims user names": onSave("Values/HostileValues", func(t token) token { t.UserName = strings.TrimSpace(t.UserName); return t }),
	"cuts long IDs": onSave("Values/RefusedValues", func(t token) token {
		t.ID = t.ID[:min(len(t.ID), bellwether.MaxIDLen)]
		return t
	}),
	"cuts long values": onSave("Values/LargeValues", func(t token) token {
		t.AccessToken = bellwether.NewSecret(t.AccessToken.Reveal()[:min(len(t.AccessToken.Reveal()), 4096)])
		return t
	}),
	"shares memory": store("Values/NoSharedMemory", func(f *faulty) {
		rows := make(map[string]token)
		f.findByID = func(ctx context.Context, id string) (token, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			t, err := f.Store.FindByID(ctx, id)
			if old, ok := rows[id]; ok && err == nil && old.Generation == t.Generation {
				return old, nil
			}
			rows[id] = t
			return t, err
		}
	}),
	"finds nothing without an error": store("Values/Miss", func(f *faulty) {
		f.findByID = func(ctx context.Context, id string) (token, error) {
			t, err := f.Store.FindByID(ctx, id)
			if errors.Is(err, bellwether.ErrNotFound) {
				err = nil
			}
			return t, err
		}
	}),
	"replaces instead of merging": store("Save/MergeKeepsWhatIsAbsent", func(f *faulty) {
		f.save = func(ctx context.Context, t token) (token, error) {
			if old, err := f.Store.FindByID(ctx, t.ID); err == nil && t.Generation == 0 {
				t.Generation = old.Generation
				t.RefreshToken = old.RefreshToken
			}
			return f.Store.Save(ctx, t)
		}
	}),
	"merges always": onSave("Save/ReplaceClears", func(t token) token { t.Generation = 0; return t }),
	"takes any generation": store("Save/ReplaceNeedsTheGeneration", func(f *faulty) {
		f.save = force(f, func() {})
	}),
	"makes rows without a credential": store("Save/CredentialNeeded", func(f *faulty) {
		f.save = func(ctx context.Context, t token) (token, error) {
			saved, err := f.Store.Save(ctx, t)
			if errors.Is(err, bellwether.ErrInvalid) && t.ID == "" {
				t.AccessToken = bellwether.NewSecret("made up")
				return f.Store.Save(ctx, t)
			}
			return saved, err
		}
	}),
	"folds user names": store("Identity/UserName", func(f *faulty) {
		f.find = func(ctx context.Context, partial token) (token, error) {
			partial.UserName = strings.ToLower(partial.UserName)
			return f.Store.Find(ctx, partial)
		}
	}),
	"takes the first of several": store("Identity/UserNameNarrowed/provider", func(f *faulty) {
		f.find = func(ctx context.Context, partial token) (token, error) {
			t, err := f.Store.Find(ctx, partial)
			if errors.Is(err, bellwether.ErrAmbiguous) {
				for t, err := range f.Store.List(ctx) {
					if err != nil || t.UserName == partial.UserName {
						return t, err
					}
				}
			}
			return t, err
		}
	}),
	"does not narrow by client": store("Identity/TokenNarrowed/client_id", func(f *faulty) {
		f.find = func(ctx context.Context, partial token) (token, error) {
			partial.ClientID = ""
			return f.Store.Find(ctx, partial)
		}
	}),
	"does not match a blank": store("Identity/UserNameFillsBlanks/accounts_URL", func(f *faulty) {
		f.save = func(ctx context.Context, t token) (token, error) {
			if old, err := f.Store.Find(ctx, t); err == nil && old.AccountsURL == "" && t.AccountsURL != "" && t.RefreshToken.IsZero() {
				return token{}, &bellwether.Error{Kind: bellwether.ErrInvalid}
			}
			return f.Store.Save(ctx, t)
		}
	}),
	"fills by Find": store("Identity/FindFillsNothing", func(f *faulty) {
		f.find = func(ctx context.Context, partial token) (token, error) {
			if t, err := f.Store.Find(ctx, partial); err != nil {
				return t, err
			}
			return f.Store.Save(ctx, partial)
		}
	}),
	"gives a refresh token to a second row": onSave("Identity/OneRowPerRefreshToken", func(t token) token {
		if t.ID == "two" && t.Generation == 0 && t.UserName == "" {
			t.RefreshToken = bellwether.Secret{}
		}
		return t
	}),
	"stores whatever refresh token it gets": store("Past/BootWithTheFirstRefreshToken/named", func(f *faulty) {
		given := make(map[string]bellwether.Secret)
		f.save = func(ctx context.Context, t token) (token, error) {
			saved, err := f.Store.Save(ctx, t)
			f.mu.Lock()
			defer f.mu.Unlock()
			if err == nil && !t.RefreshToken.IsZero() {
				given[saved.ID] = t.RefreshToken
			}
			saved.RefreshToken = given[saved.ID]
			return saved, err
		}
	}),
	"takes the expiry of an old access token": store("Past/OldAccessToken", func(f *faulty) {
		f.save = func(ctx context.Context, t token) (token, error) {
			saved, err := f.Store.Save(ctx, t)
			if err == nil && !t.ExpiresAt.IsZero() && !saved.ExpiresAt.Equal(t.ExpiresAt) {
				return f.Store.Save(ctx, token{ID: saved.ID, ExpiresAt: t.ExpiresAt})
			}
			return saved, err
		}
	}),
	"becomes active by any Save": {"Lineage/ResetsTheState/access_token", func(h *storetest.Harness) {
		condemned := false
		h.New = func(testing.TB) bellwether.Store {
			f := &faulty{Store: memstore.New()}
			condemned = false
			show := func(t token, err error) (token, error) {
				if condemned {
					t.State = bellwether.StateReauthRequired
					t.Failure = &bellwether.Failure{Reason: bellwether.ReasonRevoked}
				}
				return t, err
			}
			f.findByID = func(ctx context.Context, id string) (token, error) { return show(f.Store.FindByID(ctx, id)) }
			f.save = func(ctx context.Context, t token) (token, error) {
				condemned = false
				return f.Store.Save(ctx, t)
			}
			return f
		}
		h.Condemn = func(testing.TB, bellwether.Store, string) { condemned = true }
	}},
	"deletes what is not there": store("Delete/NothingIsLeft", func(f *faulty) {
		f.delete = func(ctx context.Context, id string) error {
			if err := f.Store.Delete(ctx, id); !errors.Is(err, bellwether.ErrNotFound) {
				return err
			}
			return nil
		}
	}),
	"starts again at generation 1": store("Delete/SavedAgainUnderItsID", func(f *faulty) {
		base := make(map[string]int64)
		f.delete = func(ctx context.Context, id string) error {
			old, _ := f.Store.FindByID(ctx, id)
			base[id] = old.Generation + 1
			return f.Store.Delete(ctx, id)
		}
		f.save = func(ctx context.Context, t token) (token, error) {
			saved, err := f.Store.Save(ctx, t)
			saved.Generation -= base[saved.ID]
			return saved, err
		}
	}),
	"lists by offset": store("List/WhileOthersAreDeleted", func(f *faulty) {
		f.list = func(ctx context.Context) iter.Seq2[token, error] {
			return func(yield func(token, error) bool) {
				for offset := 0; ; offset += 10 {
					rows := make(map[string]token)
					for t := range f.Store.List(ctx) {
						rows[t.ID] = t
					}
					page := slices.Sorted(maps.Keys(rows))
					page = page[min(offset, len(page)):min(offset+10, len(page))]
					for _, id := range page {
						if !yield(rows[id], nil) {
							return
						}
					}
					if len(page) == 0 {
						return
					}
				}
			}
		}
	}),
	"ends a cancelled listing in silence": store("List/Cancel", func(f *faulty) {
		f.list = func(ctx context.Context) iter.Seq2[token, error] {
			return func(yield func(token, error) bool) {
				for t, err := range f.Store.List(ctx) {
					if err != nil || !yield(t, nil) {
						return
					}
				}
			}
		}
	}),
	"ignores its ctx": store("Context/Ended", func(f *faulty) {
		f.save = func(ctx context.Context, t token) (token, error) {
			return f.Store.Save(context.WithoutCancel(ctx), t)
		}
	}),
	"hides an insert that was cut off": store("Context/EndsDuringSave", func(f *faulty) {
		f.save = func(ctx context.Context, t token) (token, error) {
			if ctx.Err() != nil {
				_, _ = f.Store.Save(context.WithoutCancel(ctx), token{UserName: t.UserName, RefreshToken: t.RefreshToken})
				return token{}, ctx.Err()
			}
			return f.Store.Save(ctx, t)
		}
	}),
	"looks, then inserts": store("Race/OneUserName", func(f *faulty) {
		f.save = func(ctx context.Context, t token) (token, error) {
			old, err := f.Store.Find(ctx, t)
			runtime.Gosched()
			time.Sleep(time.Millisecond)
			if err != nil {
				t.UserName += strings.Repeat(" ", int(time.Now().UnixNano()%1000))
			}
			if t.ID == "" {
				t.ID = old.ID
			}
			return f.Store.Save(ctx, t)
		}
	}),
	"compares, then writes": store("Race/OneGenerationOneWinner", func(f *faulty) {
		write := force(f, func() { time.Sleep(time.Millisecond) })
		f.save = func(ctx context.Context, t token) (token, error) {
			if t.Generation > 0 {
				if old, err := f.Store.FindByID(ctx, t.ID); err != nil || old.Generation != t.Generation {
					return token{}, &bellwether.Error{Kind: bellwether.ErrConflict}
				}
			}
			return write(ctx, t)
		}
	}),
	"is not shared by processes": {"Process/SeesTheSameRows", func(*storetest.Harness) {}}, // see dial
}

// force replaces whatever generation there is.
func force(f *faulty, pause func()) func(context.Context, token) (token, error) {
	return func(ctx context.Context, t token) (token, error) {
		pause()
		if t.Generation == 0 {
			return f.Store.Save(ctx, t)
		}
		for {
			if old, err := f.Store.Find(ctx, t); err == nil {
				t.Generation = old.Generation
			}
			saved, err := f.Store.Save(ctx, t)
			if !errors.Is(err, bellwether.ErrConflict) || ctx.Err() != nil {
				return saved, err
			}
			if _, findErr := f.Store.Find(ctx, t); findErr != nil {
				return saved, err
			}
		}
	}
}
