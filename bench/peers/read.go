package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/bellwether-go/bellwether/bench/internal/sample"
	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/redisstore"
)

// readers is how many goroutines read at once in the second half of a sample.
const readers = 64

// rueidisLife is the life of what rueidis keeps, as in its documentation.
const rueidisLife = time.Minute

// A storedRow is one row of the store, with the command that Bellwether reads it by.
type storedRow struct {
	id     string
	key    string
	fields []string
}

// openRead stores many tokens. All subjects read the same fields of the same rows; only
// Bellwether's also opens the seal.
func openRead(ctx context.Context, st *stage) (report.Parameters, []subject, error) {
	client, err := redisstore.Dial(st.srv.URL())
	if err != nil {
		return report.Parameters{}, nil, err
	}
	st.atEnd(func() { _ = client.Close() })
	store, rows, err := storeRows(ctx, st)
	if err != nil {
		return report.Parameters{}, nil, err
	}
	cached, err := dialRueidis(st)
	if err != nil {
		return report.Parameters{}, nil, err
	}
	st.atEnd(cached.Close)
	all := func(read func(storedRow) error) func(context.Context, *report.Run) error {
		return func(ctx context.Context, run *report.Run) error {
			return measureReads(ctx, run, st.sample, rows, false, func() (func(storedRow) error, func(), error) {
				return read, func() {}, nil
			})
		}
	}
	return report.Parameters{Callers: readers, Tokens: len(rows), Redis: "single"}, []subject{
		{name: "bellwether Peek, unsealed", measure: all(func(r storedRow) error {
			_, err := store.Peek(ctx, r.id, "")
			return err
		})},
		{name: "go-redis HMGET", measure: all(func(r storedRow) error {
			return client.HMGet(ctx, r.key, r.fields...).Err()
		})},
		{name: "rueidis DoCache, hit", measure: func(ctx context.Context, run *report.Run) error {
			return measureReads(ctx, run, st.sample, rows, false, func() (func(storedRow) error, func(), error) {
				for _, r := range rows { // what is kept would end within rueidisLife
					if _, err := doCache(ctx, cached, r); err != nil {
						return nil, nil, err
					}
				}
				return wantHit(ctx, cached, true), func() {}, nil
			})
		}},
		{name: "rueidis DoCache, miss", measure: func(ctx context.Context, run *report.Run) error {
			return measureReads(ctx, run, st.sample, rows, true, func() (func(storedRow) error, func(), error) {
				fresh, err := dialRueidis(st)
				if err != nil {
					return nil, nil, err
				}
				for i := range readers { // opens the connections
					if _, err := doCache(ctx, fresh, storedRow{key: fmt.Sprint("none:", i), fields: []string{"none"}}); err != nil {
						fresh.Close()
						return nil, nil, err
					}
				}
				return wantHit(ctx, fresh, false), fresh.Close, nil
			})
		}},
	}, nil
}

// dialRueidis returns a client with the defaults of
// https://github.com/redis/rueidis#server-assisted-client-side-caching: opt-in tracking,
// 128 MiB for each connection. Its cache is made for values that many read and few write,
// of any kind; it refreshes nothing and seals nothing.
func dialRueidis(st *stage) (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{st.srv.Addr()}})
}

func doCache(ctx context.Context, c rueidis.Client, r storedRow) (hit bool, err error) {
	got := c.DoCache(ctx, c.B().Hmget().Key(r.key).Field(r.fields...).Cache(), rueidisLife)
	_, err = got.ToArray()
	return got.IsCacheHit(), err
}

// wantHit reads, and fails when the read is not what it is to be.
func wantHit(ctx context.Context, c rueidis.Client, want bool) func(storedRow) error {
	return func(r storedRow) error {
		hit, err := doCache(ctx, c, r)
		if err == nil && hit != want {
			err = fmt.Errorf("a read was a hit: %v, want %v", hit, want)
		}
		return err
	}
}

// measureReads reads rows one after another, by one goroutine and then by many, for as
// long as a sample or, with once, until each was read. open is called before each of the
// two and makes whatever a read needs; done ends it.
func measureReads(ctx context.Context, run *report.Run, least time.Duration, rows []storedRow, once bool,
	open func() (read func(storedRow) error, done func(), err error)) error {
	for _, workers := range []int{1, readers} {
		read, done, err := open()
		if err != nil {
			return err
		}
		n, took, err := load(ctx, workers, least, rows, once, read)
		done()
		switch {
		case err != nil:
			return err
		case workers == 1:
			run.Add("alone", "µs/op", report.Less, float64(took)/float64(time.Microsecond)/float64(n))
		default:
			run.Add("together", "reads/s", report.More, float64(n)/took.Seconds())
		}
	}
	return nil
}

// load is how many reads were done in what time. The first error ends it.
func load(ctx context.Context, workers int, least time.Duration, rows []storedRow, once bool, read func(storedRow) error) (int64, time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var over atomic.Bool // cheaper to ask than the time or ctx
	defer context.AfterFunc(ctx, func() { over.Store(true) })()
	defer time.AfterFunc(least, func() { over.Store(true) }).Stop()
	var done atomic.Int64
	var wg sync.WaitGroup
	begun := time.Now()
	for w := range workers {
		wg.Go(func() {
			n := int64(0)
			for i := w; !over.Load(); i += workers {
				if once && i >= len(rows) {
					break
				}
				if err := read(rows[i%len(rows)]); err != nil {
					cancel(err)
					return
				}
				n++
			}
			done.Add(n)
		})
	}
	wg.Wait()
	took := time.Since(begun)
	if err := context.Cause(ctx); err != nil {
		return 0, 0, err
	}
	if done.Load() == 0 {
		return 0, 0, errors.New("nothing was read")
	}
	return done.Load(), took, nil
}

// storeRows saves the tokens, and finds out how Bellwether reads each.
func storeRows(ctx context.Context, st *stage) (*redisstore.Store, []storedRow, error) {
	const namespace = "read"
	store, err := st.openStore(ctx, namespace)
	if err != nil {
		return nil, nil, err
	}
	st.atEnd(func() { _ = store.Close() })
	rows := make([]storedRow, st.rows)
	for i := range rows {
		t, err := livingToken(store, i)
		if err != nil {
			return nil, nil, err
		}
		if t, err = store.Save(ctx, t); err != nil {
			return nil, nil, err
		}
		rows[i].id = t.ID
	}
	return store, rows, learn(ctx, st, namespace, rows)
}

// learn fills in the command that a read of each row sends.
func learn(ctx context.Context, st *stage, namespace string, rows []storedRow) error {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.id
	}
	sent, err := sample.Reads(ctx, st.srv.URL(), st.storeConfig(namespace), ids)
	if err != nil {
		return err
	}
	for i, args := range sent {
		words := make([]string, len(args))
		for j, arg := range args {
			words[j] = fmt.Sprint(arg)
		}
		rows[i].key, rows[i].fields = words[1], words[2:]
	}
	return nil
}
