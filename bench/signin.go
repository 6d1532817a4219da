package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/bellwether-go/bellwether/bench/report"
)

// Two ways in which a refresh is disturbed by its surroundings and nothing is broken.

var leaveScenario = Scenario{
	Name:     "leave",
	About:    "the callers that begin a refresh give up; those who came after them must not notice",
	Sources:  []Source{SourceBellwether, SourcePolling, SourceRedislockLinear, SourceShared},
	Usual:    []Source{SourceBellwether, SourcePolling, SourceRedislockLinear, SourceShared},
	Defaults: Settings{Replicas: 4, Callers: 50, Rounds: 4, Latency: 500 * time.Millisecond, Profile: "strict"},
	run: func(ctx context.Context, b *bout) ([]report.Run, error) {
		return b.herds(ctx, func(s Source) herdPlan {
			p := b.plan(s)
			p.Leavers = 1
			return p
		}, 1)
	},
}

var signInScenario = Scenario{
	Name:     "signin",
	About:    "the user signs in again while the old credentials are being refreshed: what is stored must stay",
	Sources:  []Source{SourceBellwether, SourcePolling, SourceRedislockLinear},
	Usual:    []Source{SourceBellwether, SourcePolling, SourceRedislockLinear},
	Defaults: Settings{Replicas: 4, Callers: 50, Rounds: 4, Latency: 100 * time.Millisecond, Profile: "strict"},
	run: func(ctx context.Context, b *bout) ([]report.Run, error) {
		return b.herds(ctx, func(s Source) herdPlan {
			p := b.plan(s)
			p.SignIn = true
			return p
		}, 1)
	},
}

// signInAgain stores the token of a new grant over the first row.
func (s *stage) signInAgain(ctx context.Context) error {
	s.grants[0] = s.server.Issue(fmt.Sprintf("bot0@%s", s.mode))
	return s.ground.replace(ctx, s.Source, s.rows[0], s.grants[0].Token)
}

// signInsLost is 1 when the first row does not hold the newest grant's refresh token.
func (s *stage) signInsLost(ctx context.Context) (int, error) {
	got, err := s.ground.refreshToken(ctx, s.Source, s.rows[0])
	if err != nil || got.Equal(s.grants[0].Token.RefreshToken) {
		return 0, err
	}
	return 1, nil
}
