package redistest

import (
	"context"
	"errors"
	"net/url"

	"github.com/redis/go-redis/v9"
)

// What Cluster and Sentinel share: several servers as one.

// startAll starts n servers at once. With an error it returns those that run.
func startAll(n int, start func(i int) (*Server, error)) ([]*Server, error) {
	type result struct {
		i   int
		s   *Server
		err error
	}
	results := make(chan result)
	for i := range n {
		go func() {
			s, err := start(i)
			results <- result{i, s, err}
		}()
	}
	ordered := make([]*Server, n)
	var errs []error
	for range n {
		r := <-results
		ordered[r.i] = r.s
		errs = append(errs, r.err)
	}
	if err := errors.Join(errs...); err != nil {
		var running []*Server
		for _, s := range ordered {
			if s != nil {
				running = append(running, s)
			}
		}
		return running, err
	}
	return ordered, nil
}

// do calls f with a client of this one node.
func (s *Server) do(ctx context.Context, f func(*redis.Client) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n := redis.NewClient(s.Options())
	defer n.Close()
	return f(n)
}

func addrs(servers []*Server) []string {
	var a []string
	for _, s := range servers {
		a = append(a, s.Addr())
	}
	return a
}

func byAddr(servers []*Server, addr string) *Server {
	for _, s := range servers {
		if s.Addr() == addr {
			return s
		}
	}
	return nil
}

func closeAll(servers []*Server) {
	for _, s := range servers {
		s.Close()
	}
}

// seedURL names the first address as host and the others as addr parameters: one that
// has no others by itself, since it is the parameter that tells a Cluster.
func seedURL(cfg Config, addrs []string, query url.Values) string {
	if query == nil {
		query = url.Values{}
	}
	query["addr"] = addrs[min(1, len(addrs)-1):]
	u := url.URL{Scheme: "redis", Host: addrs[0], RawQuery: query.Encode()}
	if cfg.Password != "" {
		u.User = url.UserPassword("", cfg.Password)
	}
	return u.String()
}
