package bench

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
)

// A sharedSource is a replica's token source as a careful team builds it on x/oauth2:
// before it refreshes it reads the store that all replicas share, afterwards it writes
// it, and when the provider refuses its refresh token it looks once more whether
// another replica was faster. There is no lock.
type sharedSource struct {
	conf   oauth2.Config
	http   *http.Client
	client redis.UniversalClient
	key    string
	meter  *meter
}

// A sharedReplica wraps it the way every user of x/oauth2 does.
type sharedReplica struct {
	source *sharedSource
	reuse  oauth2.TokenSource
}

func openShared(s setup, m *meter) (source, error) {
	client, err := redisstore.Dial(s.Redis)
	if err != nil {
		return nil, err
	}
	client.AddHook(m)
	src := &sharedSource{
		conf: oauth2.Config{
			ClientID:     s.ClientID,
			ClientSecret: s.Secret,
			// Detecting the style would send a refresh token twice.
			Endpoint: oauth2.Endpoint{TokenURL: s.Provider.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
		},
		http:   newHTTPClient(),
		client: client,
		key:    s.Row,
		meter:  m,
	}
	return &sharedReplica{src, oauth2.ReuseTokenSource(nil, src)}, nil
}

// Token implements oauth2.TokenSource.
func (s *sharedSource) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callerPatience)
	defer cancel()
	t, err := s.load(ctx)
	if err != nil || t.Valid() {
		return t, err
	}
	s.meter.calling()
	fresh, err := s.conf.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, s.http), t).Token()
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "invalid_grant" {
		if t, err := s.load(ctx); err == nil && t.Valid() {
			return t, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return fresh, s.save(ctx, fresh)
}

func (s *sharedSource) load(ctx context.Context) (*oauth2.Token, error) {
	b, err := s.client.Get(ctx, s.key).Bytes()
	if err != nil {
		return nil, err
	}
	t := new(oauth2.Token)
	return t, json.Unmarshal(b, t)
}

func (s *sharedSource) save(ctx context.Context, t *oauth2.Token) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	s.meter.committing(time.Now())
	return s.client.Set(ctx, s.key, b, 0).Err()
}

func (r *sharedReplica) warm(ctx context.Context) error {
	_, err := r.source.load(ctx)
	return err
}

func (r *sharedReplica) token(context.Context) (bellwether.Secret, error) {
	t, err := r.reuse.Token()
	if err != nil {
		return bellwether.Secret{}, err
	}
	return bellwether.NewSecret(t.AccessToken), nil
}

func (r *sharedReplica) close() { _ = r.source.client.Close() }
