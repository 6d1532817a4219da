package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/internal/cost"
	"github.com/bellwether-go/bellwether/bench/internal/sample"
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

func measureHit(ctx context.Context, run *report.Run, least time.Duration, got func() bool) error {
	for _, procs := range hitProcs {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		ns, err := cost.PerCall(procs, least, got)
		if err != nil {
			return err
		}
		run.Add(fmt.Sprintf("procs_%d", procs), "ns/op", report.Less, ns)
	}
	run.Add("allocations", "allocs/op", report.Less, cost.Allocations(func() { got() }))
	return nil
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
	r, err := sample.Refresher(ctx, store, refresh.Config{Providers: []bellwether.Provider{zoho.New(zoho.EU)}})
	if err != nil {
		return nil, "", err
	}
	st.atEnd(func() { _ = r.Close() })
	_, err = r.Get(ctx, t.ID, refresh.Want{})
	return r, t.ID, err
}
