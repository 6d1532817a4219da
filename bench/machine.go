package bench

import (
	"context"

	"github.com/bellwether-go/bellwether/bench/internal/host"
	"github.com/bellwether-go/bellwether/bench/report"
)

// comparedModules are those whose versions matter to a figure.
var comparedModules = []string{
	"github.com/redis/go-redis/v9", "github.com/bsm/redislock", "github.com/alicebob/miniredis/v2",
	"github.com/tink-crypto/tink-go/v2", "golang.org/x/oauth2", "golang.org/x/sync",
}

// yours is a Redis that was named, of a kind that is not known yet.
const yours = "yours"

// theseVersions are those of this build and of the Redis, with its kind; one that cannot
// be reached has no version.
func theseVersions(ctx context.Context, redisURL, kind string) (report.Versions, string) {
	v := host.Versions(ctx, comparedModules)
	if redisURL == "" {
		v.Redis = "miniredis"
		return v, kind
	}
	version, found, _ := host.Redis(ctx, redisURL) // the first scenario fails with the error
	v.Redis = version
	if kind == yours && found != "" {
		kind = "your " + found
	}
	return v, kind
}
