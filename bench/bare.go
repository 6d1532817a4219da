package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/redisstore"
)

// A bareReplica makes the round trips of one fleet-wide refresh and does nothing else:
// no sealing, no fence, no recovery, no cache. It is the least that a herd could wait
// for on the same machine, and what extra waits are judged by. It does not survive the
// loss of a message or of a process.
type bareReplica struct {
	client redis.UniversalClient
	events *redis.PubSub
	http   *http.Client
	setup  setup
	meter  *meter

	mu     sync.Mutex
	known  string // generation of the last token handed out
	flight *flight
}

// A flight is one run that all callers of the replica wait for.
type flight struct {
	done  chan struct{}
	token string
	err   error
}

func openBare(ctx context.Context, s setup, m *meter) (source, error) {
	if len(s.Rows) != 1 {
		return nil, errors.New("bench: the bare probe knows one token")
	}
	client, err := redisstore.Dial(s.Redis)
	if err != nil {
		return nil, err
	}
	client.AddHook(m)
	events := client.Subscribe(ctx, s.Rows[0]+":ev")
	if _, err := events.Receive(ctx); err != nil {
		_ = events.Close()
		_ = client.Close()
		return nil, err
	}
	return &bareReplica{client: client, events: events, http: newHTTPClient(), setup: s, meter: m}, nil
}

func (r *bareReplica) close() {
	_ = r.events.Close()
	_ = r.client.Close()
}

// warm takes the present token for one that has expired.
func (r *bareReplica) warm(ctx context.Context) error {
	gen, _, _, err := r.read(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known, r.flight = gen, nil
	return err
}

func (r *bareReplica) token(ctx context.Context, _ int) (bellwether.Secret, error) {
	r.mu.Lock()
	if r.flight == nil {
		f := &flight{done: make(chan struct{})}
		r.flight = f
		go func() {
			defer close(f.done)
			f.token, f.err = r.fly(ctx)
		}()
	}
	f := r.flight
	r.mu.Unlock()
	select {
	case <-f.done:
		return bellwether.NewSecret(f.token), f.err
	case <-ctx.Done():
		return bellwether.Secret{}, ctx.Err()
	}
}

// read is the round trip of a re-read: the row, and the cooldown of its client.
func (r *bareReplica) read(ctx context.Context) (gen, access, refresh string, err error) {
	pipe := r.client.Pipeline()
	row := pipe.HMGet(ctx, r.setup.Rows[0], "gen", "at", "rt")
	pipe.Get(ctx, r.setup.Rows[0]+":cd")
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return "", "", "", err
	}
	for i, p := range []*string{&gen, &access, &refresh} {
		*p, _ = row.Val()[i].(string)
	}
	return gen, access, refresh, nil
}

// fly reads, locks, marks, calls, commits; or reads, fails to lock, waits for the
// message and reads again.
func (r *bareReplica) fly(ctx context.Context) (string, error) {
	gen, access, refresh, err := r.read(ctx)
	if err != nil || gen != r.known {
		return access, err
	}
	lock := r.setup.Rows[0] + ":l"
	mine, err := r.client.SetNX(ctx, lock, "1", 10*time.Second).Result()
	if err != nil {
		return "", err
	}
	if !mine {
		if err := r.client.PTTL(ctx, lock).Err(); err != nil {
			return "", err
		}
	}
	for !mine {
		if _, err := r.events.ReceiveMessage(ctx); err != nil {
			return "", err
		}
		now, access, _, err := r.read(ctx)
		if err != nil || now != gen { // the same: a message of our own, from an earlier round
			return access, err
		}
	}
	if err := r.client.HSet(ctx, r.setup.Rows[0], "in", "1").Err(); err != nil {
		return "", err
	}
	r.meter.calling()
	access, refresh, err = r.call(ctx, refresh)
	if err != nil {
		return "", err
	}
	r.meter.committing(time.Now())
	_, err = r.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, r.setup.Rows[0], "gen", gen+"1", "at", access, "rt", refresh)
		p.Del(ctx, lock)
		p.Publish(ctx, r.setup.Rows[0]+":ev", "1")
		return nil
	})
	return access, err
}

// call is the token request.
func (r *bareReplica) call(ctx context.Context, refresh string) (access, next string, err error) {
	form := url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {refresh},
		"client_id":     {r.setup.ClientID},
		"client_secret": {r.setup.Secret},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.setup.Provider.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := r.http.Do(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	var body struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Error   string `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return "", "", err
	}
	if body.Access == "" {
		return "", "", fmt.Errorf("bench: the provider answered %q", body.Error)
	}
	if body.Refresh == "" {
		body.Refresh = refresh
	}
	return body.Access, body.Refresh, nil
}
