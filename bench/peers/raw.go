package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bellwether-go/bellwether/bench/report"
	"github.com/bellwether-go/bellwether/redisstore"
)

// rawTimes is how often a raw limit is taken in a round, at least.
const rawTimes = 200

// openRaw connects a publisher and a subscriber.
func openRaw(ctx context.Context, st *stage) (report.Parameters, []subject, error) {
	const channel = "raw"
	client, err := redisstore.Dial(st.srv.URL())
	if err != nil {
		return report.Parameters{}, nil, err
	}
	st.atEnd(func() { _ = client.Close() })
	sub := client.Subscribe(ctx, channel)
	st.atEnd(func() { _ = sub.Close() })
	if _, err := sub.Receive(ctx); err != nil { // the subscription stands
		return report.Parameters{}, nil, err
	}
	return report.Parameters{Redis: "single"}, []subject{
		{name: "PUBLISH to receive", measure: func(ctx context.Context, run *report.Run) error {
			return st.measureRaw(ctx, run, func() (time.Duration, error) { return publish(ctx, client, sub, channel) })
		}},
		{name: "PING to answer", measure: func(ctx context.Context, run *report.Run) error {
			return st.measureRaw(ctx, run, func() (time.Duration, error) {
				begun := time.Now()
				err := client.Ping(ctx).Err()
				return time.Since(begun), err
			})
		}},
	}, nil
}

// publish is the time from before a PUBLISH is sent until its message is there.
func publish(ctx context.Context, client redis.UniversalClient, sub *redis.PubSub, channel string) (time.Duration, error) {
	type arrival struct {
		at   time.Time
		text string
		err  error
	}
	arrived := make(chan arrival, 1)
	go func() {
		m, err := sub.ReceiveMessage(ctx)
		a := arrival{at: time.Now(), err: err}
		if err == nil {
			a.text = m.Payload
		}
		arrived <- a
	}()
	begun := time.Now()
	text := fmt.Sprint(begun.UnixNano())
	if err := client.Publish(ctx, channel, text).Err(); err != nil {
		return 0, err
	}
	a := <-arrived
	if a.err == nil && a.text != text {
		a.err = errors.New("another message came")
	}
	return a.at.Sub(begun), a.err
}

// measureRaw takes a time again and again, for as long as a sample.
func (s *stage) measureRaw(ctx context.Context, run *report.Run, take func() (time.Duration, error)) error {
	var h report.Histogram
	for begun := time.Now(); h.Count() < rawTimes || time.Since(begun) < s.sample; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d, err := take()
		if err != nil {
			return err
		}
		if err := h.Record(d); err != nil {
			return err
		}
	}
	p := h.Percentiles()
	run.Add("p50", "µs", report.Less, 1000*p.P50)
	run.Add("p99", "µs", report.Less, 1000*p.P99)
	return nil
}
