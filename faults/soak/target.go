package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/clientapps/clientapps/faults"
)

// target is a harness with its clients and its injector.
type target struct {
	title    string
	harness  *faults.Harness
	balancer *faults.Balancer
	load     faults.Load
	ledger   *faults.Ledger
	injector *faults.Injector

	followers []*faults.Follower
	receiver  *faults.Receiver
	begun     time.Time
	length    time.Duration
}

const (
	writers = 24
	pace    = 100 * time.Millisecond // pause between two requests of a writer
	drain   = "CLIENTAPPS_DRAIN_DELAY=1s"
)

// onPostgres starts three servers on one PostgreSQL, behind a balancer.
func onPostgres(ctx context.Context, program, dir string) (*target, error) {
	s := &target{title: "three servers on PostgreSQL", ledger: faults.NewLedger()}
	var err error
	if s.harness, err = newHarness(dir, "postgres", func(dir string) (*faults.Harness, error) {
		return faults.NewHarness(ctx, program, dir, append(faults.WebhookSettings(), drain)...)
	}); err != nil {
		return s, err
	}
	servers := []*faults.Server{s.harness.Server}
	for len(servers) < 3 {
		another, err := s.harness.AddServer()
		if err != nil {
			return s, err
		}
		if err := another.Start(ctx); err != nil {
			return s, err
		}
		servers = append(servers, another)
	}
	if s.balancer, err = faults.NewBalancer(servers); err != nil {
		return s, err
	}
	s.load = s.harness.Load(s.balancer.Addr(), writers, s.ledger)
	s.injector = &faults.Injector{Harness: s.harness, Servers: servers, Balancer: s.balancer}
	return s, s.follow(ctx, s.balancer.Addr())
}

// onSQLite starts one server on SQLite.
func onSQLite(ctx context.Context, program, dir string) (*target, error) {
	s := &target{title: "one server on SQLite", ledger: faults.NewLedger()}
	var err error
	if s.harness, err = newHarness(dir, "sqlite", func(dir string) (*faults.Harness, error) {
		return faults.NewSQLiteHarness(ctx, program, dir, faults.WebhookSettings()...)
	}); err != nil {
		return s, err
	}
	s.load = s.harness.Load(s.harness.Server.Addr, writers, s.ledger)
	s.injector = &faults.Injector{Harness: s.harness, Servers: []*faults.Server{s.harness.Server}}
	return s, s.follow(ctx, s.harness.Server.Addr)
}

func newHarness(dir, name string, open func(dir string) (*faults.Harness, error)) (*faults.Harness, error) {
	dir = filepath.Join(dir, name)
	if err := os.Mkdir(dir, 0o711); err != nil { //nolint:gosec // the database's user must be able to enter
		return nil, err
	}
	return open(dir)
}

// follow adds followers of the feed of changes, of which one is away for the middle of the run, and a webhook with its receiver.
func (s *target) follow(ctx context.Context, addr string) (err error) {
	for _, c := range []struct {
		name           string
		stream, absent bool
	}{{"pages", false, false}, {"stream", true, false}, {"stream that was away", true, true}} {
		f := faults.NewFollower(c.name, addr, s.harness.Fixture.Token, c.stream)
		if c.absent {
			f.Off = func() bool {
				passed := time.Since(s.begun)
				return passed > s.length/5 && passed < s.length*4/5
			}
		}
		s.followers = append(s.followers, f)
	}
	s.receiver, err = faults.NewReceiver(ctx, addr, s.harness.Fixture.Token)
	return err
}

// run injects faults while clients write, until ctx ends.
func (s *target) run(ctx context.Context, random *rand.Rand) error {
	s.load.Pace = pace
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var clients sync.WaitGroup
	clients.Go(func() { s.load.Run(writing) })
	var following sync.WaitGroup
	reading, leave := context.WithCancel(context.WithoutCancel(ctx))
	s.begun = time.Now()
	if end, ok := ctx.Deadline(); ok {
		s.length = time.Until(end)
	}
	for _, f := range s.followers {
		following.Go(func() { f.Run(reading) })
	}
	err := s.injector.Run(ctx, random)
	stop()
	clients.Wait()
	leave()
	following.Wait()
	for _, f := range s.followers {
		err = errors.Join(err, f.CatchUp(context.WithoutCancel(ctx)))
	}
	return errors.Join(err, s.receiver.CatchUp(context.WithoutCancel(ctx)))
}

// feed returns how the followers are at odds with the database.
func (s *target) feed(ctx context.Context) (problems []string, err error) {
	for _, f := range s.followers {
		_, more, err := f.Compare(ctx, s.harness.Fixture)
		if err != nil {
			return nil, err
		}
		problems = append(problems, more...)
	}
	return problems, nil
}

func (s *target) close() {
	if s.load.API != nil {
		s.load.API.Close()
	}
	if s.harness != nil {
		s.harness.Close()
	}
	if s.receiver != nil {
		s.receiver.Close()
	}
	if s.balancer != nil {
		s.balancer.Close()
	}
}
