package main

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bellwether-go/bellwether/internal/mariadbtest"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/oauthtest"
)

// A desk runs commands on real servers, and collects what they print beside tokens.
type desk struct {
	t       *testing.T
	printed bytes.Buffer
}

// run wants the exit code 0 and returns standard output.
func (d *desk) run(args ...string) string {
	d.t.Helper()
	var out bytes.Buffer
	var errs lockedBuffer // the log is written beside the command
	code := run(d.t.Context(), args, strings.NewReader(""), &out, &errs)
	d.printed.WriteString(errs.String())
	if args[0] != "get" {
		d.printed.Write(out.Bytes())
	}
	if code != exitOK {
		d.t.Fatalf("bellwether %s: exit code %d\n%s", args[0], code, &errs)
	}
	return strings.TrimSpace(out.String())
}

// A lockedBuffer takes what goroutines write, as a file does.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestFlushedRedis: with a durable store behind it a Redis may forget everything, and
// nobody signs in again.
func TestFlushedRedis(t *testing.T) {
	const password = "redis-pass-70ae"
	srv := redistest.Single(t, redistest.Config{Password: password})
	dir := t.TempDir()
	for name, durable := range map[string]func(*testing.T) string{
		"sqlite": func(*testing.T) string { return "sqlite://" + filepath.ToSlash(filepath.Join(dir, "tokens.db")) },
		"file":   func(*testing.T) string { return "file://" + filepath.ToSlash(filepath.Join(dir, "sdk_tokens.txt")) },
		"mysql": func(t *testing.T) string {
			maria := mariadbtest.Start(t)
			database, _ := maria.Database(t)
			u := url.URL{Scheme: "mysql", User: url.UserPassword("bellwether", maria.Password()), Host: maria.Addr(), Path: "/" + database}
			return u.String()
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &desk{t: t}
			keyset := filepath.Join(dir, name+".json")
			idp := oauthtest.New(oauthtest.Config{Name: "idp"})
			if _, err := idp.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(idp.Close)
			grant := idp.Issue("ann")
			write := func(file, text string) string {
				path := filepath.Join(dir, name+"-"+file)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			t.Setenv(envRedis, srv.URL())
			t.Setenv(envDurable, durable(t))
			t.Setenv(envKeyset, keyset)
			t.Setenv(envNamespace, name)
			t.Setenv(envProviders, write("providers.json", fmt.Sprintf(
				`{"providers": [{"name": "idp", "token_url": %q, "rotation": "strict", "allow_http": true}]}`, idp.TokenURL())))

			d.run("keys", "new")
			id := d.run("add", "--provider", "idp", "--client-id", grant.Token.ClientID, "--user", "ann", "-v",
				"--client-secret-file", write("secret", grant.Token.ClientSecret.Reveal()),
				"--refresh-token-file", write("token", grant.Token.RefreshToken.Reveal()))
			flush := func() {
				t.Helper()
				if err := srv.Client(t).FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
			}
			flush()
			first := d.run("get", "ann", "-v")
			flush()
			if got := d.run("get", id); got != first {
				t.Error("after a flush get prints another token, or none")
			}
			flush()
			if got := d.run("list"); !strings.Contains(got, id) || !strings.Contains(got, "active") {
				t.Errorf("after a flush list prints\n%s", got)
			}
			flush()
			d.run("refresh", "ann", "-v")
			flush()
			second := d.run("get", "ann")
			if second == first {
				t.Error("get prints the token that was superseded before the flush")
			}
			if calls := idp.Calls(); calls != 2 || !idp.GrantAlive(grant.ID) || idp.Replays() != 0 {
				t.Errorf("%d token calls, %d replays, alive is %v; want 2, 0, true", calls, idp.Replays(), idp.GrantAlive(grant.ID))
			}
			d.run("delete", "ann", "--yes")
			secrets := []string{first, second, password, grant.Token.RefreshToken.Reveal(), grant.Token.ClientSecret.Reveal()}
			if u, err := url.Parse(os.Getenv(envDurable)); err == nil && u.User != nil {
				p, _ := u.User.Password()
				secrets = append(secrets, p)
			}
			for _, s := range secrets {
				if at := strings.Index(d.printed.String(), s); at >= 0 {
					t.Errorf("a secret was printed:\n%s", d.printed.String()[max(0, at-200):at+len(s)])
				}
			}
			if at := minted.FindStringIndex(d.printed.String()); at != nil {
				t.Errorf("a token was printed:\n%s", d.printed.String()[max(0, at[0]-200):at[1]])
			}
		})
	}
}
