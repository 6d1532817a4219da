package oauth

import (
	"time"

	"github.com/bellwether-go/bellwether"
)

// The functions below return configurations of known providers, to be changed
// where an account is set up otherwise, and given to New. What a provider does
// with a used refresh token was read on the page named; where it depends on a
// setting, the setting is a parameter or strict is assumed.

// Google returns Google's configuration. Refresh tokens stay; a refresh returns
// none. Access tokens live about an hour. Source:
// developers.google.com/identity/protocols/oauth2.
func Google() Config {
	return Config{
		Name:      "google",
		TokenURL:  "https://oauth2.googleapis.com/token",
		RevokeURL: "https://oauth2.googleapis.com/revoke",
		Rotation:  bellwether.RotationReusable,
	}
}

// Microsoft returns Entra ID's configuration for a tenant: an id, a domain,
// "common" or "organizations". Each refresh returns a new refresh token and does
// not revoke the old one. Source:
// learn.microsoft.com/entra/identity-platform/refresh-tokens.
func Microsoft(tenant string) Config {
	return Config{
		Name:     "microsoft",
		TokenURL: "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token",
		Rotation: bellwether.RotationReusable,
	}
}

// Okta returns the configuration of an Okta authorization server, for an issuer
// such as https://example.okta.com/oauth2/default. leeway is the grace period of
// the application's refresh token rotation, 0 to 60 s and 30 s unless changed; a
// use beyond it revokes the newest refresh token and all access tokens. Source:
// developer.okta.com/docs/guides/refresh-tokens.
func Okta(issuer string, leeway time.Duration) Config {
	return withGrace(Config{
		Name:      "okta",
		TokenURL:  issuer + "/v1/token",
		RevokeURL: issuer + "/v1/revoke",
	}, leeway)
}

// Auth0 returns the configuration of an Auth0 tenant, for its domain. overlap is
// the overlap period of the application's refresh token rotation; a use beyond
// it revokes the family. Source:
// auth0.com/docs/secure/tokens/refresh-tokens/configure-refresh-token-rotation.
func Auth0(domain string, overlap time.Duration) Config {
	return withGrace(Config{
		Name:      "auth0",
		TokenURL:  "https://" + domain + "/oauth/token",
		RevokeURL: "https://" + domain + "/oauth/revoke",
	}, overlap)
}

// Atlassian returns the configuration of Atlassian's OAuth 2.0 (3LO). A used
// refresh token works for ten minutes more. Source: developer.atlassian.com, and
// community.developer.atlassian.com/t/83103 for the ten minutes.
func Atlassian() Config {
	c := withGrace(Config{
		Name:       "atlassian",
		TokenURL:   "https://auth.atlassian.com/oauth/token",
		BodyFormat: BodyJSON,
	}, 10*time.Minute)
	c.Errors = map[string]Rule{
		// Sent for a wrong client secret too, so it condemns no token.
		"access_denied": {Class: bellwether.ClassConfig, Concern: bellwether.ConcernClient,
			Hint: "check the client secret and the application's access"},
	}
	return c
}

// HubSpot returns HubSpot's configuration (OAuth v3). Refresh tokens stay until
// the app is removed. Source: developers.hubspot.com, "OAuth v3" guide;
// BAD_REFRESH_TOKEN from nango.dev/blog/hubspot-oauth-bad-refresh-token.
func HubSpot() Config {
	return Config{
		Name:        "hubspot",
		TokenURL:    "https://api.hubapi.com/oauth/v3/token",
		Rotation:    bellwether.RotationReusable,
		ErrorFields: []string{"error", "status"},
		Errors: map[string]Rule{
			"BAD_REFRESH_TOKEN": {Class: bellwether.ClassRefused, Hint: "the app was removed from the account; install it again"},
		},
	}
}

// Xero returns Xero's configuration. A used refresh token works for thirty
// minutes more. Source: developer.xero.com/faq/oauth2.
func Xero() Config {
	return withGrace(Config{
		Name:      "xero",
		TokenURL:  "https://identity.xero.com/connect/token",
		RevokeURL: "https://identity.xero.com/connect/revocation",
		AuthStyle: AuthBasic,
	}, 30*time.Minute)
}

// Slack returns the configuration of Slack with token rotation on. A used refresh
// token is dead at once, and errors come with status 200. For the token of the
// user and not of the bot set TokenField to "authed_user". Source:
// docs.slack.dev, "Using token rotation" and the errors of oauth.v2.exchange;
// internal_error and fatal_error are no part of the table since, by that page,
// some aspect of the operation may have succeeded.
func Slack() Config {
	return Config{
		Name:           "slack",
		TokenURL:       "https://slack.com/api/oauth.v2.access",
		ScopeSeparator: ",",
		Errors: map[string]Rule{
			"invalid_refresh_token": {Class: bellwether.ClassRefused, Hint: "install the app again"},
			"invalid_code":          {Class: bellwether.ClassRefused, Hint: "the code was used or has ended; install the app again"},
			"bad_client_secret":     {Class: bellwether.ClassConfig, Concern: bellwether.ConcernClient, Hint: "check the client secret"},
			"invalid_client_id":     {Class: bellwether.ClassConfig, Concern: bellwether.ConcernClient, Hint: "check the client id"},
			"ratelimited":           {Class: bellwether.ClassThrottled, Concern: bellwether.ConcernClient},
		},
		RejectCodes: []string{"token_expired"},
	}
}

// Salesforce returns the configuration of a Salesforce login server, such as
// https://login.salesforce.com or that of My Domain. Answers name the
// organisation's API as instance_url and, as a rule, no expires_in: set
// DefaultLife to the session timeout of the organisation, else only a rejection
// leads to a refresh. Refresh tokens rotate only where the connected app says so;
// strict is assumed. Source: help.salesforce.com, "OAuth 2.0 Refresh Token Flow".
func Salesforce(login string) Config {
	return Config{
		Name:           "salesforce",
		TokenURL:       login + "/services/oauth2/token",
		RevokeURL:      login + "/services/oauth2/revoke",
		APIDomainField: "instance_url",
	}
}

func withGrace(c Config, grace time.Duration) Config {
	c.Rotation = bellwether.RotationStrict
	if grace > 0 {
		c.Rotation, c.Grace = bellwether.RotationGrace, grace
	}
	return c
}
