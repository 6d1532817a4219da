package canary

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/oauthtest"
	"github.com/bellwether-go/bellwether/redisstore"
	"github.com/bellwether-go/bellwether/seal"
)

// The surfaces: all that others than the process can see.
const (
	logLines    = "log"
	errorTexts  = "errors"
	printed     = "printed values"
	reports     = "reports"
	wireBytes   = "redis wire"
	keyNames    = "redis key names"
	keyValues   = "redis values"
	messages    = "redis messages"
	appendOnly  = "redis append-only file"
	requests    = "provider requests"
	providerLog = "provider log"
	arguments   = "process arguments"
	environment = "process environment"
	stdout      = "command output"
	stderr      = "command errors"
	files       = "command files"
)

// A record keeps what was seen on the surfaces.
type record struct {
	mu   sync.Mutex
	seen map[string]*bytes.Buffer
}

// on returns a writer to a surface.
func (r *record) on(surface string) io.Writer { return entry{r, surface} }

type entry struct {
	*record
	surface string
}

func (e entry) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen[e.surface] == nil {
		e.seen[e.surface] = new(bytes.Buffer)
	}
	return e.seen[e.surface].Write(b)
}

// bytes returns what was seen on a surface.
func (r *record) bytes(surface string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[surface] == nil {
		return nil
	}
	return bytes.Clone(r.seen[surface].Bytes())
}

// A ground is one Redis and two providers on which every surface is recorded.
type ground struct {
	t *testing.T
	*record
	secrets searcher
	known   int // secrets

	idp, zoho site
	redisAt   *tap
	gate      *redistest.Proxy // between redisAt and the server
	admin     *redis.Client    // goes by neither
	heard     chan string      // payloads of messages
	password  string
	wrong     string // another password

	dir    string // of the command's inputs
	work   string // the command's working folder
	keyset string
	keys   *seal.Keys
	log    *slog.Logger
	build  func() (name string, err error) // of the command
}

// newSecret returns a unique text with characters that encodings change.
func newSecret() string {
	text := rand.Text()
	for i, c := range `+/="\<&%` {
		text = text[:4*i+3] + string(c) + text[4*i+3:]
	}
	return text
}

// secret makes a secret that must show up nowhere.
func (g *ground) secret(name string) bellwether.Secret {
	s := bellwether.NewSecret(newSecret())
	g.learn(name, s)
	return s
}

// learn makes s a secret that must show up nowhere.
func (g *ground) learn(name string, s bellwether.Secret) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(s.Reveal()) >= fragment {
		g.secrets.add(name, s.Reveal())
		g.known++
	}
}

func newGround(t *testing.T, startRedis func(t *testing.T, g *ground) (addr string)) *ground {
	dir := t.TempDir()
	g := &ground{
		t: t, record: &record{seen: make(map[string]*bytes.Buffer)},
		dir: filepath.Join(dir, "in"), work: filepath.Join(dir, "work"), heard: make(chan string, 1<<16),
	}
	g.check(errors.Join(os.Mkdir(g.dir, 0o700), os.Mkdir(g.work, 0o700)))
	g.log = slog.New(handlers(g.on(logLines)))
	redis.SetLogger(redisLog{g.log})

	g.password, g.wrong = g.secret("Redis password").Reveal(), g.secret("wrong Redis password").Reveal()
	addr := startRedis(t, g)
	g.gate = redistest.NewProxy(t, func() (net.Conn, error) { return net.Dial("tcp", addr) })
	g.check(g.gate.Listen())
	g.redisAt = newTap(t, g.gate.Addr())
	g.admin = redis.NewClient(&redis.Options{Addr: addr, Password: g.password})
	sub := g.admin.PSubscribe(t.Context(), "*")
	_, err := sub.Receive(t.Context()) // it stands
	g.check(err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for m := range sub.Channel() {
			fmt.Fprintf(g.on(messages), "%s %s\n", m.Channel, m.Payload)
			g.heard <- m.Payload
		}
	})
	t.Cleanup(func() { _ = sub.Close(); wg.Wait(); _ = g.admin.Close() })

	g.idp = g.site(oauthtest.Config{Name: "idp"})
	g.zoho = g.site(oauthtest.Config{Dialect: oauthtest.Zoho})
	g.keyset = filepath.Join(g.dir, "keyset.json")
	_, err = seal.Create(g.keyset)
	g.check(err)
	g.keys = g.openKeys()
	return g
}

// A site is a provider behind a tap.
type site struct {
	*oauthtest.Server
	tap *tap
	url string
}

func (g *ground) site(cfg oauthtest.Config) site {
	srv := oauthtest.New(cfg)
	base, err := srv.Start()
	g.check(err)
	g.t.Cleanup(srv.Close)
	tap := newTap(g.t, strings.TrimPrefix(base, "http://"))
	return site{srv, tap, "http://" + tap.addr}
}

// issue signs a user in for a client of its own, so that no cooldown of a client
// reaches another path. The access token has ended: a Get leads to a call.
func (g *ground) issue(on site) bellwether.Token {
	client, secret := fmt.Sprintf("client-%d", g.known), g.secret("client secret")
	on.AddClient(client, secret)
	t := on.IssueTo(client, "user of "+client, "read").Token
	t.AccountsURL, t.APIDomain = on.url, on.url
	t.ExpiresAt = time.Now().Add(-time.Minute)
	t.IssuedAt = t.ExpiresAt.Add(-time.Hour)
	t.Extra = map[string]bellwether.Secret{"note": g.secret("extra")}
	g.learn("refresh token", t.RefreshToken)
	g.learn("access token", t.AccessToken)
	return t
}

// check stops the test: the ground does not stand.
func (g *ground) check(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// openKeys opens the keyset and learns the keys in it.
func (g *ground) openKeys() *seal.Keys {
	g.t.Helper()
	b, err := os.ReadFile(g.keyset)
	g.check(err)
	var f struct {
		IndexKey    []byte `json:"index_key"`
		SealingKeys struct {
			Key []struct{ KeyData struct{ Value []byte } }
		} `json:"sealing_keys"`
	}
	g.check(json.Unmarshal(b, &f))
	g.learn("index key", bellwether.NewSecret(string(f.IndexKey)))
	for _, k := range f.SealingKeys.Key {
		g.learn("sealing key", bellwether.NewSecret(string(k.KeyData.Value)))
	}
	if len(f.IndexKey) < 32 || len(f.SealingKeys.Key) == 0 {
		g.t.Fatal("the keyset is not as this test reads it")
	}
	keys, err := seal.Open(g.keyset)
	g.check(err)
	return keys
}

// redisURL is the URL of Redis behind the tap.
func (g *ground) redisURL(password string) string {
	u := url.URL{Scheme: "redis", Host: g.redisAt.addr, User: url.UserPassword("default", password)}
	return u.String()
}

func (g *ground) store(keys bellwether.Sealer) *redisstore.Store {
	g.t.Helper()
	s, err := redisstore.Open(g.t.Context(), g.redisURL(g.password), g.storeConfig(keys))
	g.check(err)
	g.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (g *ground) storeConfig(keys bellwether.Sealer) redisstore.Config {
	return redisstore.Config{Namespace: "canary", Sealer: keys, Logger: g.log}
}

// handlers writes each record as text and as JSON.
func handlers(w io.Writer) slog.Handler {
	o := &slog.HandlerOptions{Level: slog.LevelDebug}
	return slog.NewMultiHandler(slog.NewTextHandler(w, o), slog.NewJSONHandler(w, o))
}

// redisLog takes the lines of the Redis client.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(_ context.Context, format string, v ...any) {
	l.log.Debug(fmt.Sprintf(format, v...))
}

// show prints v in every form.
func show(w io.Writer, v any) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(w, verb+"\n", v)
	}
	text, err := json.Marshal(v)
	fmt.Fprintf(w, "%s %v\n", text, err)
	slog.New(handlers(w)).Info("value", "v", v)
}

// showAtRest prints what goroutines have used that have ended. They may have left its
// mutexes a moment ago, which the race detector takes for a race with reflection.
func (g *ground) showAtRest(v any) {
	if !underRace() {
		show(g.on(printed), v)
	}
}

// saw records an error and each one in its chain.
func (g *ground) saw(err error) {
	if err == nil {
		return
	}
	show(g.on(errorTexts), err)
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		g.saw(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			g.saw(err)
		}
	}
}

// dump records what Redis holds now.
func (g *ground) dump() {
	g.t.Helper()
	ctx := g.t.Context()
	names, values := g.on(keyNames), g.on(keyValues)
	keys := g.admin.Scan(ctx, 0, "", 1000).Iterator()
	for keys.Next(ctx) {
		k := keys.Val()
		fmt.Fprintln(names, k)
		var v any
		var err error
		switch kind := g.admin.Type(ctx, k).Val(); kind {
		case "none": // gone meanwhile
		case "string":
			v, err = g.admin.Get(ctx, k).Result()
		case "hash":
			v, err = g.admin.HGetAll(ctx, k).Result()
		case "zset":
			v, err = g.admin.ZRange(ctx, k, 0, -1).Result()
		default:
			err = fmt.Errorf("%s is a %s, which this test cannot read", k, kind)
		}
		if err != nil && !errors.Is(err, redis.Nil) {
			g.t.Fatal(err)
		}
		fmt.Fprintln(values, v)
	}
	g.check(keys.Err())
}

// hear waits for a message on any channel.
func (g *ground) hear(payload string) {
	for {
		select {
		case p := <-g.heard:
			if p == payload {
				return
			}
		case <-g.t.Context().Done():
			g.t.Fatal("the message was not heard")
		}
	}
}

// auth is where a client presents its password.
var auth = regexp.MustCompile(`(?s)\$4\r\n(?i:auth)\r\n(?:\$7\r\ndefault\r\n)?\$\d+\r\n`)

// withoutAuth takes the password out of where a client has to present it.
func withoutAuth(b []byte, passwords ...string) []byte {
	for _, p := range passwords {
		at := regexp.MustCompile(auth.String() + regexp.QuoteMeta(p) + "\r\n")
		b = at.ReplaceAll(b, []byte("AUTH\r\n"))
	}
	return b
}

func startMiniredis(t *testing.T, g *ground) string {
	m := miniredis.NewMiniRedis()
	m.RequireAuth(g.password)
	g.check(m.Start())
	t.Cleanup(m.Close)
	return m.Addr()
}

func startServer(t *testing.T, g *ground) string {
	return redistest.Single(t, redistest.Config{AOF: true, Password: g.password}).Addr()
}
