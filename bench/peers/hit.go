package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/provider/zoho"
	"github.com/bellwether-go/bellwether/refresh"
)

// hitProcs are the values of GOMAXPROCS at which a hit is measured, with as many callers.
var hitProcs = []int{1, 2, 8}

// openHit sets up one token that lives, in each cache's memory.
func openHit(ctx context.Context, st *stage) (report.Parameters, []subject, error) {
	r, id, err := openHot(ctx, st)
	if err != nil {
		return report.Parameters{}, nil, err
	}
	token := &oauth2.Token{AccessToken: "1000.access", TokenType: "Bearer", Expiry: time.Now().Add(time.Hour)}
	renew := func(context.Context) (*oauth2.Token, error) { return token, nil }

	var limit atomic.Pointer[oauth2.Token]
	limit.Store(token)
	source := r.Source(id)
	reuse := newOAuth2Cache(ctx, renew)
	google := newGoogleCache(renew)
	credentials := newAWSCache(renew)
	sturdy := newSturdyCache()

	var subjects []subject
	for _, s := range []struct {
		name string
		got  func() bool // reports whether the call gave a token
	}{
		{"bellwether Source.Token", func() bool {
			t, err := source.Token()
			return err == nil && t != nil
		}},
		{"bellwether Refresher.Get", func() bool {
			_, err := r.Get(ctx, id, refresh.Want{})
			return err == nil
		}},
		{"x/oauth2 ReuseTokenSource", func() bool {
			t, err := reuse.Token()
			return err == nil && t != nil
		}},
		{"google auth cached provider", func() bool {
			t, err := google.Token(ctx)
			return err == nil && t != nil
		}},
		{"aws CredentialsCache", func() bool {
			c, err := credentials.Retrieve(ctx)
			return err == nil && c.HasKeys()
		}},
		{"sturdyc GetOrFetch", func() bool {
			t, err := sturdy.GetOrFetch(ctx, "token", renew)
			return err == nil && t != nil
		}},
		{"limit: atomic load", func() bool { return limit.Load() != nil }},
	} {
		subjects = append(subjects, subject{name: s.name, measure: func(ctx context.Context, run *report.Run) error {
			return measureHit(ctx, run, st.sample, s.got)
		}})
	}
	return report.Parameters{Tokens: 1}, subjects, nil
}

func measureHit(ctx context.Context, run *report.Run, sample time.Duration, got func() bool) error {
	for _, procs := range hitProcs {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		ns, err := perCall(procs, sample, got)
		if err != nil {
			return err
		}
		run.Add(fmt.Sprintf("procs_%d", procs), "ns/op", report.Less, ns)
	}
	run.Add("allocations", "allocs/op", report.Less, testing.AllocsPerRun(1000, func() { got() }))
	return nil
}

// perCall is the time in ns that one call takes of the whole, as testing.B.RunParallel
// counts, when as many callers as processors call without pause. The cost of calling a
// func value is in it, the same for all.
func perCall(procs int, sample time.Duration, got func() bool) (float64, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	for calls := 1000; ; {
		var missed atomic.Bool
		var wg sync.WaitGroup
		begun := time.Now()
		for range procs {
			wg.Go(func() {
				for range calls {
					if !got() {
						missed.Store(true)
						return
					}
				}
			})
		}
		wg.Wait()
		took := time.Since(begun)
		switch {
		case missed.Load():
			return 0, errors.New("a call gave no token")
		case took >= sample:
			return float64(took) / float64(procs*calls), nil
		}
		calls *= min(100, 2+int(sample/max(took, 1)))
	}
}

// openHot returns a Refresher that has one token in memory.
func openHot(ctx context.Context, st *stage) (_ *refresh.Refresher, id string, err error) {
	store, err := st.openStore(ctx, "hit")
	if err != nil {
		return nil, "", err
	}
	st.atEnd(func() { _ = store.Close() })
	t, err := livingToken(store, 0)
	if err != nil {
		return nil, "", err
	}
	if t, err = store.Save(ctx, t); err != nil {
		return nil, "", err
	}
	r, err := openRefresher(ctx, store, zoho.New(zoho.EU))
	if err != nil {
		return nil, "", err
	}
	st.atEnd(func() { _ = r.Close() })
	_, err = r.Get(ctx, t.ID, refresh.Want{})
	return r, t.ID, err
}

// openRefresher returns a Refresher whose subscription stands: what it reads before that
// it reads again.
func openRefresher(ctx context.Context, backend refresh.Backend, p bellwether.Provider) (*refresh.Refresher, error) {
	subscribed := make(chan struct{}, 1)
	r, err := refresh.New(backend, refresh.Config{
		Providers: []bellwether.Provider{p},
		Logger:    discard,
		Observer: func(rep refresh.Report) {
			if rep.Event == refresh.EventResynced {
				select {
				case subscribed <- struct{}{}:
				default:
				}
			}
		},
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-subscribed:
		return r, nil
	case <-ctx.Done():
		_ = r.Close()
		return nil, context.Cause(ctx)
	}
}
