package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync/atomic"
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/redistest"
	"github.com/bellwether-go/bellwether/seal"
)

// cluster kills the master of a row while four goroutines write it, and takes the time
// from the promotion of the replica, as the other nodes see it, to the next write.
func cluster(ctx context.Context, e *env) error {
	const bar = time.Second
	var pauses []float64
	for range min(e.rounds, 3) {
		pause, err := failover(ctx)
		if err != nil {
			return err
		}
		pauses = append(pauses, float64(pause))
	}
	mid := time.Duration(median(pauses))
	e.print(row{"Cluster master killed: writes go on after the promotion", fmt.Sprintf("≤ %v", bar),
		mid.Round(time.Millisecond).String(), mid <= bar})
	return nil
}

func failover(ctx context.Context) (time.Duration, error) {
	c, err := redistest.StartCluster(redistest.Config{})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	keys, err := seal.New()
	if err != nil {
		return 0, err
	}
	store, err := openStore(ctx, c.URL(), keys)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	const id = "row"
	if _, err := store.Save(ctx, bellwether.Token{ID: id, Provider: "zoho", RefreshToken: bellwether.NewSecret("r")}); err != nil {
		return 0, err
	}

	// Each goroutine writes until it has written once after the promotion.
	var promoted atomic.Pointer[time.Time]
	first := make(chan time.Time, 4)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for range cap(first) {
		go func() {
			for n := 0; ctx.Err() == nil; n++ {
				try, done := context.WithTimeout(ctx, time.Second)
				_, err := store.Save(try, bellwether.Token{ID: id, APIDomain: fmt.Sprintf("https://api%d.example.com", n)})
				done()
				at := time.Now()
				if p := promoted.Load(); err == nil && p != nil && at.After(*p) {
					first <- at
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
	tag := slotTag(id)
	if _, err := c.KillMaster(tag); err != nil {
		return 0, err
	}
	if _, err := c.WaitMaster(tag); err != nil {
		return 0, err
	}
	now := time.Now()
	promoted.Store(&now)
	select {
	case at := <-first:
		return at.Sub(now), nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// slotTag is a key in the slot of a row; see docs/redis-keys.md.
func slotTag(id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return fmt.Sprintf("{%04x}", h.Sum32()%1024)
}
