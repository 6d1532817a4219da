package e2e

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/child"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/redisstore"
)

// loadCompose reads the compose file as compose does, with the .env that its head
// tells to write.
func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../docker-compose.yml"}, cli.WithProfiles([]string{"cli"}),
		cli.WithEnv([]string{"BELLWETHER_REDIS_PASSWORD=0123456789abcdef", "BELLWETHER_TOKEN=bot"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeFile(t *testing.T) {
	project := loadCompose(t)
	store, worker := project.Services["redis"], project.Services["worker"]
	if len(store.Ports) != 0 {
		t.Errorf("Redis is published: %v", store.Ports)
	}
	conf := project.Configs["redis.conf"].Content
	for _, want := range []string{"requirepass 0123456789abcdef", "appendonly yes", "maxmemory-policy noeviction", "hash-max-listpack-value 2048"} {
		if !strings.Contains(conf, want) {
			t.Errorf("redis.conf lacks %q", want)
		}
	}
	if r := worker.Deploy.Replicas; r == nil || *r != 3 {
		t.Errorf("worker has %v replicas, want 3", r)
	}
	if worker.DependsOn["redis"].Condition != types.ServiceConditionHealthy {
		t.Error("the worker does not wait for Redis")
	}
	if time.Duration(*worker.StopGracePeriod) < 30*time.Second {
		t.Errorf("a worker is killed after %v; a call and its commit may take 30s", worker.StopGracePeriod)
	}
	for name, s := range project.Services {
		if s.User == "" && name != "redis" {
			t.Errorf("%s runs as the image's user, who cannot read the keyset", name)
		}
	}
}

// Each service's command starts here as it would in its container: Redis with the
// file's configuration, three workers and the command with the file's environment,
// hosts and paths replaced by local ones.
func TestComposeServicesStart(t *testing.T) {
	redistest.Need(t)
	project := loadCompose(t)
	dir := t.TempDir()

	var directives []string
	var password string
	for line := range strings.Lines(project.Configs["redis.conf"].Content) {
		line = strings.TrimSpace(line)
		switch word, rest, _ := strings.Cut(line, " "); word {
		case "requirepass":
			password = rest
		case "dir", "", "#":
		default:
			directives = append(directives, line)
		}
	}
	srv := redistest.Single(t, redistest.Config{Password: password, Directives: directives})
	health := project.Services["redis"].HealthCheck.Test
	if health[0] != "CMD" {
		t.Fatalf("health check is %v", health)
	}
	_, port, _ := strings.Cut(srv.Addr(), ":")
	check := exec.Command(health[1], slices.Concat([]string{"-p", port}, health[2:])...)
	check.Env = append(os.Environ(), "REDISCLI_AUTH="+*project.Services["redis"].Environment["REDISCLI_AUTH"])
	if out, err := check.CombinedOutput(); err != nil || !strings.Contains(string(out), "PONG") {
		t.Fatalf("health check: %v: %s", err, out)
	}

	// What would be mounted: keyset and providers. And the token to share.
	keyset, keys := newKeyset(t)
	server := newAuthServer(t, time.Minute, 50*time.Millisecond)
	store, err := redisstore.Open(t.Context(), srv.URL(), redisstore.Config{Sealer: keys})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Save(t.Context(), bellwether.Token{
		Provider: "fosite", UserName: *project.Services["worker"].Environment["BELLWETHER_TOKEN"], APIDomain: server.URL,
		ClientID: clientID, ClientSecret: bellwether.NewSecret(clientSecret),
		RefreshToken: bellwether.NewSecret(server.signIn(t).RefreshToken),
	}); err != nil {
		t.Fatal(err)
	}
	providers := filepath.Join(dir, "providers.json")
	if err := os.WriteFile(providers, []byte(`{"providers": [{"name": "fosite", "token_url": "`+server.URL+`/token", "auth_style": "basic", "allow_http": true}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	bin := build(t, "./cmd/bellwether", "./examples/worker")
	service := func(name string) *exec.Cmd {
		s := project.Services[name]
		args := slices.Concat([]string(s.Entrypoint), []string(s.Command))
		if len(s.Entrypoint) == 0 {
			args = slices.Concat([]string{"/bellwether"}, []string(s.Command)) // the image's entrypoint
		}
		cmd := exec.Command(filepath.Join(bin, args[0]), args[1:]...)
		here := []string{"redis:6379", srv.Addr()}
		for _, secret := range s.Secrets {
			if file := project.Secrets[secret.Source].File; filepath.Base(file) != "keyset.json" {
				t.Fatalf("%s mounts the secret %s", name, file)
			}
			here = append(here, "/run/secrets/"+secret.Source, keyset)
		}
		for _, config := range s.Configs {
			if file := project.Configs[config.Source].File; filepath.Base(file) != "providers.json" {
				t.Fatalf("%s mounts %s", name, file)
			}
			here = append(here, config.Target, providers)
		}
		cmd.Env = os.Environ()
		for k, v := range s.Environment {
			cmd.Env = append(cmd.Env, k+"="+strings.NewReplacer(here...).Replace(*v))
		}
		return cmd
	}

	jobs := srv.Client(t)
	for range 30 {
		if err := jobs.LPush(t.Context(), "{example}:jobs", "/api").Err(); err != nil {
			t.Fatal(err)
		}
	}
	for range *project.Services["worker"].Deploy.Replicas {
		startWorker(t, service("worker"))
	}
	awaitJobs(t, jobs)
	if n := server.refreshes(); n != 1 {
		t.Errorf("three workers made %d refresh calls, want 1", n)
	}
	out, err := service("bellwether").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "bot") {
		t.Errorf("the command: %v: %s", err, out)
	}
}

// startWorker starts a service and, when the test ends, stops it as compose does.
func startWorker(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(cmd); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if strings.Contains(lines.Text(), "worker is ready") {
				close(ready)
				break
			}
		}
		_, _ = io.Copy(io.Discard, log)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("a worker ended with %v", err)
		}
	})
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		t.Fatal("a worker does not get ready")
	}
}

// awaitJobs waits until no job waits and none is being done.
func awaitJobs(t *testing.T, jobs *redis.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		n, err := jobs.Exists(ctx, "{example}:jobs", "{example}:jobs:taken").Result()
		if err != nil {
			t.Fatalf("jobs are left: %v", err)
		}
		if n == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
