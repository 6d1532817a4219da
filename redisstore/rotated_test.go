package redisstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// touchesIndex reports whether a command is about an index entry.
func touchesIndex(cmd redis.Cmder) bool {
	for _, arg := range cmd.Args() {
		if key, ok := arg.(string); ok && strings.Contains(key, ":ix:") {
			return true
		}
	}
	return false
}

// TestRotationOfADeadProcess: a process commits a rotated refresh token and dies before
// the index knows it. Whoever reads that token can save it, by itself, without making a
// second row of it.
func TestRotationOfADeadProcess(t *testing.T) {
	for name, read := range map[string]func(ctx context.Context, s *redisstore.Store, tok bellwether.Token) (bellwether.Token, error){
		"FindByID": func(ctx context.Context, s *redisstore.Store, tok bellwether.Token) (bellwether.Token, error) {
			return s.FindByID(ctx, tok.ID)
		},
		"Find": func(ctx context.Context, s *redisstore.Store, tok bellwether.Token) (bellwether.Token, error) {
			return s.Find(ctx, bellwether.Token{UserName: tok.UserName})
		},
		"List": func(ctx context.Context, s *redisstore.Store, _ bellwether.Token) (bellwether.Token, error) {
			for got, err := range s.List(ctx) {
				return got, err
			}
			return bellwether.Token{}, errors.New("nothing is listed")
		},
		"Save": func(ctx context.Context, s *redisstore.Store, tok bellwether.Token) (bellwether.Token, error) {
			return s.Save(ctx, bellwether.Token{ID: tok.ID, RedirectURL: "https://other.test"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _ := redistest.Mini(t)
				sealer := newSealer(t)
				s, _ := replica(t, m, sealer)
				victim, hook := replica(t, m, sealer)
				tok := save(t, s, newToken("p"))
				a := attempt(t, victim, tok.ID)
				ans := begin(t, victim, a)
				wantWord(t, ans, bellwether.BeginGo)
				lost := 0
				hook.set(func(_ int, cmds []redis.Cmder, next func() error) error {
					if !touchesIndex(cmds[0]) {
						return next()
					}
					lost++
					for _, cmd := range cmds {
						cmd.SetErr(errDead)
					}
					return errDead
				})
				answer(t, victim, a, ans, nil, nil)
				victim.Idle()
				if lost < 2 {
					t.Fatalf("%d commands on the index were lost, want the claim and its confirmation", lost)
				}

				got, err := read(t.Context(), s, tok)
				if err != nil || got.RefreshToken.Equal(tok.RefreshToken) {
					t.Fatalf("the rotated token was not read: %v", err)
				}
				again := save(t, s, bellwether.Token{RefreshToken: got.RefreshToken, AccessToken: got.AccessToken})
				if again.ID != tok.ID {
					t.Errorf("the rotated token made row %q beside %q", again.ID, tok.ID)
				}
				wantSound(t, s, 1)
				if ix, err := s.RawClient().HGet(t.Context(), s.RowKey(tok.ID), "ix").Result(); !errors.Is(err, redis.Nil) {
					t.Errorf("the row still bears the mark %q, %v", ix, err)
				}
			})
		})
	}
}

// A refresh whose process lives takes its own mark from the row.
func TestRotationLeavesNoMark(t *testing.T) {
	eachServer(t, func(t *testing.T, s *redisstore.Store) {
		tok := save(t, s, newToken("p"))
		a := attempt(t, s, tok.ID)
		ans := begin(t, s, a)
		answer(t, s, a, ans, nil, nil)
		s.Idle()
		if ix, err := s.RawClient().HGet(t.Context(), s.RowKey(tok.ID), "ix").Result(); !errors.Is(err, redis.Nil) {
			t.Errorf("the row bears the mark %q, %v", ix, err)
		}
		wantSound(t, s, 1)
	})
}
