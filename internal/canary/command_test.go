package canary

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// buildCommand returns a func that builds the command once, as the test was: with the
// race detector or without.
func buildCommand(dir string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		name := filepath.Join(dir, "bellwether")
		args := []string{"build", "-o", name}
		if underRace() {
			args = append(args, "-race")
		}
		out, err := exec.Command("go", append(args, "github.com/bellwether-go/bellwether/cmd/bellwether")...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("go build: %w\n%s", err, out)
		}
		return name, err
	})
}

// underRace reports whether the test was built with the race detector.
func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// A run is one process of the command.
type run struct {
	args  []string
	env   []string
	stdin string
	code  int             // wanted
	hold  *oauthtest.Hold // released while the process waits for the provider
	open  bool            // the output is looked at before it is recorded
}

// run runs the command and records all that others see of it.
func (g *ground) run(r run) string {
	g.t.Helper()
	bin, err := g.build()
	g.check(err)
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, r.args...)
	cmd.Dir = g.work
	cmd.Env = append([]string{"HOME=" + g.work, redisEnv + "=" + g.redisURL(g.password), "BELLWETHER_KEYSET=" + g.keyset,
		"BELLWETHER_NAMESPACE=canary", "BELLWETHER_PROVIDERS=providers.json",
		"GORACE=atexit_sleep_ms=0"}, r.env...) // the race detector would wait a second at each exit
	in, err := cmd.StdinPipe()
	g.check(err)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	g.check(cmd.Start())
	ended := make(chan struct{})
	if r.hold != nil {
		go func() { _ = cmd.Wait(); close(ended) }()
		select {
		case <-r.hold.Arrived():
		case <-ended: // badly, as its exit code will tell
		}
	}
	g.look(cmd.Process.Pid, cmd.Args, cmd.Env)
	_, _ = io.WriteString(in, r.stdin) // some read none
	in.Close()
	if r.hold != nil {
		r.hold.Release()
		<-ended
	} else {
		_ = cmd.Wait() // the exit code tells
	}
	if got := cmd.ProcessState.ExitCode(); got != r.code {
		g.t.Errorf("bellwether %s: exit code %d, want %d\n%s", strings.Join(r.args, " "), got, r.code, &errs)
	}
	_, _ = g.on(stderr).Write(errs.Bytes())
	if !r.open {
		_, _ = g.on(stdout).Write(out.Bytes())
	}
	return out.String()
}

// redisEnv is the variable that has to hold the password of Redis.
const redisEnv = "BELLWETHER_REDIS"

// look records the arguments and the environment of a process, as the system shows
// them where it does; that may be nothing once the process has ended.
func (g *ground) look(pid int, args, env []string) {
	if runtime.GOOS == "linux" {
		args, env = procFile(pid, "cmdline"), procFile(pid, "environ")
	}
	fmt.Fprintf(g.on(arguments), "%q\n", args)
	fmt.Fprintf(g.on(environment), "%q\n", slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, redisEnv+"=") }))
}

// procFile reads a list of a process. It is empty for a moment after exec, and for
// ever once the process has ended.
func procFile(pid int, name string) []string {
	var b []byte
	for tries := 0; len(b) == 0 && tries < 100; tries++ {
		var err error
		if b, err = os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name)); err != nil {
			break
		}
		if len(b) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	return strings.Split(string(b), "\x00")
}

// put writes an input of the command.
func (g *ground) put(name, text string) string {
	path := filepath.Join(g.dir, name)
	g.check(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// row stores a token by the command and returns its user.
func (g *ground) row(provider string) (user string, t bellwether.Token) {
	g.t.Helper()
	on, more := g.idp, []string{"--json"}
	if provider == "zoho" {
		on, more = g.zoho, []string{"--dc", "test"}
	}
	t = g.issue(on)
	args := []string{"add", "--provider", provider, "--client-id", t.ClientID, "--user", t.UserName, "-v",
		"--client-secret-file", g.put("secret", t.ClientSecret.Reveal()), "--refresh-token-file", "-"}
	g.run(run{args: append(args, more...), stdin: t.RefreshToken.Reveal() + "\n"})
	return t.UserName, t
}

// token runs get and looks at its output: the token, in the form asked for, and
// nothing else that is secret.
func (g *ground) token(on site, r run, text func(out string) string) {
	g.t.Helper()
	r.args, r.open = append([]string{"get"}, r.args...), true
	out := g.run(r)
	token := bellwether.NewSecret(text(out))
	if !on.Accepts(token) {
		g.t.Fatalf("bellwether %s: the output is no access token: %q", strings.Join(r.args, " "), out)
	}
	g.learn("access token of get", token)
	fmt.Fprint(g.on(stdout), strings.Replace(out, token.Reveal(), "TOKEN", 1))
}

func (g *ground) commands() {
	g.put(filepath.Join("..", "work", "providers.json"), fmt.Sprintf(`{"providers": [
		{"name": "idp", "token_url": "%[1]s/token", "revoke_url": "%[1]s/revoke", "allow_http": true},
		{"name": "zoho", "kind": "zoho", "home": "test", "allow_http": true,
		 "endpoints": [{"data_center": "test", "accounts": "%[2]s", "api": ["%[2]s"]}]}]}`, g.idp.url, g.zoho.url))
	line := func(prefix string) func(string) string {
		return func(out string) string {
			return strings.TrimSuffix(strings.TrimPrefix(out, prefix), "\n")
		}
	}
	for provider, on := range map[string]site{"idp": g.idp, "zoho": g.zoho} {
		user, _ := g.row(provider)
		scheme := map[string]string{"idp": "Bearer", "zoho": "Zoho-oauthtoken"}[provider]
		g.token(on, run{args: []string{user, "-v"}, hold: on.HoldNext(true)}, line(""))
		g.token(on, run{args: []string{user, "--header"}}, line("Authorization: "+scheme+" "))
		g.token(on, run{args: []string{user, "--json", "-v"}}, func(out string) string {
			var v struct {
				Token string `json:"access_token"`
			}
			g.check(json.Unmarshal([]byte(out), &v))
			return v.Token
		})
		g.token(on, run{args: []string{user, "--min-ttl", "9h"}, code: 1}, line(""))
		for _, args := range [][]string{{"list"}, {"list", "--json"}, {"show", user}, {"show", user, "--json"}, {"refresh", user, "-v"}} {
			g.run(run{args: args})
		}
		g.run(run{args: []string{"refresh", user, "--json", "-v"}, code: 6})
		g.dump()
		g.run(run{args: []string{"revoke", user, "--yes", "--json", "-v"}})
		g.run(run{args: []string{"get", user}, code: 3})
	}
	g.badProviders()
	g.badCommands()
	g.demo()
}

// demo looks at the replicas that the demo starts. The password of Redis is in the
// command line of the demo itself, where the user has put it.
func (g *ground) demo() {
	if runtime.GOOS != "linux" {
		return // nothing else shows the children of a process
	}
	bin, err := g.build()
	g.check(err)
	cmd := exec.CommandContext(g.t.Context(), bin, "demo", "--replicas", "2", "--callers", "1", "--redis", g.redisURL(g.password))
	cmd.Stdout, cmd.Stderr = g.on(stdout), g.on(stderr)
	g.check(cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Signal(os.Interrupt)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		names, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", cmd.Process.Pid))
		g.check(err)
		for _, name := range names {
			b, _ := os.ReadFile(name)
			for child := range strings.FieldsSeq(string(b)) {
				pid, err := strconv.Atoi(child)
				g.check(err)
				// Between fork and exec it still looks like its parent.
				if args := procFile(pid, "cmdline"); len(args) > 1 && args[1] != "demo" {
					g.look(pid, nil, nil)
					return
				}
			}
		}
	}
	g.t.Error("the demo has started no replica")
}

// badProviders meets faults of the provider.
func (g *ground) badProviders() {
	for _, tc := range []struct {
		fault misbehaviour
		code  int
	}{
		{always(oauthtest.Throttle(time.Minute)), 6},
		{always(oauthtest.ServerError(500)), 5},
		{always(oauthtest.HTML(502)), 5},
		{always(oauthtest.Garbage()), 4}, // strict: lost
		{always(oauthtest.DropAfterCommit()), 5},
		{always(oauthtest.ErrorBody(400, "invalid_grant")), 4},
		{echo(307, "%s", strings.ToLower), 5},
		{echo(400, `{"error":"unknown token %s"}`, func(s string) string { return s[:20] }), 5},
	} {
		user, t := g.row("idp")
		g.idp.Inject(tc.fault(t))
		g.run(run{args: []string{"get", user, "-v"}, code: tc.code})
	}
	g.run(run{args: []string{"list", "--json", "-v"}}) // tells of the failures
	verifier := g.secret("code verifier")
	sum := sha256.Sum256([]byte(verifier.Reveal()))
	for want := range 2 { // a code is good for one use
		t := g.idp.Code("coder at the terminal", "", base64.RawURLEncoding.EncodeToString(sum[:])).Token
		g.learn("grant token", t.GrantToken)
		lines := []string{t.ClientSecret.Reveal(), t.GrantToken.Reveal(), verifier.Reveal()}
		if want == 1 {
			lines[0] = g.secret("wrong client secret").Reveal()
		}
		g.run(run{args: []string{"add", "--provider", "idp", "--client-id", t.ClientID, "--user", t.UserName, "-v", "--json",
			"--client-secret-file", "-", "--grant-code-file", "-", "--code-verifier-file", "-"},
			stdin: strings.Join(lines, "\n") + "\n", code: want})
	}
}

// badCommands are command lines, files and settings that are wrong.
func (g *ground) badCommands() {
	user, t := g.row("idp")
	secret := g.put("secret", t.ClientSecret.Reveal())
	described := g.secret("a secret in the providers file").Reveal()
	keys, err := os.ReadFile(g.keyset)
	g.check(err)
	env := func(name, value string) []string { return []string{name + "=" + value} }
	add := []string{"add", "-v", "--provider", "idp", "--client-id", t.ClientID, "--refresh-token-file", g.put("token", t.RefreshToken.Reveal())}
	escaped := strings.TrimPrefix(g.redisURL(g.password), "redis://")
	for _, r := range []run{
		{args: []string{"keys", "new", "--keyset", filepath.Join(g.dir, "other.json")}},
		{args: []string{"keys", "list", "--json"}},
		{args: append(add, "--client-secret-file", g.put("lines", t.ClientSecret.Reveal()+"\n"+t.ClientSecret.Reveal()+"\n")), code: 2},
		{args: append(add, "--client-secret-file", filepath.Join(g.dir, "missing")), code: 2},
		{args: append(add, "--client-secret-file", "-", "--check", "--user", user), stdin: g.secret("wrong client secret").Reveal() + "\n", code: 1},
		{args: append(add, "--client-secret-file", secret, "--grant-code-file", secret), code: 2},
		{args: []string{"add", "--provider", "crm", "--token-url", "https://crm.test/token", "--client-id", "c", "--client-secret-file", secret}},
		{args: []string{"get", user, "-v"}, env: env(redisEnv, g.redisURL(g.wrong)), code: 1},
		{args: []string{"get", user, "-v"}, env: env(redisEnv, "redis://:"+escaped+":port"), code: 2},
		{args: []string{"get", user, "-v"}, env: env(redisEnv, strings.Replace(g.redisURL(g.password), g.redisAt.addr, "127.0.0.1:1", 1)), code: 5},
		{args: []string{"list", "-v", "--keyset", filepath.Join(g.dir, "other.json")}, code: 1},
		{args: []string{"list", "-v", "--keyset", g.put("cut.json", string(keys[:len(keys)-90]))}, code: 1},
		{args: []string{"list", "-v", "--keyset", g.put("odd.json", strings.Replace(string(keys), `"index_key": "`, `"index_key": "?`, 1))}, code: 1},
		{args: []string{"list", "--insecure-plaintext"}, code: 2},
		{args: []string{"get", user, "--providers", g.put("key.json", fmt.Sprintf(`{"providers":[{"name":"x","token_url":"https://x.test","client_secret":%q}]}`, described))}, code: 2},
		{args: []string{"get", user, "--providers", g.put("url.json", fmt.Sprintf(`{"providers":[{"name":"x","token_url":"https://u:%s@x.test"}]}`, described))}, code: 2},
		{args: []string{"get", user, "--providers", g.put("broken.json", `{"providers":[{"name":`+described)}, code: 2},
		{args: []string{"revoke", "nobody", "--yes"}, code: 3},
		{args: []string{"delete", user}, code: 2},
	} {
		g.run(r)
	}
}

// collectFiles records what the command has left behind.
func (g *ground) collectFiles() {
	g.check(filepath.WalkDir(g.work, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(g.on(files), "%s\n%s\n", path, b)
		return err
	}))
}
