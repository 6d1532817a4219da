package tier_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether"
)

// What begin, commit and fail do in each state of the two tiers.

const strict, reusable = bellwether.RotationStrict, bellwether.RotationReusable

func secret(s string) bellwether.Secret { return bellwether.NewSecret(s) }

// signIn saves the row "row" with refresh token r0 and access token a0.
func signIn(t *testing.T, ts tiers) bellwether.Token {
	t.Helper()
	tok, err := ts.Save(t.Context(), bellwether.Token{ID: "row", UserName: "u", Provider: "p", ClientID: "c", ClientSecret: secret("s"),
		RefreshToken: secret("r0"), AccessToken: secret("a0"), ExpiresAt: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func begin(t *testing.T, ts tiers, rotation bellwether.Rotation) (bellwether.Attempt, bellwether.BeginAnswer, error) {
	t.Helper()
	snap, err := ts.Peek(t.Context(), "row", "")
	if err != nil {
		t.Fatalf("Peek: %v", err)
	}
	a := bellwether.Attempt{ID: "row", Nonce: rand.Text(), Expected: snap.Cred, Kind: bellwether.AttemptMandatory,
		Budget: time.Minute, Rotation: rotation}
	if _, err := ts.Lock(t.Context(), "row", a.Nonce, 10*time.Second, time.Minute); err != nil {
		t.Fatalf("Lock: %v", err)
	}
	ans, err := ts.Begin(t.Context(), a)
	return a, ans, err
}

func mustGo(t *testing.T, ts tiers, rotation bellwether.Rotation) (bellwether.Attempt, bellwether.BeginAnswer) {
	t.Helper()
	a, ans, err := begin(t, ts, rotation)
	if err != nil || ans.Word != bellwether.BeginGo {
		t.Fatalf("Begin: %q, %v; want go", ans.Word, err)
	}
	return a, ans
}

// answer is a commit of refresh token rN and access token aN.
func answer(a bellwether.Attempt, ans bellwether.BeginAnswer, n int) bellwether.Commit {
	t := ans.Token
	t.RefreshToken, t.AccessToken = secret(fmt.Sprint("r", n)), secret(fmt.Sprint("a", n))
	return bellwether.Commit{Attempt: a, Token: t}
}

func mustCommit(t *testing.T, ts tiers, c bellwether.Commit) {
	t.Helper()
	if ans, err := ts.Commit(t.Context(), c); err != nil || ans.Word != bellwether.CommitOK {
		t.Fatalf("Commit: %q, %v; want ok", ans.Word, err)
	}
}

// wantBoth checks that both tiers hold the tokens rN and aN, and agree on the cred.
func wantBoth(t *testing.T, ts tiers, n int) {
	t.Helper()
	front, err := ts.front.Record(t.Context(), "row")
	if err != nil {
		t.Fatalf("Redis: %v", err)
	}
	back, err := ts.back.Durable.Record(t.Context(), "row")
	if err != nil {
		t.Fatalf("durable: %v", err)
	}
	for name, r := range map[string]bellwether.Record{"Redis": front, "durable": back} {
		if r.Token.RefreshToken.Reveal() != fmt.Sprint("r", n) || r.Token.AccessToken.Reveal() != fmt.Sprint("a", n) {
			t.Errorf("%s holds %s and %s, want r%d and a%d", name, r.Token.RefreshToken.Reveal(), r.Token.AccessToken.Reveal(), n, n)
		}
	}
	if front.Cred != back.Cred || back.Adopted {
		t.Errorf("the creds are %s in Redis and %s in the durable store, adopted %v", front.Cred, back.Cred, back.Adopted)
	}
}

// refreshed runs one whole refresh.
func refreshed(t *testing.T, ts tiers, rotation bellwether.Rotation, n int) {
	t.Helper()
	a, ans := mustGo(t, ts, rotation)
	mustCommit(t, ts, answer(a, ans, n))
	wantBoth(t, ts, n)
}

// snapshot returns how to restore what Redis holds now, as from a dump.
func snapshot(t *testing.T, ts tiers) (restore func()) {
	t.Helper()
	hashes := make(map[string]map[string]string)
	for _, k := range ts.redis.Keys() {
		if ts.redis.Type(k) == "hash" {
			fields, _ := ts.redis.HKeys(k)
			hashes[k] = make(map[string]string)
			for _, f := range fields {
				hashes[k][f] = ts.redis.HGet(k, f)
			}
		}
	}
	return func() {
		ts.redis.FlushAll()
		for k, h := range hashes {
			for f, v := range h {
				ts.redis.HSet(k, f, v)
			}
		}
	}
}

func eachRotation(t *testing.T, f func(t *testing.T, rotation bellwether.Rotation)) {
	t.Run("strict", func(t *testing.T) { t.Parallel(); f(t, strict) })
	t.Run("reusable", func(t *testing.T) { t.Parallel(); f(t, reusable) })
}

func TestRefreshWritesBoth(t *testing.T) {
	t.Parallel()
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		ts := newTiers(t)
		signIn(t, ts)
		wantBoth(t, ts, 0)
		for n := range 3 {
			refreshed(t, ts, rotation, n+1)
		}
	})
}

// A row that only the durable tier has is brought back whole: a refresh goes on.
func TestRedisMissing(t *testing.T) {
	t.Parallel()
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		ts := newTiers(t)
		before := signIn(t, ts)
		refreshed(t, ts, rotation, 1)
		ts.redis.FlushAll()
		got, err := ts.FindByID(t.Context(), "row")
		if err != nil || !got.RefreshToken.Equal(secret("r1")) || got.UserName != "u" || !got.CreatedAt.Equal(before.CreatedAt) {
			t.Fatalf("after a flush the row is %v, %v", got, err)
		}
		if got.Generation <= before.Generation+1 {
			t.Errorf("the generation went from %d to %d: a replica would take the row for an old one", before.Generation+1, got.Generation)
		}
		refreshed(t, ts, rotation, 2)
		// What was superseded before the flush still is.
		if again, err := ts.Save(t.Context(), bellwether.Token{RefreshToken: secret("r0"), ClientID: "c", ClientSecret: secret("s")}); err != nil ||
			again.ID != "row" || !again.RefreshToken.Equal(secret("r2")) {
			t.Errorf("booting with r0 gives row %q with %s, %v", again.ID, again.RefreshToken.Reveal(), err)
		}
	})
}

// Redis is flushed between Peek and Begin.
func TestRedisMissingAtBegin(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	snap, err := ts.Peek(t.Context(), "row", "")
	if err != nil {
		t.Fatal(err)
	}
	ts.redis.FlushAll()
	a := bellwether.Attempt{ID: "row", Nonce: rand.Text(), Expected: snap.Cred, Budget: time.Minute, Rotation: strict}
	if ans, err := ts.Begin(t.Context(), a); err != nil || ans.Word != bellwether.BeginChanged {
		t.Fatalf("Begin: %q, %v; want changed", ans.Word, err)
	}
	refreshed(t, ts, strict, 1)
}

func TestDurableMissing(t *testing.T) {
	t.Parallel()
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		ts := newTiers(t)
		signIn(t, ts)
		if err := ts.back.Durable.Delete(t.Context(), "row"); err != nil {
			t.Fatal(err)
		}
		refreshed(t, ts, rotation, 1)
	})
}

// A commit reached the durable tier, and its process died before Redis had it.
func TestDurableAhead(t *testing.T) {
	t.Parallel()
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		ts := newTiers(t)
		signIn(t, ts)
		restore := snapshot(t, ts)
		refreshed(t, ts, rotation, 1)
		restore()
		_, ans, err := begin(t, ts, rotation)
		if err != nil || ans.Word != bellwether.BeginChanged {
			t.Fatalf("Begin with credentials that were rotated away: %q, %v; want changed", ans.Word, err)
		}
		wantBoth(t, ts, 1)
		refreshed(t, ts, rotation, 2)
	})
}

// The same, and Redis still has the intent of the one that died: nobody waits for it.
func TestDurableAheadOfAnIntent(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	a, ans := mustGo(t, ts, strict)
	restore := snapshot(t, ts)
	mustCommit(t, ts, answer(a, ans, 1))
	restore()
	_, second, err := begin(t, ts, strict)
	if err != nil || second.Word != bellwether.BeginChanged {
		t.Fatalf("Begin: %q, %v; want changed", second.Word, err)
	}
	wantBoth(t, ts, 1)
}

// Redis comes back from a dump that is several rotations old.
func TestRedisRestored(t *testing.T) {
	t.Parallel()
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		ts := newTiers(t)
		signIn(t, ts)
		restore := snapshot(t, ts)
		for n := range 4 {
			refreshed(t, ts, rotation, n+1)
		}
		restore()
		if _, ans, err := begin(t, ts, rotation); err != nil || ans.Word != bellwether.BeginChanged {
			t.Fatalf("Begin: %q, %v; want changed", ans.Word, err)
		}
		wantBoth(t, ts, 4)
	})
}

// The durable tier comes back from a backup that is several rotations old: Redis has its
// credentials in the past, and is right.
func TestDurableRestored(t *testing.T) {
	t.Parallel()
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		ts := newTiers(t)
		signIn(t, ts)
		old, err := ts.back.Durable.Record(t.Context(), "row")
		if err != nil {
			t.Fatal(err)
		}
		for n := range 4 {
			refreshed(t, ts, rotation, n+1)
		}
		if err := ts.back.Durable.Delete(t.Context(), "row"); err != nil {
			t.Fatal(err)
		}
		if _, err := ts.back.Durable.Swap(t.Context(), "", old); err != nil {
			t.Fatal(err)
		}
		a, ans := mustGo(t, ts, rotation)
		if !ans.Token.RefreshToken.Equal(secret("r4")) {
			t.Fatalf("Begin gives out %s, want r4", ans.Token.RefreshToken.Reveal())
		}
		wantBoth(t, ts, 4)
		mustCommit(t, ts, answer(a, ans, 5))
		wantBoth(t, ts, 5)
	})
}

// While the durable tier is away, only what may be presented twice is presented.
func TestDurableAway(t *testing.T) {
	t.Parallel()
	t.Run("strict", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		ts.back.away.Store(true)
		if _, ans, err := begin(t, ts, strict); !errors.Is(err, bellwether.ErrUnavailable) {
			t.Fatalf("Begin: %q, %v; want unavailable", ans.Word, err)
		}
		if snap, err := ts.Peek(t.Context(), "row", ""); err != nil || snap.Intent || !snap.AccessToken.Equal(secret("a0")) {
			t.Errorf("after that Peek gives %+v, %v; want the token, and no intent", snap, err)
		}
		ts.back.away.Store(false)
		refreshed(t, ts, strict, 1)
	})
	t.Run("reusable", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		ts.back.away.Store(true)
		a, ans := mustGo(t, ts, reusable)
		mustCommit(t, ts, answer(a, ans, 1))
		if n := ts.Pending(); n != 1 {
			t.Errorf("%d rows wait to be copied, want 1", n)
		}
		ts.back.away.Store(false)
		awaitCopied(t, ts)
		wantBoth(t, ts, 1)
	})
	t.Run("at commit", func(t *testing.T) {
		eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
			ts := newTiers(t)
			signIn(t, ts)
			a, ans := mustGo(t, ts, rotation)
			ts.back.away.Store(true)
			mustCommit(t, ts, answer(a, ans, 1))
			ts.back.away.Store(false)
			awaitCopied(t, ts)
			wantBoth(t, ts, 1)
		})
	})
	t.Run("its process dies", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		a, ans := mustGo(t, ts, strict)
		ts.back.away.Store(true)
		mustCommit(t, ts, answer(a, ans, 1))
		if err := ts.Close(); err != nil {
			t.Fatal(err)
		}
		ts.back.away.Store(false)
		other := replica(t, ts.redis, ts.keys, ts.back)
		refreshed(t, other, strict, 2)
	})
	t.Run("save", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		ts.back.away.Store(true)
		if _, err := ts.Save(t.Context(), bellwether.Token{ID: "row", RefreshToken: secret("r9")}); !errors.Is(err, bellwether.ErrUnavailable) {
			t.Fatalf("Save: %v, want unavailable", err)
		}
		ts.back.away.Store(false)
		wantBoth(t, ts, 0)
	})
	t.Run("find", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		ts.back.away.Store(true)
		if got, err := ts.Find(t.Context(), bellwether.Token{UserName: "u"}); err != nil || got.ID != "row" {
			t.Errorf("Find: row %q, %v", got.ID, err)
		}
		if _, err := ts.FindByID(t.Context(), "nobody"); !errors.Is(err, bellwether.ErrUnavailable) {
			t.Errorf("FindByID of what Redis does not have: %v, want unavailable", err)
		}
	})
}

func awaitCopied(t *testing.T, ts tiers) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ts.Pending() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the row is not copied")
		}
	}
}

// Redis is flushed while the provider has the refresh token of a row.
func TestFlushDuringRefresh(t *testing.T) {
	t.Parallel()
	t.Run("others wait", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		a, ans := mustGo(t, ts, strict)
		ts.redis.FlushAll()
		if _, second, err := begin(t, ts, strict); err != nil || second.Word != bellwether.BeginRecover {
			t.Fatalf("Begin while another may have presented the token: %q, %v; want recover", second.Word, err)
		}
		mustCommit(t, ts, answer(a, ans, 1))
		wantBoth(t, ts, 1)
	})
	t.Run("the answer lands in an empty Redis", func(t *testing.T) {
		eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
			ts := newTiers(t)
			signIn(t, ts)
			a, ans := mustGo(t, ts, rotation)
			ts.redis.FlushAll()
			mustCommit(t, ts, answer(a, ans, 1))
			wantBoth(t, ts, 1)
		})
	})
	t.Run("between the two writes of the answer", func(t *testing.T) {
		ts := newTiers(t)
		signIn(t, ts)
		a, ans := mustGo(t, ts, strict)
		ts.back.beforeEnd = func() { ts.redis.FlushAll() }
		mustCommit(t, ts, answer(a, ans, 1))
		wantBoth(t, ts, 1)
	})
}

// What another program writes into the durable store is used, and costs no call.
func TestAdopted(t *testing.T) {
	t.Parallel()
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		t.Run("access token", func(t *testing.T) {
			ts := newTiers(t)
			signIn(t, ts)
			if _, err := ts.back.Durable.Save(t.Context(), bellwether.Token{ID: "row", AccessToken: secret("theirs")}); err != nil {
				t.Fatal(err)
			}
			if _, ans, err := begin(t, ts, rotation); err != nil || ans.Word != bellwether.BeginChanged {
				t.Fatalf("Begin: %q, %v; want changed", ans.Word, err)
			}
			if snap, err := ts.Peek(t.Context(), "row", ""); err != nil || !snap.AccessToken.Equal(secret("theirs")) {
				t.Errorf("Peek gives %s, %v", snap.AccessToken.Reveal(), err)
			}
			refreshed(t, ts, rotation, 1)
		})
		t.Run("sign-in", func(t *testing.T) {
			ts := newTiers(t)
			signIn(t, ts)
			a, ans := mustGo(t, ts, rotation)
			if _, err := ts.back.Durable.Save(t.Context(), bellwether.Token{ID: "row", RefreshToken: secret("r7"), AccessToken: secret("a7")}); err != nil {
				t.Fatal(err)
			}
			if got, err := ts.Commit(t.Context(), answer(a, ans, 1)); err != nil || got.Word == bellwether.CommitOK {
				t.Fatalf("Commit over a sign-in: %q, %v", got.Word, err)
			}
			wantBoth(t, ts, 7)
		})
	})
}

// A Save while the provider is called changes what it says, and the refresh the rest.
func TestSaveDuringRefresh(t *testing.T) {
	t.Parallel()
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		ts := newTiers(t)
		signIn(t, ts)
		a, ans := mustGo(t, ts, rotation)
		if _, err := ts.Save(t.Context(), bellwether.Token{ID: "row", ClientSecret: secret("newer")}); err != nil {
			t.Fatal(err)
		}
		mustCommit(t, ts, answer(a, ans, 1))
		wantBoth(t, ts, 1)
		for name, s := range map[string]bellwether.Store{"Redis": ts.front, "durable": ts.back.Durable} {
			if got, err := s.FindByID(t.Context(), "row"); err != nil || !got.ClientSecret.Equal(secret("newer")) {
				t.Errorf("%s has client secret %s, %v", name, got.ClientSecret.Reveal(), err)
			}
		}
	})
}

func TestDeleteDuringRefresh(t *testing.T) {
	t.Parallel()
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		ts := newTiers(t)
		signIn(t, ts)
		a, ans := mustGo(t, ts, rotation)
		if err := ts.Delete(t.Context(), "row"); err != nil {
			t.Fatal(err)
		}
		if got, err := ts.Commit(t.Context(), answer(a, ans, 1)); err != nil || got.Word != bellwether.CommitGone {
			t.Errorf("Commit: %q, %v; want gone", got.Word, err)
		}
		for name, s := range map[string]bellwether.Store{"both": ts, "durable": ts.back.Durable} {
			if _, err := s.FindByID(t.Context(), "row"); !errors.Is(err, bellwether.ErrNotFound) {
				t.Errorf("%s: %v, want not found", name, err)
			}
		}
	})
}

// A refused refresh token is known after a flush, so that nobody asks again.
func TestRefusedSurvives(t *testing.T) {
	t.Parallel()
	eachRotation(t, func(t *testing.T, rotation bellwether.Rotation) {
		ts := newTiers(t)
		signIn(t, ts)
		a, _ := mustGo(t, ts, rotation)
		f := bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeRefused, Sent: true, Class: bellwether.ClassRefused, Code: "invalid_grant"}
		if _, err := ts.Fail(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		ts.redis.FlushAll()
		got, err := ts.FindByID(t.Context(), "row")
		if err != nil || got.State != bellwether.StateReauthRequired || got.Failure == nil || got.Failure.Code != "invalid_grant" {
			t.Errorf("after a flush the row is %s with %+v, %v", got.State, got.Failure, err)
		}
	})
}

// An attempt that was proven not sent leaves nothing to wait for.
func TestUnspentIsTold(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	a, _ := mustGo(t, ts, strict)
	if _, err := ts.Fail(t.Context(), bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnspent}); err != nil {
		t.Fatal(err)
	}
	ts.redis.FlushAll()
	refreshed(t, ts, strict, 1)
}

// A Delete that ended after Redis, before the durable store, is ended by its repetition.
func TestDeleteHalfDone(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	if err := ts.front.Delete(t.Context(), "row"); err != nil {
		t.Fatal(err)
	}
	if _, err := ts.FindByID(t.Context(), "row"); !errors.Is(err, bellwether.ErrNotFound) {
		t.Errorf("the row is back: %v", err)
	}
	if err := ts.Delete(t.Context(), "row"); err != nil {
		t.Errorf("Delete again: %v", err)
	}
	if _, err := ts.back.Durable.FindByID(t.Context(), "row"); !errors.Is(err, bellwether.ErrNotFound) {
		t.Errorf("the durable store still has the row: %v", err)
	}
	// A sign-in after a half-done Delete is one.
	signIn(t, ts)
	if err := ts.front.Delete(t.Context(), "row"); err != nil {
		t.Fatal(err)
	}
	signIn(t, ts)
	wantBoth(t, ts, 0)
}

func TestRevokeSurvives(t *testing.T) {
	t.Parallel()
	ts := newTiers(t)
	signIn(t, ts)
	ts.redis.FlushAll()
	if err := ts.MarkRevoking(t.Context(), "row"); err != nil {
		t.Fatal(err)
	}
	ts.redis.FlushAll()
	if got, err := ts.FindByID(t.Context(), "row"); err != nil || got.State != bellwether.StateRevoking {
		t.Errorf("after a flush the row is %s, %v", got.State, err)
	}
	if err := ts.DeleteRevoking(t.Context(), "row"); err != nil {
		t.Fatal(err)
	}
	ts.redis.FlushAll()
	if _, err := ts.FindByID(t.Context(), "row"); !errors.Is(err, bellwether.ErrNotFound) {
		t.Errorf("the revoked row is back: %v", err)
	}
}
