package redisstore_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
)

// A whole row, as a tier behind Redis keeps it: out, and in again.

func record(t *testing.T, s *redisstore.Store, id string) bellwether.Record {
	t.Helper()
	r, err := s.Record(t.Context(), id)
	if err != nil {
		t.Fatalf("Record: %v", err)
	}
	return r
}

// forget makes Redis lose the row, not delete it.
func forget(t *testing.T, s *redisstore.Store, id string) {
	t.Helper()
	if err := s.RawClient().Del(t.Context(), s.RowKey(id)).Err(); err != nil {
		t.Fatal(err)
	}
}

func diffRecords(want, got bellwether.Record) string {
	for _, r := range []*bellwether.Record{&want, &got} {
		r.Version, r.Token.Generation, r.Token.UpdatedAt = "", 0, time.Time{}
	}
	return cmp.Diff(want, got, cmp.Transformer("Reveal", bellwether.Secret.Reveal))
}

// histories bring a row into each shape whose parts a record must keep.
var histories = map[string]func(t *testing.T, s *redisstore.Store, tok bellwether.Token){
	"a sign-in": func(*testing.T, *redisstore.Store, bellwether.Token) {},
	"rotated": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) {
		for range 3 {
			rotateRow(t, s, tok.ID, map[string]bellwether.Secret{"id_token": bellwether.NewSecret(rand.Text())})
		}
	},
	"corrected by an operator": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) {
		rotateRow(t, s, tok.ID, map[string]bellwether.Secret{"id_token": bellwether.NewSecret("x"), "cell": bellwether.NewSecret("1")})
		save(t, s, bellwether.Token{ID: tok.ID, APIDomain: "https://sandbox.example.com", Scopes: []string{"corrected"},
			Extra: map[string]bellwether.Secret{"cell": bellwether.NewSecret("2"), "team": bellwether.NewSecret("crm")}})
	},
	"with an intent": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) {
		wantWord(t, begin(t, s, attempt(t, s, tok.ID)), bellwether.BeginGo)
	},
	"refused": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) {
		a := attempt(t, s, tok.ID)
		wantWord(t, begin(t, s, a), bellwether.BeginGo)
		if _, err := s.Fail(t.Context(), bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeRefused, Sent: true,
			Class: bellwether.ClassRefused, Code: "invalid_grant", Cooldown: time.Minute}); err != nil {
			t.Fatal(err)
		}
	},
	"cooling down": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) {
		a := attempt(t, s, tok.ID)
		wantWord(t, begin(t, s, a), bellwether.BeginGo)
		if _, err := s.Fail(t.Context(), bellwether.Fail{Attempt: a, Outcome: bellwether.OutcomeUnknown, Sent: true,
			Class: bellwether.ClassUnavailable, Code: "503", Cooldown: time.Minute}); err != nil {
			t.Fatal(err)
		}
	},
	"being revoked": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) {
		if err := s.MarkRevoking(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
	},
	"without an access token": func(t *testing.T, s *redisstore.Store, tok bellwether.Token) {
		bare := tok
		bare.AccessToken, bare.ExpiresAt = bellwether.Secret{}, time.Time{}
		save(t, s, bare)
	},
}

func rotateRow(t *testing.T, s *redisstore.Store, id string, extra map[string]bellwether.Secret) {
	t.Helper()
	a := attempt(t, s, id)
	ans := begin(t, s, a)
	wantWord(t, ans, bellwether.BeginGo)
	next := ans.Token
	next.RefreshToken, next.AccessToken = bellwether.NewSecret("rt-"+rand.Text()), bellwether.NewSecret("at-"+rand.Text())
	next.APIDomain, next.Scopes, next.TokenType = "https://api.example.com", []string{"a", "b"}, "Bearer"
	if got, err := s.Commit(t.Context(), bellwether.Commit{Attempt: a, Token: next, Extra: extra}); err != nil || got.Word != bellwether.CommitOK {
		t.Fatalf("Commit: %q, %v", got.Word, err)
	}
}

func TestInstallBringsARowBack(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		for name, history := range histories {
			t.Run(name, func(t *testing.T) {
				tok := save(t, s, newToken("p"))
				history(t, s, tok)
				want := record(t, s, tok.ID)
				forget(t, s, tok.ID)
				if err := s.Install(t.Context(), "", want); err != nil {
					t.Fatal(err)
				}
				got := record(t, s, tok.ID)
				if d := diffRecords(want, got); d != "" {
					t.Fatalf("(-before +after):\n%s", d)
				}
				if got.Token.Generation <= want.Token.Generation {
					t.Errorf("generation %d after %d: replicas would take the row for an older one", got.Token.Generation, want.Token.Generation)
				}
				for what, partial := range map[string]bellwether.Token{
					"refresh token": {RefreshToken: got.Token.RefreshToken}, "user name": {UserName: got.Token.UserName},
				} {
					if found, err := s.Find(t.Context(), partial); err != nil || found.ID != tok.ID {
						t.Errorf("by %s: row %q, %v", what, found.ID, err)
					}
				}
			})
		}
	})
}

// TestCommittedIsWhatCommitMakes: the durable tier is told what Redis will hold, before.
func TestCommittedIsWhatCommitMakes(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		for name, history := range histories {
			if name == "refused" || name == "cooling down" || name == "being revoked" {
				continue // nothing begins there
			}
			t.Run(name, func(t *testing.T) {
				tok := save(t, s, newToken("p"))
				history(t, s, tok)
				var a bellwether.Attempt
				var token bellwether.Token
				if name == "with an intent" { // of another, whose lock has ended: a late answer
					forceUnlock(t, s, tok.ID)
					a = attempt(t, s, tok.ID, reusable)
				} else {
					a = attempt(t, s, tok.ID)
				}
				ans := begin(t, s, a)
				wantWord(t, ans, bellwether.BeginGo)
				token = ans.Token
				token.RefreshToken, token.AccessToken = bellwether.NewSecret("rt-"+rand.Text()), bellwether.NewSecret("at-"+rand.Text())
				token.APIDomain, token.TokenType = "https://moved.example.com", "Other"
				c := bellwether.Commit{Attempt: a, Token: token, Extra: map[string]bellwether.Secret{"cell": bellwether.NewSecret("3")}}
				want, err := s.Committed(record(t, s, tok.ID), c)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := s.Commit(t.Context(), c); err != nil || got.Word != bellwether.CommitOK {
					t.Fatalf("Commit: %q, %v", got.Word, err)
				}
				got := record(t, s, tok.ID)
				if d := diffRecords(want, got); d != "" {
					t.Errorf("(-foretold +made):\n%s", d)
				}
				if want.Token.Generation != got.Token.Generation {
					t.Errorf("generation %d was foretold, %d made", want.Token.Generation, got.Token.Generation)
				}
			})
		}
	})
}

func TestInstallRefuses(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		install := func(expected string, r bellwether.Record, want error) {
			t.Helper()
			before := rowOrNone(t, s, r.Token.ID)
			if err := s.Install(t.Context(), expected, r); !errors.Is(err, want) {
				t.Errorf("Install: %v, want %v", err, want)
			}
			if d := cmp.Diff(before, rowOrNone(t, s, r.Token.ID), cmp.Transformer("Reveal", bellwether.Secret.Reveal)); d != "" {
				t.Errorf("a refused Install changed the row:\n%s", d)
			}
		}
		tok := save(t, s, newToken("p"))
		r := record(t, s, tok.ID)
		install("", r, bellwether.ErrConflict)
		install("1 somebody", r, bellwether.ErrConflict)

		thief := r
		thief.Token.ID = "thief"
		install("", thief, bellwether.ErrConflict)

		blank := r
		blank.Token = newToken("p")
		blank.Token.ID, blank.Cred = "blank", ""
		install("", blank, bellwether.ErrInvalid)

		damaged := r
		damaged.Notes = []byte("\x01\xff\xff\xff")
		install(r.Version, damaged, bellwether.ErrUnreadable)

		if err := s.Delete(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
		install("", r, bellwether.ErrNotFound)
		if _, err := s.FindByID(t.Context(), tok.ID); !errors.Is(err, bellwether.ErrNotFound) {
			t.Errorf("a deleted row is back: %v", err)
		}
	})
}

// rowOrNone is the row, or the zero Record.
func rowOrNone(t *testing.T, s *redisstore.Store, id string) bellwether.Record {
	t.Helper()
	r, err := s.Record(t.Context(), id)
	if err != nil && !errors.Is(err, bellwether.ErrNotFound) {
		t.Fatal(err)
	}
	return r
}

// TestInstallAdopts: of a record that others have written only the token counts.
func TestInstallAdopts(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		written := func(r bellwether.Record, refresh, access string) bellwether.Record {
			r.Token.RefreshToken, r.Token.AccessToken = bellwether.NewSecret(refresh), bellwether.NewSecret(access)
			r.Token.Generation += 7
			r.Adopted = true
			return r
		}
		t.Run("another access token", func(t *testing.T) {
			tok := save(t, s, newToken("p"))
			before := record(t, s, tok.ID)
			if err := s.Install(t.Context(), before.Version, written(before, tok.RefreshToken.Reveal(), "theirs"+tok.ID)); err != nil {
				t.Fatal(err)
			}
			got := record(t, s, tok.ID)
			if got.Cred != before.Cred || got.Token.AccessToken.Reveal() != "theirs"+tok.ID || got.Token.Generation < before.Token.Generation+7 {
				t.Errorf("cred %s (was %s), access token %s, generation %d (was %d)", got.Cred, before.Cred,
					got.Token.AccessToken.Reveal(), got.Token.Generation, before.Token.Generation)
			}
		})
		for _, there := range []bool{true, false} {
			t.Run(fmt.Sprintf("a sign-in, the row there %v", there), func(t *testing.T) {
				tok := save(t, s, newToken("p"))
				a := attempt(t, s, tok.ID)
				wantWord(t, begin(t, s, a), bellwether.BeginGo)
				before := record(t, s, tok.ID)
				version := before.Version
				if !there {
					forget(t, s, tok.ID)
					version = ""
				}
				if err := s.Install(t.Context(), version, written(before, "again"+tok.ID, "theirs"+tok.ID)); err != nil {
					t.Fatal(err)
				}
				got := record(t, s, tok.ID)
				if got.Cred == before.Cred || got.Prev != "" {
					t.Errorf("the sign-in has the cred %s, prev %s: an old answer could land on it", got.Cred, got.Prev)
				}
				if snap := peek(t, s, tok.ID); snap.Intent {
					t.Error("the sign-in has the intent of an older refresh")
				}
				if ans := commit(t, s, a, tok); ans.Word != bellwether.CommitStale {
					t.Errorf("an old answer is %q on the sign-in, want stale", ans.Word)
				}
				if !s.Supersedes(got, before) || s.Supersedes(before, got) {
					t.Error("the sign-in does not know what it superseded")
				}
			})
		}
	})
}

// TestInstallAdoptsIntoNothing: others have written over a row that Redis has lost.
func TestInstallAdoptsIntoNothing(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		adopt := func(t *testing.T, change func(r *bellwether.Record)) (before, after bellwether.Record) {
			t.Helper()
			tok := save(t, s, newToken("p"))
			first := record(t, s, tok.ID).Token.RefreshToken
			rotateRow(t, s, tok.ID, nil)
			before = record(t, s, tok.ID)
			forget(t, s, tok.ID)
			r := before
			r.Token.RefreshToken, r.Adopted = first, true
			change(&r)
			if err := s.Install(t.Context(), "", r); err != nil {
				t.Fatal(err)
			}
			return before, record(t, s, tok.ID)
		}
		t.Run("a superseded refresh token", func(t *testing.T) {
			before, got := adopt(t, func(*bellwether.Record) {})
			if f := got.Token.Failure; got.Token.State != bellwether.StateReauthRequired || f == nil || f.Reason != bellwether.ReasonRotationLost || got.Cred != before.Cred {
				t.Errorf("the row is %s with %+v: a refresh would present what was rotated away", got.Token.State, f)
			}
		})
		t.Run("damaged notes", func(t *testing.T) {
			before, got := adopt(t, func(r *bellwether.Record) {
				r.Token.RefreshToken, r.Notes = bellwether.NewSecret("new"+r.Token.ID), []byte("\x01\xff\xff\xff")
			})
			if got.Token.State != bellwether.StateActive || got.Cred == before.Cred {
				t.Errorf("the sign-in is %s, under the cred %s (was %s)", got.Token.State, got.Cred, before.Cred)
			}
		})
	})
}

// TestSupersedesByLineage: the count of commits tells where the past has forgotten, and
// only within a lineage.
func TestSupersedesByLineage(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := save(t, s, newToken("p"))
		rotateRow(t, s, tok.ID, nil)
		older := record(t, s, tok.ID)
		for range 20 {
			rotateRow(t, s, tok.ID, nil)
		}
		newer := record(t, s, tok.ID)
		if !s.Supersedes(newer, older) || s.Supersedes(older, newer) {
			t.Error("of two records 20 rotations apart nobody knows which is newer")
		}
		again := older // somebody else's sign-in over the older one
		again.Adopted, again.Token.RefreshToken = true, bellwether.NewSecret("again"+tok.ID)
		if s.Supersedes(newer, again) {
			t.Error("a sign-in is superseded by the lineage that its notes speak of")
		}
		save(t, s, bellwether.Token{ID: tok.ID, RefreshToken: again.Token.RefreshToken})
		if signed := record(t, s, tok.ID); s.Supersedes(newer, signed) || !s.Supersedes(signed, newer) {
			t.Error("a new lineage, of no commits, is older than the one before")
		}
	})
}

// TestSupersedesByACode: a code that was used is no past of another sign-in's refresh token.
func TestSupersedesByACode(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := newToken("p")
		tok.GrantToken, tok.RefreshToken = bellwether.NewSecret("code-"+rand.Text()), bellwether.Secret{}
		tok = save(t, s, tok)
		coded := record(t, s, tok.ID)
		rotateRow(t, s, tok.ID, nil)
		now := record(t, s, tok.ID)
		if now.Token.GrantToken.Equal(tok.GrantToken) { // the answer carries no code
			save(t, s, func() bellwether.Token { t := now.Token; t.GrantToken = bellwether.NewSecret("code2"); return t }())
			now = record(t, s, tok.ID)
		}
		if !s.Supersedes(now, coded) {
			t.Error("the code before the refresh token is not past")
		}
		signIn := now
		signIn.Adopted, signIn.Token.RefreshToken, signIn.Token.GrantToken = true, bellwether.NewSecret("again"+tok.ID), tok.GrantToken
		if s.Supersedes(now, signIn) {
			t.Error("a new refresh token is past, since an old code is beside it")
		}
	})
}

func TestSupersedes(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := save(t, s, newToken("p"))
		var all []bellwether.Record
		for range 4 {
			all = append(all, record(t, s, tok.ID))
			rotateRow(t, s, tok.ID, nil)
		}
		for i, older := range all {
			for j, newer := range all {
				if got, want := s.Supersedes(newer, older), j > i; got != want {
					t.Errorf("record %d supersedes record %d: %v, want %v", j, i, got, want)
				}
			}
		}
	})
}
