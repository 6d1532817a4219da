package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/child"
	"github.com/bellwether-go/bellwether/provider/oauth"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/refresh"
	"github.com/bellwether-go/bellwether/seal"
)

// A replica is this test binary, started again. It reads its order and then one
// line a round from standard input, and answers a line each.

const workerEnv = "E2E_WORKER"

type order struct {
	Mode     string // "bellwether" or "x/oauth2"
	TokenURL string
	Callers  int
	// of bellwether
	Redis, Keyset, ID string
	// of x/oauth2
	RefreshToken string
}

type answer struct {
	Ready  bool
	OK     int
	Failed int
	Error  string // of one of the failed
	Tokens map[string]bool
	// refresh tokens that came with them; of x/oauth2
	Successors map[string]bool
}

func newAnswer() answer {
	return answer{Tokens: make(map[string]bool), Successors: make(map[string]bool)}
}

func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		if err := work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func fositeProvider(tokenURL string) (bellwether.Provider, error) {
	return oauth.New(oauth.Config{Name: "fosite", TokenURL: tokenURL, AllowHTTP: true, AuthStyle: oauth.AuthBasic})
}

func work(stdin io.Reader, stdout io.Writer) error {
	in, out := bufio.NewScanner(stdin), json.NewEncoder(stdout)
	in.Buffer(nil, 1<<20)
	if !in.Scan() {
		return in.Err()
	}
	var o order
	if err := json.Unmarshal(in.Bytes(), &o); err != nil {
		return err
	}
	ctx := context.Background()
	var get func() (access, refresh string, err error)
	switch o.Mode {
	case "bellwether":
		keys, err := seal.Open(o.Keyset)
		if err != nil {
			return err
		}
		store, err := redisstore.Open(ctx, o.Redis, redisstore.Config{Namespace: "e2e", Sealer: keys, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		defer store.Close()
		provider, err := fositeProvider(o.TokenURL)
		if err != nil {
			return err
		}
		r, err := refresh.New(store, refresh.Config{Providers: []bellwether.Provider{provider}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		defer r.Close()
		get = func() (string, string, error) {
			ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			a, err := r.Get(ctx, o.ID, refresh.Want{})
			return a.Token.Reveal(), "", err
		}
	case "x/oauth2":
		conf := &oauth2.Config{ClientID: clientID, ClientSecret: clientSecret,
			Endpoint: oauth2.Endpoint{TokenURL: o.TokenURL, AuthStyle: oauth2.AuthStyleInHeader}}
		source := conf.TokenSource(ctx, &oauth2.Token{RefreshToken: o.RefreshToken})
		get = func() (string, string, error) {
			tok, err := source.Token()
			if err != nil {
				return "", "", err
			}
			return tok.AccessToken, tok.RefreshToken, nil
		}
	}
	if err := out.Encode(answer{Ready: true}); err != nil {
		return err
	}
	for in.Scan() {
		var at time.Time
		if err := json.Unmarshal(in.Bytes(), &at); err != nil {
			return err
		}
		time.Sleep(time.Until(at)) // the barrier
		a := newAnswer()
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range o.Callers {
			wg.Go(func() {
				access, successor, err := get()
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					a.Failed, a.Error = a.Failed+1, err.Error()
					return
				}
				a.OK++
				a.Tokens[access] = true
				if successor != "" {
					a.Successors[successor] = true
				}
			})
		}
		wg.Wait()
		if err := out.Encode(a); err != nil {
			return err
		}
	}
	return in.Err()
}

type replica struct {
	in  io.WriteCloser
	out *json.Decoder
}

func startReplica(t *testing.T, o order) *replica {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	r := &replica{in: in, out: json.NewDecoder(out)}
	r.send(t, o)
	if a := r.receive(t); !a.Ready {
		t.Fatal("the replica is not ready")
	}
	return r
}

func (r *replica) send(t *testing.T, v any) {
	t.Helper()
	if err := json.NewEncoder(r.in).Encode(v); err != nil {
		t.Fatal(err)
	}
}

func (r *replica) receive(t *testing.T) answer {
	t.Helper()
	var a answer
	if err := r.out.Decode(&a); err != nil {
		t.Fatalf("a replica ended: %v", err)
	}
	return a
}

// round releases all callers of all replicas at once and adds up what they got.
func round(t *testing.T, replicas []*replica) answer {
	t.Helper()
	at := time.Now().Add(100 * time.Millisecond)
	for _, r := range replicas {
		r.send(t, at)
	}
	sum := newAnswer()
	for _, r := range replicas {
		a := r.receive(t)
		sum.OK, sum.Failed = sum.OK+a.OK, sum.Failed+a.Failed
		if a.Error != "" {
			sum.Error = a.Error
		}
		maps.Copy(sum.Tokens, a.Tokens)
		maps.Copy(sum.Successors, a.Successors)
	}
	return sum
}

func newKeyset(t *testing.T) (string, *seal.Keys) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyset.json")
	keys, err := seal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, keys
}
