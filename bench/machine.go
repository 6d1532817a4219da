package bench

import (
	"context"

	"github.com/bellwether-go/bellwether/bench/internal/host"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/redisstore"
)

// comparedModules are those whose versions matter to a figure.
var comparedModules = []string{
	"github.com/redis/go-redis/v9", "github.com/bsm/redislock", "github.com/alicebob/miniredis/v2",
	"github.com/tink-crypto/tink-go/v2", "golang.org/x/oauth2", "golang.org/x/sync",
}

func theseVersions(ctx context.Context, redisURL string) report.Versions {
	v := host.Versions(ctx, comparedModules)
	v.Redis = redisVersion(ctx, redisURL)
	return v
}

func redisVersion(ctx context.Context, url string) string {
	if url == "" {
		return "miniredis"
	}
	client, err := redisstore.Dial(url)
	if err != nil {
		return ""
	}
	defer client.Close()
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return ""
	}
	return host.Field(info, "redis_version")
}
