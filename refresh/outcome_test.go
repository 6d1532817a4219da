package refresh

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellwether-go/bellwether"
)

func TestJudge(t *testing.T) {
	access := bellwether.Token{AccessToken: bellwether.NewSecret("a")}
	refresh := bellwether.Token{RefreshToken: bellwether.NewSecret("r")}
	said := func(c bellwether.Class) error { return &bellwether.ProviderError{Class: c, Code: "code"} }
	const (
		spent, refused   = bellwether.OutcomeSpent, bellwether.OutcomeRefused
		unspent, unknown = bellwether.OutcomeUnspent, bellwether.OutcomeUnknown
	)
	for _, tt := range []struct {
		name  string
		ev    evidence
		want  bellwether.Outcome
		class bellwether.Class
		lost  bool
	}{
		{"tokens", evidence{sent: true, status: 200, token: access}, spent, "", false},
		{"tokens and an error", evidence{sent: true, status: 200, token: refresh, err: said(bellwether.ClassUnusable)}, spent, bellwether.ClassUnusable, false},
		{"tokens under a 500", evidence{sent: true, status: 500, token: access, err: said(bellwether.ClassUnknown)}, spent, bellwether.ClassUnknown, false},
		{"refused", evidence{sent: true, status: 400, err: said(bellwether.ClassRefused)}, refused, bellwether.ClassRefused, false},
		{"refused under a 200", evidence{sent: true, status: 200, err: said(bellwether.ClassRefused), strict: true}, refused, bellwether.ClassRefused, false},
		{"refused under a 503", evidence{sent: true, status: 503, err: said(bellwether.ClassRefused)}, refused, bellwether.ClassRefused, false},
		{"not sent", evidence{err: said(bellwether.ClassTransport)}, unspent, bellwether.ClassTransport, false},
		{"not sent, a code", evidence{err: said(bellwether.ClassTransport), strict: true, code: true}, unspent, bellwether.ClassTransport, false},
		{"429", evidence{sent: true, status: 429, err: said(bellwether.ClassUnknown)}, unspent, bellwether.ClassThrottled, false},
		{"429, a code", evidence{sent: true, status: 429, err: said(bellwether.ClassThrottled), strict: true, code: true}, unspent, bellwether.ClassThrottled, false},
		{"throttle under a 200", evidence{sent: true, status: 200, err: said(bellwether.ClassThrottled), strict: true}, unspent, bellwether.ClassThrottled, false},
		{"invalid_client", evidence{sent: true, status: 401, err: said(bellwether.ClassConfig)}, unspent, bellwether.ClassConfig, false},
		{"maintenance under a 400", evidence{sent: true, status: 400, err: said(bellwether.ClassUnavailable)}, unspent, bellwether.ClassUnavailable, false},
		{"maintenance under a 503 proves nothing", evidence{sent: true, status: 503, err: said(bellwether.ClassUnavailable)}, unknown, bellwether.ClassUnavailable, false},
		{"throttle under a 500 proves nothing", evidence{sent: true, status: 500, err: said(bellwether.ClassThrottled)}, unknown, bellwether.ClassThrottled, false},
		{"sent, no answer", evidence{sent: true, err: said(bellwether.ClassTransport), strict: true}, unknown, bellwether.ClassTransport, false},
		{"sent, no answer, a code", evidence{sent: true, err: said(bellwether.ClassTransport), strict: true, code: true}, unknown, bellwether.ClassTransport, true},
		{"5xx", evidence{sent: true, status: 502, err: said(bellwether.ClassUnknown), strict: true}, unknown, bellwether.ClassUnknown, false},
		{"404", evidence{sent: true, status: 404, err: said(bellwether.ClassUnknown)}, unknown, bellwether.ClassUnknown, false},
		{"redirect", evidence{sent: true, status: 307, err: said(bellwether.ClassUnknown), strict: true}, unknown, bellwether.ClassUnknown, false},
		{"garbage, reusable", evidence{sent: true, status: 200, err: said(bellwether.ClassUnknown)}, unknown, bellwether.ClassUnusable, false},
		{"garbage, strict", evidence{sent: true, status: 200, err: said(bellwether.ClassUnknown), strict: true}, unknown, bellwether.ClassUnusable, true},
		{"another error", evidence{sent: true, status: 400, err: errors.New("odd")}, unknown, bellwether.ClassUnknown, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := judge(tt.ev)
			if got.outcome != tt.want || got.class != tt.class || got.lost != tt.lost || got.sent != tt.ev.sent {
				t.Errorf("judge = %+v, want outcome %s, class %q, lost %v", got, tt.want, tt.class, tt.lost)
			}
		})
	}
}

func TestJudgeConcern(t *testing.T) {
	for _, tt := range []struct {
		status int
		err    *bellwether.ProviderError
		want   bool
	}{
		{429, &bellwether.ProviderError{Class: bellwether.ClassThrottled}, true},
		{429, &bellwether.ProviderError{Class: bellwether.ClassThrottled, Concern: bellwether.ConcernToken}, false},
		{401, &bellwether.ProviderError{Class: bellwether.ClassConfig, Concern: bellwether.ConcernClient}, true},
		{400, &bellwether.ProviderError{Class: bellwether.ClassConfig}, false},
	} {
		if got := judge(evidence{sent: true, status: tt.status, err: tt.err}); got.client != tt.want {
			t.Errorf("judge(%d, %+v).client = %v, want %v", tt.status, tt.err, got.client, tt.want)
		}
	}
}

func TestCooldown(t *testing.T) {
	cfg, err := Config{Providers: []bellwether.Provider{plain{}}, jitter: func() float64 { return 0 }}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	unknown := verdict{outcome: bellwether.OutcomeUnknown, class: bellwether.ClassUnknown}
	throttled := verdict{outcome: bellwether.OutcomeUnspent, class: bellwether.ClassThrottled}
	asked := func(d time.Duration) verdict { v := throttled; v.retryAfter = d; return v }
	for _, tt := range []struct {
		name     string
		v        verdict
		failures int
		want     time.Duration
	}{
		{"first", unknown, 0, time.Second},
		{"fourth", unknown, 3, 8 * time.Second},
		{"many", unknown, 1000, 5 * time.Minute},
		{"throttled", throttled, 0, 30 * time.Second},
		{"throttled again", throttled, 2, 2 * time.Minute},
		{"Retry-After", asked(90 * time.Second), 7, 90 * time.Second},
		{"Retry-After of a month", asked(720 * time.Hour), 0, time.Hour},
		{"refused", verdict{outcome: bellwether.OutcomeRefused, class: bellwether.ClassRefused}, 5, 0},
		{"aborted", verdict{outcome: bellwether.OutcomeUnspent}, 5, 0},
	} {
		if got := tt.v.cooldown(cfg, tt.failures); got != tt.want {
			t.Errorf("%s: cooldown = %v, want %v", tt.name, got, tt.want)
		}
	}
	cfg.jitter = func() float64 { return 0.99 }
	if got := unknown.cooldown(cfg, 0); got <= time.Second || got > 1250*time.Millisecond {
		t.Errorf("with jitter: %v", got)
	}
	if got := asked(720*time.Hour).cooldown(cfg, 0); got > cfg.longestCooldown() {
		t.Errorf("cooldown %v is longer than longestCooldown %v", got, cfg.longestCooldown())
	}
}

func TestMerge(t *testing.T) {
	secret := bellwether.NewSecret
	asked := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	row := bellwether.Token{
		ID: "row", ClientSecret: secret("cs"), RefreshToken: secret("r1"), GrantToken: secret("g"), AccessToken: secret("a1"),
		TokenType: "Bearer", Scopes: []string{"s"}, APIDomain: "https://api", IssuedAt: asked.Add(-time.Hour), ExpiresAt: asked,
		RefreshExpiresAt: asked.Add(24 * time.Hour),
	}
	with := func(f func(*bellwether.Token)) bellwether.Token { c := row.Clone(); f(&c); return c }
	for _, tt := range []struct {
		name    string
		row     bellwether.Token
		answer  bellwether.Token
		profile bellwether.Profile
		want    bellwether.Token
	}{
		{
			"access token only", row,
			bellwether.Token{AccessToken: secret("a2"), ExpiresAt: asked.Add(time.Hour)}, bellwether.Profile{},
			with(func(t *bellwether.Token) {
				t.AccessToken, t.IssuedAt, t.ExpiresAt = secret("a2"), asked, asked.Add(time.Hour)
			}),
		}, {
			"rotation", row,
			bellwether.Token{AccessToken: secret("a2"), RefreshToken: secret("r2"), APIDomain: "https://eu", TokenType: "b", Scopes: []string{"x"}}, bellwether.Profile{},
			with(func(t *bellwether.Token) {
				t.AccessToken, t.IssuedAt, t.ExpiresAt = secret("a2"), asked, time.Time{}
				t.RefreshToken, t.RefreshExpiresAt = secret("r2"), time.Time{}
				t.APIDomain, t.TokenType, t.Scopes = "https://eu", "b", []string{"x"}
			}),
		}, {
			"default life", row,
			bellwether.Token{AccessToken: secret("a2")}, bellwether.Profile{DefaultLife: time.Minute},
			with(func(t *bellwether.Token) {
				t.AccessToken, t.IssuedAt, t.ExpiresAt = secret("a2"), asked, asked.Add(time.Minute)
			}),
		}, {
			"a refresh token alone", row,
			bellwether.Token{RefreshToken: secret("r2")}, bellwether.Profile{DefaultLife: time.Minute},
			with(func(t *bellwether.Token) { t.RefreshToken, t.RefreshExpiresAt = secret("r2"), time.Time{} }),
		}, {
			"the same refresh token keeps its end", row,
			bellwether.Token{RefreshToken: secret("r1")}, bellwether.Profile{}, row,
		}, {
			"a code is used up", with(func(t *bellwether.Token) { t.RefreshToken = bellwether.Secret{} }),
			bellwether.Token{RefreshToken: secret("r1")}, bellwether.Profile{},
			with(func(t *bellwether.Token) { t.GrantToken, t.RefreshExpiresAt = bellwether.Secret{}, time.Time{} }),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := merge(tt.row, tt.answer, asked, tt.profile)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("merge (-want +got):\n%s", diff)
			}
		})
	}
	had := map[string]bellwether.Secret{"a": secret("1"), "b": secret("1")}
	got := mergeExtra(had, map[string]bellwether.Secret{"b": secret("2")})
	if len(got) != 2 || got["a"].Reveal() != "1" || got["b"].Reveal() != "2" || had["b"].Reveal() != "1" {
		t.Errorf("mergeExtra changed its input or lost a key: %d keys", len(got))
	}
}
