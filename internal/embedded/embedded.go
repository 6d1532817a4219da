// Package embedded is a Redis inside this process, for those who bring none.
//
// What holds: commands, scripts and messages work as redisstore needs them, and keys
// expire. What does not: nothing outlives the process but by Save. A TTL moves in steps, so a key
// can end early or late by one step: 10 ms while there are some hundred keys, more
// when walking all keys takes longer than 2 % of that.
//
//	srv, err := embedded.Local() // or Start, for other processes too
//	if err != nil { … }
//	defer srv.Close()
//	client := srv.Client()
//	defer client.Close()
//	store, err := redisstore.New(ctx, client, cfg)
package embedded

import (
	"context"
	"crypto/rand"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// A Server is one miniredis. Its methods are safe for concurrent use.
type Server struct {
	mini     *miniredis.Miniredis
	password string
	stop     chan struct{}
	once     sync.Once
	wg       sync.WaitGroup
}

// Start returns a server on a free port of the loopback address, for other processes
// too. It asks for a random password, which URL holds: any user of this machine can
// connect to the port.
func Start() (*Server, error) {
	s := &Server{mini: miniredis.NewMiniRedis(), password: rand.Text(), stop: make(chan struct{})}
	s.mini.RequireAuth(s.password)
	if err := s.mini.StartAddr("127.0.0.1:0"); err != nil {
		return nil, err
	}
	s.wg.Go(s.expire)
	return s, nil
}

// Local returns a server for this process alone, which listens nowhere: Client reaches
// it, and URL is of no use.
func Local() (*Server, error) {
	s := &Server{mini: miniredis.NewMiniRedis(), stop: make(chan struct{})}
	first, err := s.mini.Dial() // makes the server, which must be there before it is shared
	if err != nil {
		return nil, err
	}
	_ = first.Close()
	s.wg.Go(s.expire)
	return s, nil
}

// Client returns a client of a Local server, over connections in memory. Close it before
// the server.
func (s *Server) Client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", // never dialled
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			pipe, err := s.mini.Dial()
			if err != nil {
				return nil, err
			}
			return newConn(pipe), nil
		},
		ContextTimeoutEnabled:    true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// URL is the redis:// URL of a server that Start returned, with the password.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", User: url.UserPassword("", s.password), Host: s.mini.Addr(), Path: "/0"}
	return u.String()
}

// Close ends the server and what it holds.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.stop)
		s.wg.Wait()
		s.mini.Close()
	})
}

// How often TTLs are moved. miniredis moves none by itself, or walks all keys at each
// command.
const (
	leastStep = 10 * time.Millisecond
	mostStep  = 5 * time.Second
	share     = 50 // a step is at least this many times as long as moving TTLs takes: 2 %
)

// expire moves the TTLs of all keys until the server closes.
func (s *Server) expire() {
	last := time.Now()
	t := time.NewTimer(leastStep)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		now := time.Now()
		s.mini.FastForward(now.Sub(last))
		last = now
		t.Reset(step(time.Since(now)))
	}
}

// step is the pause after moving all TTLs took cost.
func step(cost time.Duration) time.Duration {
	return min(max(share*cost, leastStep), mostStep)
}
