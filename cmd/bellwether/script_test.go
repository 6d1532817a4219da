package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// envTranscript names the folder into which the commands of a script copy what they
// print.
const envTranscript = "BELLWETHER_TEST_TRANSCRIPT"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bellwether": recorded})
}

// recorded is main with a copy of all output. The tokens that get prints are the one
// exception: its standard output is not copied.
func recorded() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	f, err := os.CreateTemp(os.Getenv(envTranscript), "out-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
	stdout := io.MultiWriter(os.Stdout, f)
	if len(os.Args) > 1 && os.Args[1] == "get" {
		stdout = os.Stdout
	}
	code := run(ctx, os.Args[1:], os.Stdin, stdout, io.MultiWriter(os.Stderr, f))
	if err := f.Close(); err != nil {
		code = 99
	}
	os.Exit(code)
}

// A stage is what one script plays on: a Redis and two providers, one of RFC 6749 that
// rotates strictly ("idp") and one that speaks as Zoho does ("zoho").
type stage struct {
	redis      *miniredis.Miniredis
	idp, zoho  *oauthtest.Server
	transcript string

	mu      sync.Mutex
	holds   []*oauthtest.Hold
	grants  map[string]string // user to grant
	secrets []string
}

const redisPassword = "redis-pass-6f1d"

type stageKey struct{}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":     cmdCode,
			"provider": cmdProvider,
			"redis":    cmdRedis,
			"chmod":    cmdChmod,
			"capture":  cmdCapture,
			"signal":   cmdSignal,
			"waitfor":  cmdWaitFor,
			"private":  cmdPrivate,
			"sealed":   cmdSealed,
		},
	})
}

func setup(env *testscript.Env) error {
	st := &stage{redis: miniredis.NewMiniRedis(), grants: map[string]string{}, transcript: filepath.Join(env.WorkDir, ".transcript")}
	st.redis.RequireAuth(redisPassword)
	if err := errors.Join(st.redis.Start(), os.Mkdir(st.transcript, 0o700)); err != nil {
		return err
	}
	env.Defer(st.redis.Close)
	st.secrets = append(st.secrets, redisPassword)
	st.idp = oauthtest.New(oauthtest.Config{Name: "idp"})
	st.zoho = oauthtest.New(oauthtest.Config{Dialect: oauthtest.Zoho})
	for _, s := range []*oauthtest.Server{st.idp, st.zoho} {
		if _, err := s.Start(); err != nil {
			return err
		}
		env.Defer(s.Close)
	}
	secrets := map[string]string{
		"idp-secret":  st.idp.Issue("setup").Token.ClientSecret.Reveal(),
		"zoho-secret": st.zoho.Issue("setup").Token.ClientSecret.Reveal(),
		"wrong":       "wrong-secret-41c5",
	}
	for name, text := range secrets {
		st.secrets = append(st.secrets, text)
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text+"\n"), 0o600); err != nil {
			return err
		}
	}
	file := fmt.Sprintf(`{"providers": [
  {"name": "idp", "token_url": %q, "revoke_url": %q, "rotation": "strict", "allow_http": true},
  {"name": "zoho", "kind": "zoho", "home": "test", "allow_http": true,
   "endpoints": [{"data_center": "test", "accounts": %q, "api": [%q]}]}
]}
`, st.idp.TokenURL(), st.idp.RevokeURL(), st.zoho.URL(), st.zoho.URL())
	if err := os.WriteFile(filepath.Join(env.WorkDir, "providers.json"), []byte(file), 0o600); err != nil {
		return err
	}
	env.Setenv("REDIS_ADDR", st.redis.Addr())
	env.Setenv("REDIS_URL", "redis://:"+redisPassword+"@"+st.redis.Addr())
	env.Setenv("TOKEN_URL", st.idp.TokenURL())
	env.Setenv("REVOKE_URL", st.idp.RevokeURL())
	env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
	env.Setenv("ODD", "\x1b[31mred\a")
	env.Setenv(envTranscript, st.transcript)
	env.Values[stageKey{}] = st
	t := env.T()
	env.Defer(func() {
		if err := st.leaks(); err != nil {
			t.Fatal(err)
		}
	})
	return nil
}

// minted matches whatever the providers of the stage make, rotated tokens included.
var minted = regexp.MustCompile(`\b(?:rt|at|cs|code)_[A-Z2-7]{26}|\b1000\.[0-9a-f]{32}`)

// of returns the script's stage.
func of(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

// leaks looks for the secrets of the stage in all that the commands have printed.
func (st *stage) leaks() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	names, err := filepath.Glob(filepath.Join(st.transcript, "out-*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if at := minted.FindIndex(b); at != nil {
			return fmt.Errorf("a token was printed:\n%s", b[max(0, at[0]-200):at[1]])
		}
		for _, s := range st.secrets {
			if at := bytes.Index(b, []byte(s)); at >= 0 {
				return fmt.Errorf("a secret was printed:\n%s", b[max(0, at-200):at+len(s)])
			}
			if at := bytes.Index(b, []byte(url.QueryEscape(s))); at >= 0 {
				return fmt.Errorf("a secret was printed, escaped:\n%s", b[max(0, at-200):at+len(s)])
			}
		}
	}
	return nil
}

func (st *stage) server(ts *testscript.TestScript, name string) *oauthtest.Server {
	switch name {
	case "idp":
		return st.idp
	case "zoho":
		return st.zoho
	}
	ts.Fatalf("no provider %q", name)
	return nil
}

// TestLeakIsFound is the control of the search for secrets.
func TestLeakIsFound(t *testing.T) {
	st := &stage{transcript: t.TempDir(), secrets: []string{"rt_abc+/="}}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(st.transcript, "out-1"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("all is well")
	if err := st.leaks(); err != nil {
		t.Errorf("leaks() = %v without a leak", err)
	}
	for _, text := range []string{
		"x rt_abc+/= y", "x rt_abc%2B%2F%3D y",
		"rt_ABCDEFGHIJKLMNOPQRSTUVWXYZ", "{1000.0123456789abcdef0123456789abcdef.0}",
	} {
		write(text)
		if st.leaks() == nil {
			t.Errorf("the secret was not found in %q", text)
		}
	}
}

// code N COMMAND… runs a command and wants the exit code N.
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Check(err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// provider NAME VERB [ARG…] plays the provider's part; see the cases.
func cmdProvider(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: provider NAME VERB [ARG…]")
	}
	st := of(ts)
	s, args := st.server(ts, args[0]), args[1:]
	if !slices.Contains([]string{"calls", "alive", "dead"}, args[0]) {
		defer func() { st.mu.Unlock() }()
		st.mu.Lock()
	}
	switch args[0] {
	case "issue": // USER FILE: writes a refresh token
		g := s.Issue(args[1])
		st.keep(args[1], g)
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(g.Token.RefreshToken.Reveal()+"\n"), 0o600))
	case "code": // USER FILE: writes a grant code
		g := s.Code(args[1], "", "")
		st.keep(args[1], g)
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(g.Token.GrantToken.Reveal()+"\n"), 0o600))
	case "use": // FILE: somebody else exchanges the grant code in it
		resp, err := http.PostForm(s.TokenURL(), url.Values{
			"grant_type": {"authorization_code"}, "code": {strings.TrimSpace(ts.ReadFile(args[1]))},
			"client_id": {"test-client"}, "client_secret": {strings.TrimSpace(ts.ReadFile("idp-secret"))},
		})
		ts.Check(err)
		ts.Check(resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			ts.Fatalf("the grant code is not taken: %s", resp.Status)
		}
	case "kill": // USER: revokes the grant
		s.Kill(st.grants[args[1]])
	case "expire": // ends every access token
		s.ExpireAccess("")
	case "life": // DURATION of access tokens to come
		d, err := time.ParseDuration(args[1])
		ts.Check(err)
		s.SetAccessLife(d)
	case "throttle": // DURATION: the next call is answered 429
		d, err := time.ParseDuration(args[1])
		ts.Check(err)
		s.Inject(oauthtest.Throttle(d))
	case "html": // STATUS: the next call is answered with a web page
		status, err := strconv.Atoi(args[1])
		ts.Check(err)
		s.Inject(oauthtest.HTML(status))
	case "redirect": // URL: the next call is redirected
		s.Inject(oauthtest.Redirect(args[1]))
	case "error": // STATUS CODE: the next call is answered with this error
		status, err := strconv.Atoi(args[1])
		ts.Check(err)
		s.Inject(oauthtest.ErrorBody(status, args[2]))
	case "hold": // the next call rotates and is then held
		st.holds = append(st.holds, s.HoldNext(true))
	case "arrived": // waits until the held call is there
		select {
		case <-st.holds[0].Arrived():
		case <-time.After(20 * time.Second):
			ts.Fatalf("no call arrived")
		}
	case "release": // lets the held call go on
		st.holds[0].Release()
		st.holds = st.holds[1:]
	case "stop": // nothing listens any more
		s.Close()
	case "calls": // N: so many token calls arrived
		want, err := strconv.Atoi(args[1])
		ts.Check(err)
		if got := s.Calls(); got != want {
			ts.Fatalf("%d token calls, want %d", got, want)
		}
	case "alive", "dead": // USER: the grant is so
		st.mu.Lock()
		alive := s.GrantAlive(st.grants[args[1]])
		st.mu.Unlock()
		if alive != (args[0] == "alive") {
			ts.Fatalf("grant of %s: alive is %v", args[1], alive)
		}
	case "accepts": // FILE: the API takes the token in it
		if !s.Accepts(bellwether.NewSecret(strings.TrimSpace(ts.ReadFile(args[1])))) {
			ts.Fatalf("the API does not take this token")
		}
	default:
		ts.Fatalf("unknown verb %q", args[0])
	}
}

// keep remembers a grant and its secrets.
func (st *stage) keep(user string, g oauthtest.Grant) {
	st.grants[user] = g.ID
	for _, s := range []bellwether.Secret{g.Token.RefreshToken, g.Token.AccessToken, g.Token.GrantToken} {
		if !s.IsZero() {
			st.secrets = append(st.secrets, s.Reveal())
		}
	}
}

// redis VERB [ARG…] breaks the Redis; see the cases.
func cmdRedis(ts *testscript.TestScript, neg bool, args []string) {
	m := of(ts).redis
	switch {
	case len(args) == 2 && args[0] == "error": // TEXT: every command is answered so
		m.SetError(args[1])
	case len(args) == 1 && args[0] == "flush": // forgets everything
		m.FlushAll()
	case len(args) == 2 && args[0] == "cut": // ID: halves the sealed fields of the row
		for _, key := range m.Keys() {
			if !strings.HasSuffix(key, ":t:"+args[1]) {
				continue
			}
			for _, field := range []string{"sec", "cr"} {
				v := m.HGet(key, field)
				m.HSet(key, field, v[:len(v)/2])
			}
			return
		}
		ts.Fatalf("no row %s", args[1])
	default:
		ts.Fatalf("usage: redis error TEXT | redis flush | redis cut ID")
	}
}

func cmdChmod(ts *testscript.TestScript, neg bool, args []string) {
	mode, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	ts.Check(os.Chmod(ts.MkAbs(args[1]), os.FileMode(mode)))
}

// capture NAME puts the trimmed standard output of the last command into $NAME; with
// a second word it is a secret, which nothing else may print.
func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	text := strings.TrimSpace(ts.ReadFile("stdout"))
	ts.Setenv(args[0], text)
	if len(args) == 2 && args[1] == "secret" {
		st := of(ts)
		st.mu.Lock()
		defer st.mu.Unlock()
		st.secrets = append(st.secrets, text)
	}
}

// signal interrupts every background command.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(os.Interrupt))
	}
}

// waitfor TEXT waits until a command has printed the text.
func cmdWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		names, err := filepath.Glob(filepath.Join(of(ts).transcript, "out-*"))
		ts.Check(err)
		for _, name := range names {
			b, err := os.ReadFile(name)
			ts.Check(err)
			if bytes.Contains(b, []byte(args[0])) {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("nothing has printed %q", args[0])
}
