package redisstore

import (
	"context"
	_ "embed"
	"strings"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed begin.lua
	beginLua string
	//go:embed commit.lua
	commitLua string
	//go:embed fail.lua
	failLua string
	//go:embed revoking.lua
	revokingLua string
	//go:embed cooldown.lua
	cooldownLua string

	//go:embed save.lua
	saveLua string
	//go:embed activate.lua
	activateLua string
	//go:embed delete.lua
	deleteLua string
	//go:embed indexed.lua
	indexedLua string
	//go:embed claim_token.lua
	claimTokenLua string
	//go:embed confirm_token.lua
	confirmTokenLua string
	//go:embed drop_token.lua
	dropTokenLua string
	//go:embed claim_user.lua
	claimUserLua string
	//go:embed confirm_user.lua
	confirmUserLua string
	//go:embed drop_user.lua
	dropUserLua string
)

// allowOOM lets a script write though maxmemory is reached: an answer of the
// provider must land. miniredis does not know the line.
const allowOOM = "#!lua flags=allow-oom\n"

// scripts are the scripts as this server takes them.
type scripts struct {
	begin, commit, fail, revoking, cooldown *redis.Script

	save, activate, delete, indexed     *redis.Script
	claimToken, confirmToken, dropToken *redis.Script
	claimUser, confirmUser, dropUser    *redis.Script
}

func newScripts(shebang bool) scripts {
	oom := ""
	if shebang {
		oom = allowOOM
	}
	return scripts{
		begin:    redis.NewScript(beginLua),
		commit:   redis.NewScript(oom + commitLua),
		fail:     redis.NewScript(oom + failLua),
		revoking: redis.NewScript(oom + revokingLua),
		cooldown: redis.NewScript(cooldownLua),

		save:         redis.NewScript(saveLua),
		activate:     redis.NewScript(activateLua),
		delete:       redis.NewScript(oom + deleteLua),
		indexed:      redis.NewScript(indexedLua),
		claimToken:   redis.NewScript(claimTokenLua),
		confirmToken: redis.NewScript(confirmTokenLua),
		dropToken:    redis.NewScript(dropTokenLua),
		claimUser:    redis.NewScript(claimUserLua),
		confirmUser:  redis.NewScript(confirmUserLua),
		dropUser:     redis.NewScript(dropUserLua),
	}
}

// run executes a script that answers a list of strings. The client may execute it
// up to three times when replies are lost, so every script is idempotent.
func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) ([]string, error) {
	reply, err := script.Run(ctx, s.client, keys, args...).Slice()
	if err != nil {
		return nil, err
	}
	return texts(reply), nil
}

// A call is one execution of a script.
type call struct {
	script *redis.Script
	keys   []string
	args   []any
}

// runAll executes scripts whose keys may lie in different slots, in one round trip a
// node, along with what more adds to it.
func (s *Store) runAll(ctx context.Context, calls []call, more func(redis.Pipeliner)) ([][]string, error) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, len(calls))
	for i, c := range calls {
		cmds[i] = c.script.EvalSha(ctx, pipe, c.keys, c.args...)
	}
	if more != nil {
		more(pipe)
	}
	if pipe.Len() == 0 {
		return nil, nil
	}
	all, err := pipe.Exec(ctx)
	if err != nil && !redis.HasErrorPrefix(err, "NOSCRIPT") {
		return nil, err
	}
	for _, cmd := range all[len(calls):] {
		if err := cmd.Err(); err != nil {
			return nil, err
		}
	}
	answers := make([][]string, len(calls))
	for i, cmd := range cmds {
		reply, err := cmd.Slice()
		if redis.HasErrorPrefix(err, "NOSCRIPT") { // a pipeline does not fall back to the source
			answers[i], err = s.run(ctx, calls[i].script, calls[i].keys, calls[i].args...)
		} else {
			answers[i] = texts(reply)
		}
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// probe runs everywhere from Redis 7.0 on, also at maxmemory and on a replica.
const probe = "#!lua flags=no-writes,allow-oom\nreturn 1"

// serverKind probes what the server understands: real Redis from 7.0 on runs a
// script with a shebang line, older ones and miniredis do not. Of an older one it
// returns the version.
func serverKind(ctx context.Context, client redis.UniversalClient) (shebang bool, version string, err error) {
	err = client.Eval(ctx, probe, nil).Err()
	if err == nil {
		return true, "", nil
	}
	if _, answered := err.(redis.Error); !answered {
		return false, "", err
	}
	if !strings.Contains(err.Error(), "compil") && !strings.Contains(err.Error(), "unexpected symbol") && !strings.Contains(err.Error(), "parse error") {
		return false, "", err
	}
	info, infoErr := client.Info(ctx, "server").Result()
	if infoErr != nil {
		_, answered := infoErr.(redis.Error)
		switch {
		case !answered:
			return false, "", infoErr
		case strings.Contains(infoErr.Error(), "section (server) is not supported"): // miniredis
			return false, "", nil
		}
		return false, "before 7.0, which refuses INFO", nil
	}
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, "redis_version:"); ok {
			return false, strings.TrimSpace(v), nil
		}
	}
	return false, "", nil
}
