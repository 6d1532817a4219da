package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bellwether-go/bellwether/internal/redistest"
)

// build builds programs of the main module into a folder.
func build(t *testing.T, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", append([]string{"build", "-o", dir + string(filepath.Separator)}, packages...)...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// A sign-in at a server that nobody here wrote, and after its token has ended many
// `bellwether get` at once: all print the same living token, out of one refresh.
func TestCommand(t *testing.T) {
	redistest.Need(t)
	server := newAuthServer(t, 6*time.Second, 100*time.Millisecond)
	srv := redistest.Single(t, redistest.Config{Password: "sesame"})
	dir := t.TempDir()
	bin := filepath.Join(build(t, "./cmd/bellwether"), "bellwether")
	run := func(stdin string, args ...string) (string, error) {
		cmd := exec.Command(bin, args...)
		cmd.Env = append(os.Environ(), "BELLWETHER_REDIS="+srv.URL(),
			"BELLWETHER_KEYSET="+filepath.Join(dir, "keyset.json"), "BELLWETHER_PROVIDERS="+filepath.Join(dir, "providers.json"))
		cmd.Stdin = strings.NewReader(stdin)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		if err != nil {
			t.Logf("bellwether %s: %v: %s", args[0], err, stderr.String())
		}
		return strings.TrimSpace(stdout.String()), err
	}
	must := func(stdin string, args ...string) string {
		t.Helper()
		out, err := run(stdin, args...)
		if err != nil {
			t.Fatalf("bellwether %s: %v", strings.Join(args, " "), err)
		}
		return out
	}
	must("", "keys", "new")
	must(clientSecret+"\n"+server.code(t)+"\n", "add", "--provider", "fosite", "--token-url", server.URL+"/token",
		"--auth-style", "basic", "--allow-http", "--rotation", "strict", "--client-id", clientID, "--user", "bot",
		"--redirect-url", redirectURL, "--client-secret-file", "-", "--grant-code-file", "-")
	first := must("", "get", "bot")
	if !server.accepts(t, first) {
		t.Fatal("the API refuses what get printed")
	}
	if header := must("", "get", "bot", "--header"); header != "Authorization: Bearer "+first {
		t.Error("get --header printed something else than the header of that token")
	}
	if server.count("authorization_code", "granted") != 1 || server.refreshes() != 0 {
		t.Fatalf("the server saw %v, want one code and no refresh", server.calls)
	}
	awaitEnd(t, server, first)

	const herd = 8
	got := make([]string, herd)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i], _ = run("", "get", "bot") })
	}
	wg.Wait()
	for _, tok := range got {
		if tok == "" || tok == first || tok != got[0] {
			t.Fatal("not every get printed the same new token")
		}
	}
	if n := server.refreshes(); n != 1 {
		t.Errorf("the server saw %d refresh calls, want 1", n)
	}
	if server.count("refresh_token", "refused") != 0 || !server.accepts(t, got[0]) {
		t.Error("the grant is dead")
	}
	if out, err := run("", "get", "nobody"); err == nil || err.(*exec.ExitError).ExitCode() != 3 || out != "" {
		t.Errorf("get of a stranger: %q, %v; want exit code 3", out, err)
	}
}
