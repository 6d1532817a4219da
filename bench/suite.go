package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/bench/internal/host"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/internal/redistest"
)

// EmbeddedRedis in the place of a URL asks for the embedded server. Lua is slow there:
// it tells what happens, not how fast.
const EmbeddedRedis = "embedded"

const defaultTimeout = 30 * time.Minute

// SuiteOptions say what RunSuite does.
type SuiteOptions struct {
	Scenarios []string // by name; none: all that the Redis allows
	Sources   []Source // none: the usual ones of each scenario
	// Sizes are laid over each scenario's defaults: it is run at each of them in turn, or
	// once with its defaults when there is none.
	Sizes []Settings

	// Redis is a URL, EmbeddedRedis, or blank: a redis-server of its own. One that is named
	// is filled with very many tokens only when Sizes say how many.
	Redis   string
	Timeout time.Duration // of the whole; default 30 min
	// Say is told each step. It may be nil.
	Say func(text string)
}

// RunSuite runs scenarios one after another. Nothing stays behind: no process, no port,
// no key in Redis.
//
// Errors: bellwether.ErrInvalid for options that cannot be right, before anything is
// started; the end of ctx or of Timeout. Invariants that do not hold are no error: they
// are in the report, and Verdict says so. What was measured before an error comes along,
// in a report that is marked as Incomplete.
func RunSuite(ctx context.Context, o SuiteOptions) (rep report.Report, err error) {
	bouts, err := o.bouts()
	if err != nil {
		return report.Report{}, err
	}
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	redis.SetLogger(quiet{})
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, &bellwether.Error{Op: "bench",
		Detail: fmt.Sprintf("not done within %v", o.Timeout), Hint: "raise --timeout, or run fewer scenarios"})
	defer cancel()
	rep = report.Report{Format: report.Format, Started: time.Now().UTC(), Machine: host.Machine()}
	defer func(begun time.Time) { rep.Seconds = time.Since(begun).Seconds() }(time.Now())

	url, kind, stop, err := openRedis(o.Redis)
	if err != nil {
		return rep, err
	}
	defer stop()
	rep.Versions, kind = theseVersions(ctx, url, kind)
	if len(bouts) > 1 && o.Say != nil {
		o.Say(fmt.Sprintf("%d runs are to be done, one after another", len(bouts)))
	}
	for _, b := range bouts {
		b.say = func(format string, args ...any) {
			if o.Say != nil {
				o.Say(fmt.Sprintf(format, args...))
			}
		}
		b.say("%s: %s", b.scenario.Name, b.scenario.About)
		runs, err := b.measure(ctx, url, kind)
		rep.Runs = append(rep.Runs, runs...)
		if err != nil {
			err = orCause(ctx, fmt.Errorf("%s: %w", b.scenario.Name, err))
			rep.Incomplete = fmt.Sprintf("%s, %s", b.scenario.Name, whyEnded(err))
			return rep, err
		}
	}
	return rep, nil
}

// measure runs the scenario on the Redis of the suite, or on servers of its own.
func (b *bout) measure(ctx context.Context, url, kind string) ([]report.Run, error) {
	stop, err := b.openServers(url, kind)
	if err != nil {
		return nil, err
	}
	defer stop()
	return b.scenario.run(ctx, b)
}

// whyEnded is what a report says of the error that ended it.
func whyEnded(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return failure(err)
}

// Verdict is an error when an invariant does not hold, and with bars also when a bar is
// missed.
func Verdict(rep report.Report, bars bool) error {
	broken := rep.Broken(report.Invariant)
	if bars {
		broken = append(broken, rep.Broken(report.Bar)...)
	}
	if len(broken) == 0 {
		return nil
	}
	hint := "a bar is for a quiet machine: see whether it is missed again"
	if len(rep.Broken(report.Invariant)) > 0 {
		hint = "a broken invariant is a bug: please report it with the JSON of this run"
	}
	return &bellwether.Error{Op: "bench", Detail: strings.Join(broken, "\n"), Hint: hint}
}

// bouts are what the options ask for, checked before anything is started.
func (o SuiteOptions) bouts() ([]*bout, error) {
	if o.Timeout < 0 {
		return nil, invalid(fmt.Sprintf("leave it out for %v", defaultTimeout), "a timeout of %v", o.Timeout)
	}
	names := o.Scenarios
	if len(names) == 0 {
		for _, s := range Scenarios() {
			if !s.ByName {
				names = append(names, s.Name)
			}
		}
	}
	sizes := o.Sizes
	if len(sizes) == 0 {
		sizes = []Settings{{}}
	}
	var bouts []*bout
	for _, name := range names {
		s, err := FindScenario(name)
		if err != nil {
			return nil, err
		}
		if s.OwnServers && o.Redis != "" {
			if len(o.Scenarios) == 0 {
				continue
			}
			return nil, invalid("leave --redis out: redis-server must be installed", "scenario %s kills servers, and so starts its own", s.Name)
		}
		sources, err := s.sources(o.Sources, len(o.Scenarios) == 0)
		if err != nil {
			return nil, err
		}
		if len(sources) == 0 {
			continue // none of those that were asked for is measured in it
		}
		for _, size := range sizes {
			settings, err := s.settings(size)
			if err != nil {
				return nil, err
			}
			if settings.Masters > 0 && o.Redis != "" {
				return nil, invalid("leave --redis out, or --masters", "a Redis is named, and %d masters are to be started", settings.Masters)
			}
			if s.fills && o.Redis != "" && size.Tokens == 0 && settings.Tokens > mostUnasked {
				if len(o.Scenarios) == 0 {
					continue
				}
				return nil, invalid("say --tokens, or leave --redis out", "scenario %s stores %d tokens, some 2 KB each, and a Redis is named", s.Name, settings.Tokens)
			}
			if d := time.Duration(settings.Rounds*len(sources)) * settings.For; s.outlasted && d > maxLiving {
				return nil, invalid("use fewer rounds, or shorter ones", "scenario %s: %d rounds of %v for each of %d subjects take %v, and a token lives for an hour", s.Name, settings.Rounds, settings.For, len(sources), d)
			}
			if n := settings.Replicas * len(sources); n > maxProcesses {
				return nil, invalid("use fewer replicas, or name fewer subjects", "%d processes: %d replicas for each of %d subjects", n, settings.Replicas, len(sources))
			}
			bouts = append(bouts, &bout{Settings: settings, scenario: s, sources: sources})
		}
	}
	return bouts, nil
}

// sources are those of the scenario that were asked for.
func (s Scenario) sources(asked []Source, lenient bool) ([]Source, error) {
	if len(asked) == 0 {
		return s.Usual, nil
	}
	var sources []Source
	for _, a := range asked {
		switch {
		case slices.Contains(s.Sources, a):
			sources = append(sources, a)
		case !knownSource(a):
			return nil, invalid(fmt.Sprintf("use one of %v", Sources()), "there is no subject %q", a)
		case !lenient:
			return nil, invalid(fmt.Sprintf("use one of %v", s.Sources), "scenario %s does not measure %s", s.Name, a)
		}
	}
	return sources, nil
}

// openRedis starts the server that a suite runs on unless it is somebody's.
func openRedis(redisURL string) (url, kind string, stop func(), err error) {
	switch redisURL {
	case EmbeddedRedis:
		return "", "embedded", func() {}, nil // each ground starts its own
	case "":
	default:
		if !validRedisURL(redisURL) {
			return "", "", nil, invalid("write it as redis://user:password@host:6379/0", "the Redis URL is not understood")
		}
		return redisURL, yours, func() {}, nil
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		return "", "", nil, invalid("install redis-server, or give --redis redis://…, or --redis "+EmbeddedRedis, "redis-server is not in PATH")
	}
	srv, err := redistest.StartSingle(redistest.Config{})
	if err != nil {
		return "", "", nil, errors.Join(errNoServer, err)
	}
	return srv.URL(), kindSingle, srv.Close, nil
}
