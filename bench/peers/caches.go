package main

import (
	"context"
	"time"

	"cloud.google.com/go/auth"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/viccon/sturdyc"
	"golang.org/x/oauth2"
)

// The peers' caches in memory, each as its documentation sets it up. They differ in what
// they do once a token has ended; how a new one is got is the same function for all.

// renewFunc gets a token that lives.
type renewFunc = func(context.Context) (*oauth2.Token, error)

// newOAuth2Cache is what https://pkg.go.dev/golang.org/x/oauth2#ReuseTokenSource says: a
// token until ten seconds before its end, behind a mutex that is held during the refresh.
// It is made for one process; it takes no ctx, so the one given here is for all calls.
func newOAuth2Cache(ctx context.Context, renew renewFunc) oauth2.TokenSource {
	return oauth2.ReuseTokenSource(nil, tokenSource(func() (*oauth2.Token, error) { return renew(ctx) }))
}

type tokenSource func() (*oauth2.Token, error)

func (f tokenSource) Token() (*oauth2.Token, error) { return f() }

// newGoogleCache is what https://pkg.go.dev/cloud.google.com/go/auth#NewCachedTokenProvider
// says, with its defaults: the token is renewed in the background from 3 min 45 s before
// its end, and under a mutex once it has ended. It is made for one process and for
// credentials that are not used up, as a service account's key.
func newGoogleCache(renew renewFunc) auth.TokenProvider {
	return auth.NewCachedTokenProvider(tokenProvider(func(ctx context.Context) (*auth.Token, error) {
		t, err := renew(ctx)
		if err != nil {
			return nil, err
		}
		return &auth.Token{Value: t.AccessToken, Type: t.TokenType, Expiry: t.Expiry}, nil
	}), nil)
}

type tokenProvider func(context.Context) (*auth.Token, error)

func (f tokenProvider) Token(ctx context.Context) (*auth.Token, error) { return f(ctx) }

// newAWSCache is what https://pkg.go.dev/github.com/aws/aws-sdk-go-v2/aws#CredentialsCache
// says, with its defaults: one flight per process, which outlives the caller that began
// it. It is made for one process and for AWS keys, so the token goes where a key would.
func newAWSCache(renew renewFunc) *aws.CredentialsCache {
	return aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		t, err := renew(ctx)
		if err != nil {
			return aws.Credentials{}, err
		}
		return aws.Credentials{AccessKeyID: "oauth", SecretAccessKey: t.AccessToken, CanExpire: true, Expires: t.Expiry}, nil
	}))
}

// sturdyLife is less than the hour that every token here lives: a sturdyc.Client has one
// TTL for all that it keeps, and does not look into its values.
const sturdyLife = 55 * time.Minute

// newSturdyCache is what https://github.com/viccon/sturdyc#creating-a-cache-client says,
// with the capacity, shards and evictions of its example, for use with GetOrFetch: one
// flight per key and process, with the ctx of the caller that began it. The job that
// evicts is off, as the page advises for a cache that never fills: it has no end. Early
// refreshes are off, since nothing here is measured ahead of a token's end. Its
// distributed storage is not used: it is written after callers were answered, and the
// row that all peers share takes its place.
func newSturdyCache() *sturdyc.Client[*oauth2.Token] {
	const capacity, shards, evictPercent = 10_000, 10, 10
	return sturdyc.New[*oauth2.Token](capacity, shards, sturdyLife, evictPercent, sturdyc.WithNoContinuousEvictions())
}
