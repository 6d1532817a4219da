package refresh

import (
	"maps"
	"time"

	"github.com/bellwether-go/bellwether"
)

// merge lays an answer over the row that the request was made from. What the
// answer does not say stays (RFC 6749 section 6: an absent refresh token is
// unchanged), but for what the request used up. asked is the store's time from
// before the request.
func merge(row, answer bellwether.Token, asked time.Time, p bellwether.Profile) bellwether.Token {
	t := row.Clone()
	if row.RefreshToken.IsZero() {
		t.GrantToken = bellwether.Secret{} // it was presented, and works once
	}
	if !answer.RefreshToken.IsZero() {
		if !answer.RefreshToken.Equal(row.RefreshToken) || !answer.RefreshExpiresAt.IsZero() {
			t.RefreshExpiresAt = answer.RefreshExpiresAt
		}
		t.RefreshToken = answer.RefreshToken
	} else if !answer.RefreshExpiresAt.IsZero() {
		t.RefreshExpiresAt = answer.RefreshExpiresAt
	}
	if !answer.AccessToken.IsZero() {
		t.AccessToken = answer.AccessToken
		t.IssuedAt, t.ExpiresAt = asked, answer.ExpiresAt
		if !answer.IssuedAt.IsZero() && answer.IssuedAt.Before(asked) {
			t.IssuedAt = answer.IssuedAt
		}
		if t.ExpiresAt.IsZero() && p.DefaultLife > 0 {
			t.ExpiresAt = asked.Add(p.DefaultLife)
		}
		if answer.TokenType != "" {
			t.TokenType = answer.TokenType
		}
	}
	if answer.APIDomain != "" {
		t.APIDomain = answer.APIDomain
	}
	if len(answer.Scopes) > 0 {
		t.Scopes = answer.Scopes
	}
	return t
}

// mergeExtra lays an answer's extras over those that earlier answers brought.
func mergeExtra(had, got map[string]bellwether.Secret) map[string]bellwether.Secret {
	if len(got) == 0 {
		return had
	}
	out := make(map[string]bellwether.Secret, len(had)+len(got))
	maps.Copy(out, had)
	maps.Copy(out, got)
	return out
}
