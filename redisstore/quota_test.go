package redisstore_test

import (
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
)

func TestQuota(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		quotas := []bellwether.Quota{{N: 4, Per: time.Hour}, {N: 9, Per: 2 * time.Hour}}
		limited := func(kind bellwether.AttemptKind) func(*bellwether.Attempt) {
			return func(a *bellwether.Attempt) { a.Kind, a.Quotas, a.ForcedInterval = kind, quotas, 0; reusable(a) }
		}
		tok := save(t, s, newToken("p"))
		call := func(kind bellwether.AttemptKind, sent bool) bellwether.BeginAnswer {
			a := attempt(t, s, tok.ID, limited(kind))
			ans := begin(t, s, a)
			if ans.Word == bellwether.BeginGo {
				fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent, Sent: sent})
			}
			return ans
		}
		wantWord(t, call(bellwether.AttemptMandatory, false), bellwether.BeginGo) // not sent: not counted
		wantWord(t, call(bellwether.AttemptBackground, true), bellwether.BeginGo)
		wantWord(t, call(bellwether.AttemptBackground, true), bellwether.BeginGo)
		wantWord(t, call(bellwether.AttemptBackground, true), bellwether.BeginDenied) // two are kept back
		wantWord(t, call(bellwether.AttemptForced, true), bellwether.BeginGo)
		wantWord(t, call(bellwether.AttemptMandatory, true), bellwether.BeginGo)
		ans := call(bellwether.AttemptMandatory, true)
		wantWord(t, ans, bellwether.BeginDenied)
		if d := ans.Until.Sub(ans.Now); ans.Why != bellwether.DenialQuota || d < 59*time.Minute || d > time.Hour {
			t.Errorf("denied %q for %v, want quota until the oldest call is an hour old", ans.Why, d)
		}
	})
}

func TestQuotaWindowSlides(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := save(t, s, newToken("p"))
		next := func() bellwether.Attempt {
			return attempt(t, s, tok.ID, reusable, func(a *bellwether.Attempt) { a.Quotas = []bellwether.Quota{{N: 1, Per: 50 * time.Millisecond}} })
		}
		a := next()
		first := begin(t, s, a)
		wantWord(t, first, bellwether.BeginGo)
		fail(t, s, bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent, Sent: true})
		ans := after(t, s, bellwether.BeginDenied, next)
		wantWord(t, ans, bellwether.BeginGo)
		if d := ans.Now.Sub(first.Now); d < 50*time.Millisecond {
			t.Errorf("the second call came %v after the first, want at least the window", d)
		}
	})
}
