package tier_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/tier"
)

// What is lost, or written by others, in the middle of an attempt, or of a Save.

// A hooked Redis has something happen after a call of its, once.
type hooked struct {
	*redisstore.Store
	afterBegin, afterRecord func()
}

func once(f *func()) {
	if now := *f; now != nil {
		*f = nil
		now()
	}
}

func (h *hooked) Begin(ctx context.Context, a bellwether.Attempt) (bellwether.BeginAnswer, error) {
	defer once(&h.afterBegin)
	return h.Store.Begin(ctx, a)
}

func (h *hooked) Record(ctx context.Context, id string) (bellwether.Record, error) {
	defer once(&h.afterRecord)
	return h.Store.Record(ctx, id)
}

// hookedReplica is another store over the tiers of ts.
func hookedReplica(t *testing.T, ts tiers) (tiers, *hooked) {
	t.Helper()
	front := &hooked{Store: ts.front}
	s := tier.New(front, ts.back, tier.Config{Logger: quiet})
	t.Cleanup(func() { _ = s.Close() })
	ts.Store = s
	return ts, front
}

// wantWord begins and checks that nothing is presented.
func wantWord(t *testing.T, ts tiers, rotation bellwether.Rotation, want bellwether.BeginWord) {
	t.Helper()
	_, ans, err := begin(t, ts, rotation)
	if err != nil || ans.Word != want || !ans.Token.RefreshToken.IsZero() {
		t.Fatalf("Begin: %q with %q, %v; want %s", ans.Word, ans.Token.RefreshToken.Reveal(), err, want)
	}
}

func wantGone(t *testing.T, stores ...bellwether.Store) {
	t.Helper()
	for _, s := range stores {
		if got, err := s.FindByID(t.Context(), "row"); !errors.Is(err, bellwether.ErrNotFound) {
			t.Errorf("%T has the row, with %s, %v", s, got.RefreshToken.Reveal(), err)
		}
	}
}

// restoreBackup puts an older record into the durable tier, as a backup does.
func restoreBackup(t *testing.T, ts tiers, old bellwether.Record) {
	t.Helper()
	if err := ts.back.Durable.Delete(t.Context(), "row"); err != nil {
		t.Fatal(err)
	}
	if _, err := ts.back.Durable.Swap(t.Context(), "", old); err != nil {
		t.Fatal(err)
	}
}

func durableRecord(t *testing.T, ts tiers) bellwether.Record {
	t.Helper()
	r, err := ts.back.Durable.Record(t.Context(), "row")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Redis says go for credentials that a reader replaces a moment later by the durable ones.
func TestInstalledWhileItBegins(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	restore := snapshot(t, ts)
	refreshed(t, ts, strict, 1)
	restore()
	one, front := hookedReplica(t, ts)
	front.afterBegin = func() {
		if _, err := ts.Save(t.Context(), bellwether.Token{ID: "row", UserName: "u"}); err != nil {
			t.Error(err)
		}
	}
	wantWord(t, one, strict, bellwether.BeginChanged)
	refreshed(t, one, strict, 2)
}

// A failover of Redis loses an intent alone, or the end of a row.
func TestDurableKnowsMore(t *testing.T) {
	t.Parallel()
	t.Run("an intent", func(t *testing.T) {
		t.Parallel()
		ts := newTiers(t)
		signIn(t, ts)
		restore := snapshot(t, ts)
		a, ans := mustGo(t, ts, strict)
		restore()
		wantWord(t, ts, strict, bellwether.BeginChanged)
		wantWord(t, ts, strict, bellwether.BeginRecover)
		mustCommit(t, ts, answer(a, ans, 1))
		wantBoth(t, ts, 1)
	})
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		for name, end := range map[string]func(ts tiers) error{
			"revoking": func(ts tiers) error { return ts.MarkRevoking(t.Context(), "row") },
			"refused": func(ts tiers) error {
				a, _ := mustGo(t, ts, rotation)
				_, err := ts.Fail(t.Context(), bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeRefused, Sent: true})
				return err
			},
		} {
			ts := newTiers(t)
			signIn(t, ts)
			restore := snapshot(t, ts)
			if err := end(ts); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			restore()
			wantWord(t, ts, rotation, bellwether.BeginChanged)
			wantWord(t, ts, rotation, bellwether.BeginState)
		}
	})
}

// One that has just failed, and has not told the durable tier yet, keeps nobody waiting.
func TestOutcomeThatIsOnItsWay(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	a, _ := mustGo(t, ts, strict)
	one, front := hookedReplica(t, ts)
	front.afterBegin = func() {
		time.AfterFunc(100*time.Millisecond, func() {
			r, err := ts.front.Record(context.Background(), "row")
			if err == nil {
				var back bellwether.Record
				if back, err = ts.back.Durable.Record(context.Background(), "row"); err == nil {
					_, err = ts.back.Durable.Swap(context.Background(), back.Version, r)
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := ts.front.Fail(t.Context(), bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent}); err != nil {
		t.Fatal(err)
	}
	mustGo(t, one, strict)
}

// A durable store that hangs leaves time to write Redis.
func TestDurableHangs(t *testing.T) {
	t.Parallel()
	t.Run("commit", func(t *testing.T) {
		eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
			ts := newTiers(t)
			signIn(t, ts)
			a, ans := mustGo(t, ts, rotation)
			ts.back.hangs.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if got, err := ts.Commit(ctx, answer(a, ans, 1)); err != nil || got.Word != bellwether.CommitOK {
				t.Fatalf("Commit: %q, %v; want ok", got.Word, err)
			}
			ts.back.hangs.Store(false)
			awaitCopied(t, ts)
			wantBoth(t, ts, 1)
		})
	})
	t.Run("begin", func(t *testing.T) {
		eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
			ts := newTiers(t)
			signIn(t, ts)
			snap, err := ts.Peek(t.Context(), "row", "")
			if err != nil {
				t.Fatal(err)
			}
			ts.back.hangs.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			a := bellwether.Attempt{ID: "row", Nonce: rand.Text(), Expected: snap.Cred, Budget: time.Minute, Rotation: rotation}
			if _, err := ts.Lock(ctx, "row", a.Nonce, 10*time.Second, time.Minute); err != nil {
				t.Fatal(err)
			}
			ans, err := ts.Begin(ctx, a)
			if rotation == strict && !errors.Is(err, bellwether.ErrUnavailable) || rotation == reusable && (err != nil || ans.Word != bellwether.BeginGo) {
				t.Errorf("Begin: %q, %v", ans.Word, err)
			}
		})
	})
}

// Redis is flushed under a call while the durable store is away: the answer is not dropped.
func TestAnswerThatNobodyTakes(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	a, ans := mustGo(t, ts, strict)
	ts.back.away.Store(true)
	ts.redis.FlushAll()
	if got, err := ts.Commit(t.Context(), answer(a, ans, 1)); !errors.Is(err, bellwether.ErrUnavailable) {
		t.Fatalf("Commit: %q, %v; want unavailable, so that it is offered again", got.Word, err)
	}
	ts.back.away.Store(false)
	mustCommit(t, ts, answer(a, ans, 1))
	wantBoth(t, ts, 1)
}

// Redis alone has an answer, and is flushed before that is copied.
func TestAnswerThatRedisLoses(t *testing.T) {
	t.Parallel()
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		ts := newTiers(t)
		signIn(t, ts)
		a, ans := mustGo(t, ts, rotation)
		ts.back.away.Store(true)
		mustCommit(t, ts, answer(a, ans, 1))
		ts.redis.FlushAll()
		ts.back.away.Store(false)
		awaitCopied(t, ts)
		if got, err := ts.FindByID(t.Context(), "row"); err != nil || !got.RefreshToken.Equal(secret("r1")) {
			t.Errorf("the row holds %s, %v; want r1", got.RefreshToken.Reveal(), err)
		}
	})
}

// A Delete runs, from beginning to end, in the middle of a begin.
func TestDeletedWhileItBegins(t *testing.T) {
	t.Parallel()
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		ts := newTiers(t)
		signIn(t, ts)
		one, front := hookedReplica(t, ts)
		front.afterRecord = func() {
			if err := ts.Delete(t.Context(), "row"); err != nil {
				t.Error(err)
			}
		}
		wantWord(t, one, rotation, bellwether.BeginGone)
		ts.redis.FlushAll()
		wantGone(t, ts, ts.back.Durable)
	})
}

// A boot Save says nothing new of a row that is being revoked; it must not hold that up,
// nor must a program that writes the same into the durable store.
func TestSaveDuringARevocation(t *testing.T) {
	t.Parallel()
	for name, save := range map[string]func(ts tiers) (bellwether.Token, error){
		"through the tier": func(ts tiers) (bellwether.Token, error) {
			return ts.Save(t.Context(), bellwether.Token{ID: "row", UserName: "u", RefreshToken: secret("r0")})
		},
		"into the durable store": func(ts tiers) (bellwether.Token, error) {
			return ts.back.Durable.Save(t.Context(), bellwether.Token{ID: "row", AccessToken: secret("theirs")})
		},
	} {
		ts := newTiers(t)
		signIn(t, ts)
		if err := ts.MarkRevoking(t.Context(), "row"); err != nil {
			t.Fatal(err)
		}
		before := durableRecord(t, ts)
		if _, err := save(ts); name == "through the tier" && (!errors.Is(err, bellwether.ErrRevoking) || durableRecord(t, ts).Version != before.Version) {
			t.Errorf("Save %s: %v, and the durable store may have it; want ErrRevoking", name, err)
		}
		if err := ts.DeleteRevoking(t.Context(), "row"); err != nil {
			t.Errorf("DeleteRevoking after a Save %s: %v", name, err)
		}
		wantGone(t, ts, ts.back.Durable)
		wantSignIn(t, ts)
	}
}

// wantSignIn checks that a revocation into which another program writes is ended by a
// sign-in.
func wantSignIn(t *testing.T, ts tiers) {
	t.Helper()
	signIn(t, ts)
	if err := ts.MarkRevoking(t.Context(), "row"); err != nil {
		t.Fatal(err)
	}
	if _, err := ts.back.Durable.Save(t.Context(), bellwether.Token{ID: "row", AccessToken: secret("theirs")}); err != nil {
		t.Fatal(err)
	}
	got, err := ts.Save(t.Context(), bellwether.Token{ID: "row", RefreshToken: secret("r8"), AccessToken: secret("a8")})
	if err != nil || got.State != bellwether.StateActive {
		t.Fatalf("a sign-in during a revocation: %s, %v", got.State, err)
	}
	wantBoth(t, ts, 8)
}

// Redis has condemned a row, or has seen it refused; the durable store has a newer one.
func TestDeadInRedisAlone(t *testing.T) {
	t.Parallel()
	die := func(t *testing.T, ts tiers) {
		t.Helper()
		snap, err := ts.front.Peek(t.Context(), "row", "")
		if err != nil {
			t.Fatal(err)
		}
		a := bellwether.Attempt{ID: "row", Nonce: rand.Text(), Expected: snap.Cred, Budget: time.Minute, Rotation: strict}
		if _, err := ts.Lock(t.Context(), "row", a.Nonce, 10*time.Second, time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, err := ts.front.Begin(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		f := bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnknown, Sent: true, Lost: true}
		if ans, err := ts.front.Fail(t.Context(), f); err != nil || ans.State != bellwether.StateReauthRequired {
			t.Fatalf("Fail: %s, %v", ans.State, err)
		}
	}
	t.Run("the answer, at begin", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		restore := snapshot(t, ts)
		refreshed(t, ts, strict, 1)
		restore()
		snap, err := ts.front.Peek(t.Context(), "row", "")
		if err != nil {
			t.Fatal(err)
		}
		die(t, ts)
		a := bellwether.Attempt{ID: "row", Nonce: rand.Text(), Expected: snap.Cred, Budget: time.Minute, Rotation: strict}
		if _, err := ts.Lock(t.Context(), "row", a.Nonce, 10*time.Second, time.Minute); err != nil {
			t.Fatal(err)
		}
		if ans, err := ts.Begin(t.Context(), a); err != nil || ans.Word != bellwether.BeginChanged {
			t.Fatalf("Begin: %q, %v; want changed", ans.Word, err)
		}
		wantBoth(t, ts, 1)
		refreshed(t, ts, strict, 2)
	})
	t.Run("a sign-in of another program, at Peek", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		die(t, ts)
		if _, err := ts.back.Durable.Save(t.Context(), bellwether.Token{ID: "row", RefreshToken: secret("r7"), AccessToken: secret("a7")}); err != nil {
			t.Fatal(err)
		}
		if snap, err := ts.Peek(t.Context(), "row", ""); err != nil || snap.State != bellwether.StateActive || !snap.AccessToken.Equal(secret("a7")) {
			t.Errorf("Peek: %s with %s, %v; want the sign-in", snap.State, snap.AccessToken.Reveal(), err)
		}
		wantBoth(t, ts, 7)
	})
}

// Nobody knows whether there is a row; it was not found by nobody.
func TestNotFoundIsNotUnavailable(t *testing.T) {
	t.Parallel()
	t.Run("Find", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		ts.redis.FlushAll()
		ts.back.away.Store(true)
		if _, err := ts.Find(t.Context(), bellwether.Token{UserName: "u"}); !errors.Is(err, bellwether.ErrUnavailable) || errors.Is(err, bellwether.ErrNotFound) {
			t.Errorf("Find: %v, want unavailable", err)
		}
	})
	t.Run("Begin", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		one, front := hookedReplica(t, ts)
		front.afterBegin = ts.redis.FlushAll
		wantWord(t, one, strict, bellwether.BeginChanged)
		refreshed(t, one, strict, 1)
	})
}

// A backup, or a dump, that is older than what a row remembers of its past.
func TestRestoredFromLongAgo(t *testing.T) {
	t.Parallel()
	const rotations = 20
	t.Run("durable", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		refreshed(t, ts, strict, 1)
		refreshed(t, ts, strict, 2)
		old := durableRecord(t, ts)
		for n := range rotations {
			refreshed(t, ts, strict, n+3)
		}
		restoreBackup(t, ts, old)
		if _, ans := mustGo(t, ts, strict); !ans.Token.RefreshToken.Equal(secret("r22")) {
			t.Errorf("Begin gives out %s, want r22", ans.Token.RefreshToken.Reveal())
		}
		wantBoth(t, ts, rotations+2)
	})
	t.Run("Redis", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		refreshed(t, ts, strict, 1)
		refreshed(t, ts, strict, 2)
		restore := snapshot(t, ts)
		for n := range rotations {
			refreshed(t, ts, strict, n+3)
		}
		restore()
		wantWord(t, ts, strict, bellwether.BeginChanged)
		wantBoth(t, ts, rotations+2)
	})
}

// A Save lands in the durable store just when Redis alone gets an answer.
func TestSaveUnderAnAnswer(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	ts.back.away.Store(true)
	a, ans := mustGo(t, ts, reusable)
	ts.back.away.Store(false)
	if err := ts.Close(); err != nil { // nobody copies
		t.Fatal(err)
	}
	ts.back.onSave = func() { mustCommit(t, ts, answer(a, ans, 1)) }
	saved, err := ts.Save(t.Context(), bellwether.Token{ID: "row", ClientSecret: secret("newer")})
	if err != nil || !saved.ClientSecret.Equal(secret("newer")) || !saved.RefreshToken.Equal(secret("r1")) {
		t.Errorf("Save gives client secret %s and refresh token %s, %v", saved.ClientSecret.Reveal(), saved.RefreshToken.Reveal(), err)
	}
	wantBoth(t, ts, 1)
	if got := durableRecord(t, ts); !got.Token.ClientSecret.Equal(secret("newer")) {
		t.Errorf("the durable store has client secret %s", got.Token.ClientSecret.Reveal())
	}
}

// Redis comes from a dump with a row that was deleted since, whose user has signed in again.
func TestDumpWithAnotherRow(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	if err := ts.Delete(t.Context(), "row"); err != nil {
		t.Fatal(err)
	}
	partial := bellwether.Token{UserName: "u", Provider: "p", ClientID: "c", RefreshToken: secret("r9")}
	want, err := ts.Save(t.Context(), partial)
	if err != nil || want.ID == "row" {
		t.Fatalf("Save: row %q, %v", want.ID, err)
	}
	ts.redis.FlushAll()
	old := partial
	old.ID, old.RefreshToken = "row", secret("r0")
	if _, err := ts.front.Save(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	got, err := ts.Find(t.Context(), bellwether.Token{UserName: "u"})
	if err != nil || got.ID != want.ID || !got.RefreshToken.Equal(secret("r9")) {
		t.Errorf("Find: row %q with %s, %v; want %q", got.ID, got.RefreshToken.Reveal(), err, want.ID)
	}
	wantGone(t, ts)
}

// A row that either tier cannot read can be deleted.
func TestDeleteUnreadable(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	for _, k := range ts.redis.Keys() {
		if ts.redis.HGet(k, "cr") != "" {
			ts.redis.HSet(k, "cr", "damaged")
		}
	}
	if _, err := ts.FindByID(t.Context(), "row"); !errors.Is(err, bellwether.ErrUnreadable) {
		t.Fatalf("FindByID: %v, want unreadable", err)
	}
	if err := ts.Delete(t.Context(), "row"); err != nil {
		t.Fatal(err)
	}
	wantGone(t, ts, ts.back.Durable)
}

// What outgrows the notes is left out of them; the row goes on.
func TestLongNotes(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	a, ans := mustGo(t, ts, strict)
	c := answer(a, ans, 1)
	c.Extra = map[string]bellwether.Secret{"id_token": secret(strings.Repeat("x", bellwether.MaxNotesLen))}
	mustCommit(t, ts, c)
	if _, err := ts.Save(t.Context(), bellwether.Token{ID: "row", Extra: map[string]bellwether.Secret{
		"id_token": secret(strings.Repeat("y", bellwether.MaxNotesLen))}}); err != nil {
		t.Fatal(err)
	}
	refreshed(t, ts, strict, 2)
}

// Redis loses the intent of an attempt that ends without a token.
func TestFlushThenFail(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	a, _ := mustGo(t, ts, strict)
	ts.redis.FlushAll()
	if ans, err := ts.Fail(t.Context(), bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent}); err != nil || !ans.Applied {
		t.Fatalf("Fail: applied %v, %v", ans.Applied, err)
	}
	refreshed(t, ts, strict, 1)
}

// The durable store has written an intent and its reply is lost: it is told of the end.
func TestIntentThatWasNotAnswered(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	ts.back.beforeEnd = func() { ts.back.hangs.Store(true) } // from then on
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	snap, err := ts.Peek(ctx, "row", "")
	if err != nil {
		t.Fatal(err)
	}
	a := bellwether.Attempt{ID: "row", Nonce: rand.Text(), Expected: snap.Cred, Budget: time.Minute, Rotation: strict}
	if _, err := ts.Lock(ctx, "row", a.Nonce, 10*time.Second, time.Minute); err != nil {
		t.Fatal(err)
	}
	ts.back.loses.Store(true)
	if ans, err := ts.Begin(ctx, a); !errors.Is(err, bellwether.ErrUnavailable) {
		t.Fatalf("Begin: %q, %v; want unavailable", ans.Word, err)
	}
	if n := ts.front.Presenter(durableRecord(t, ts)); n != a.Nonce {
		t.Fatalf("the durable store has the intent of %q", n)
	}
	ts.back.loses.Store(false)
	ts.back.hangs.Store(false)
	awaitCopied(t, ts)
	if n := ts.front.Presenter(durableRecord(t, ts)); n != "" {
		t.Errorf("the durable store still has the intent of %q", n)
	}
}

// A row that the durable store does not take keeps no other from being copied.
func TestCopiesOneByOne(t *testing.T) {
	ts := newTiers(t)
	signIn(t, ts)
	stuck := "stuck"
	if _, err := ts.Save(t.Context(), bellwether.Token{ID: stuck, RefreshToken: secret("x"), Provider: "p"}); err != nil {
		t.Fatal(err)
	}
	ts.back.refuses.Store(&stuck)
	for _, id := range []string{stuck, "row"} {
		snap, err := ts.Peek(t.Context(), id, "")
		if err != nil {
			t.Fatal(err)
		}
		a := bellwether.Attempt{ID: id, Nonce: rand.Text(), Expected: snap.Cred, Budget: time.Minute, Rotation: reusable}
		if _, err := ts.Lock(t.Context(), id, a.Nonce, 10*time.Second, time.Minute); err != nil {
			t.Fatal(err)
		}
		ans, err := ts.Begin(t.Context(), a)
		if err != nil || ans.Word != bellwether.BeginGo {
			t.Fatalf("Begin: %q, %v", ans.Word, err)
		}
		c := answer(a, ans, 1)
		if id == stuck {
			c.Token.RefreshToken, c.Token.AccessToken = secret("x"), secret("y")
		} else {
			ts.back.swapsAway.Store(true)
		}
		mustCommit(t, ts, c)
		ts.back.swapsAway.Store(false)
	}
	for deadline := time.Now().Add(time.Minute); ts.Pending() > 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the other row is not copied")
		}
	}
	wantBoth(t, ts, 1)
}

// The lock between those who save or delete a row is not that of a refresh of any row.
func TestLockIsNoRowsLock(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	lease, err := ts.Lock(t.Context(), "tier row", rand.Text(), time.Minute, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lease.Release(t.Context()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := ts.Save(ctx, bellwether.Token{ID: "row", UserName: "u"}); err != nil {
		t.Errorf("Save waits for a refresh of another row: %v", err)
	}
}

// A Save after a Delete that ended half-way brings nothing back that was deleted.
func TestSaveAfterHalfADelete(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	if err := ts.front.Delete(t.Context(), "row"); err != nil {
		t.Fatal(err)
	}
	got, err := ts.Save(t.Context(), bellwether.Token{ID: "row", UserName: "u", AccessToken: secret("a1")})
	if err != nil || !got.RefreshToken.IsZero() {
		t.Errorf("Save: the row holds %q, %v; want no refresh token", got.RefreshToken.Reveal(), err)
	}
}
