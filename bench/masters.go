package bench

import (
	"errors"

	"github.com/bellwether-go/bellwether/internal/redistest"
)

// Settings.Masters is how many Redis masters there are: 1 is a server that is no Cluster,
// more are a Cluster of so many. A scenario that kills them gives each a replica or more,
// and 1 its Sentinels; the others measure the masters alone.

// The values of report.Parameters.Redis for servers of our own.
const (
	kindSingle   = "single"
	kindCluster  = "cluster"
	kindSentinel = "sentinel"
)

// openServers gives the bout the Redis of the suite, or servers of its own: as many
// masters as were asked for, or an empty server for a scenario that fills it. The caller
// calls stop after the bout.
func (b *bout) openServers(url, kind string) (stop func(), err error) {
	b.redis, b.kind = url, kind
	if kind != kindSingle || b.scenario.OwnServers || b.Masters == 0 && !b.scenario.fills {
		return func() {}, nil
	}
	if b.Masters <= 1 {
		srv, err := redistest.StartSingle(redistest.Config{})
		if err != nil {
			return nil, errors.Join(errNoServer, err)
		}
		b.redis, b.owned = srv.URL(), true
		return srv.Close, nil
	}
	c, err := redistest.StartCluster(redistest.Config{Masters: b.Masters, Replicas: -1})
	if err != nil {
		return nil, errors.Join(errNoServer, err)
	}
	b.redis, b.kind, b.owned = c.URL(), kindCluster, true
	return c.Close, nil
}

var errNoServer = errors.New("bench: redis-server does not start")
