package redisstore

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
)

// What a commit brings must be found in the index too: a rotated refresh token, so that
// nobody inserts it as another row, and the access token. The entries lie in other
// slots, and nobody waits for them: the refresh token is claimed while the commit is on
// its way, and all is confirmed after it, behind the callers. A claim that nobody came
// to confirm is confirmed by whoever meets it. Where not even the claim was placed, the
// commit's mark on the row is left: whoever reads the refresh token finishes the index
// before he tells it, so that nobody can bring back a token that leads nowhere. What he
// cannot finish, since the entry cannot be written now, is left to the next reader, and
// the token is told all the same.

const (
	// tailTime bounds the work that is left after a commit; Close waits for it.
	tailTime = 5 * time.Second
	// mostTails is how many of them run at once; further ones hold up their commit.
	mostTails = 256
	// finishTime bounds what a reader spends on the index of another's commit.
	finishTime = time.Second
)

// tails are the goroutines that work behind the callers.
type tails struct {
	mu     sync.Mutex
	n      int
	closed bool
	done   sync.WaitGroup
}

// run calls f in a goroutine with a ctx that outlives the caller's, and reports whether
// it could.
func (t *tails) run(ctx context.Context, f func(ctx context.Context)) bool {
	t.mu.Lock()
	if t.closed || t.n >= mostTails {
		t.mu.Unlock()
		return false
	}
	t.n++
	t.done.Add(1)
	t.mu.Unlock()
	go func() {
		defer func() {
			t.mu.Lock()
			t.n--
			t.mu.Unlock()
			t.done.Done()
		}()
		tail(ctx, f)
	}()
	return true
}

func tail(ctx context.Context, f func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tailTime)
	defer cancel()
	f(ctx)
}

// close waits for those that run; no other is started.
func (t *tails) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.done.Wait()
}

// mostPresented bounds what is remembered of attempts that were never ended.
const mostPresented = 4096

// presented remembers which refresh token begin gave to an attempt, by digest, so that
// its commit knows whether another came back.
type presented struct {
	mu sync.Mutex
	by map[string]string // by nonce
}

func (p *presented) put(nonce, digest string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = make(map[string]string)
	}
	for old := range p.by {
		if len(p.by) < mostPresented {
			break
		}
		delete(p.by, old) // its commit claims for nothing
	}
	p.by[nonce] = digest
}

func (p *presented) take(nonce string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	digest := p.by[nonce]
	delete(p.by, nonce)
	return digest
}

// refreshDigest is the digest of a refresh token's index entry; "" for an absent one.
func (s *Store) refreshDigest(t bellwether.Secret) string {
	if t.IsZero() {
		return ""
	}
	return s.keys.indexDigest(kindRefresh, t.Reveal())
}

// claimRotated claims the refresh token of an answer for its row while the commit is on
// its way, if it is another than was presented. It returns what to call with the
// outcome, and with the digest of an entry that the row needs no more.
func (s *Store) claimRotated(ctx context.Context, a bellwether.Attempt, t bellwether.Token) func(ans bellwether.CommitAnswer, old string) {
	digest, before := s.refreshDigest(t.RefreshToken), s.presented.take(a.Nonce)
	var claims []claim
	var h held
	placed := make(chan struct{})
	if digest == "" || digest == before {
		close(placed)
	} else {
		claims = []claim{{entry: entry{kind: kindRefresh, digest: digest}, mac: s.keys.mac(kindRefresh, t.RefreshToken)}}
		started := s.tails.run(ctx, func(ctx context.Context) {
			defer close(placed)
			h, _ = s.claim(ctx, ctx, a.ID, claims) // without it, confirming does it all
		})
		if !started {
			close(placed)
		}
	}
	return func(ans bellwether.CommitAnswer, old string) {
		finish := func(ctx context.Context) {
			<-placed
			if ans.Word != bellwether.CommitOK {
				if h.store != nil {
					h.release(ctx)
				}
				return
			}
			s.indexCommitted(ctx, a.ID, ans.Generation, a.Nonce, claims, t, old)
		}
		if len(claims) == 0 && ans.Word != bellwether.CommitOK {
			return
		}
		if !s.tails.run(ctx, finish) {
			tail(ctx, finish)
		}
	}
}

// indexCommitted brings the index in line with a commit, in one round trip. Where it
// confirms a claim it takes the commit's mark, a nonce, from the row after that, and looks
// whether there is a row: a Delete may have cleared the index before.
func (s *Store) indexCommitted(ctx context.Context, id string, gen int64, mark string, claims []claim, t bellwether.Token, old string) {
	calls := s.confirmations(id, gen, claims)
	if old != "" {
		calls = append(calls, s.drops(id, gen, []entry{{kind: kindRefresh, digest: old}})...)
	}
	answers, err := s.runAll(ctx, calls, func(pipe redis.Pipeliner) {
		if !t.AccessToken.IsZero() {
			key := s.keys.index(kindAccess, t.AccessToken.Reveal())
			pipe.Set(ctx, key, confirmed(id, gen), s.accessLife(t.ExpiresAt))
		}
	})
	if err == nil && len(claims) > 0 {
		if answers[0][0] != "ok" {
			s.cfg.Logger.Warn("bellwether: another row owns the refresh token that the provider gave to this one", "id", id)
		}
		err = s.indexed(ctx, id, gen, mark, claims)
	}
	if err != nil {
		s.cfg.Logger.Debug("bellwether: index not written after a commit", "id", id, "err", unquoted(err))
	}
}

// indexed takes a commit's mark from the row. What was confirmed for a row that is gone
// by now is taken back.
func (s *Store) indexed(ctx context.Context, id string, gen int64, mark string, claims []claim) error {
	v, err := s.run(ctx, s.scripts.indexed, []string{s.keys.row(id)}, mark)
	if err != nil || v[0] == "ok" {
		return err
	}
	var calls []call
	for _, c := range claims {
		calls = append(calls, call{s.scripts.dropToken, []string{s.key(c.entry)}, []any{confirmed(id, gen), "", "0"}})
	}
	_, err = s.runAll(ctx, calls, nil)
	return err
}

// finishIndex does for a row what its last commit has not come to yet, or never will.
func (s *Store) finishIndex(ctx context.Context, r *row) {
	if r.ix == "" || !r.live() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, finishTime)
	defer cancel()
	s.indexCommitted(ctx, r.id, r.gen, r.ix, []claim{s.tokenClaim(kindRefresh, r.refresh)}, r.token(), "")
}
