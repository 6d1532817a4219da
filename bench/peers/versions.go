package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/bellwether-go/bellwether/bench/internal/host"
	"github.com/bellwether-go/bellwether/bench/report"
)

// peerModules are those whose versions matter to a number.
var peerModules = []string{
	"cloud.google.com/go/auth",
	"github.com/aws/aws-sdk-go-v2",
	"github.com/caddyserver/certmagic",
	"github.com/redis/go-redis/v9",
	"github.com/redis/rueidis",
	"github.com/tink-crypto/tink-go/v2",
	"github.com/viccon/sturdyc",
	"golang.org/x/oauth2",
}

func theseVersions(ctx context.Context, redisURL string) (v report.Versions, err error) {
	v = host.Versions(ctx, peerModules)
	v.Redis, _, err = host.Redis(ctx, redisURL)
	return v, err
}

// writeModules tells the versions of what was compared, since the table does not.
func writeModules(w io.Writer, modules map[string]string) {
	fmt.Fprintln(w, "\nversions:")
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		fmt.Fprintf(w, "  %-36s %s\n", path, modules[path])
	}
}
