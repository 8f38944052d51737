package main

import (
	"context"
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
	if s.harness, err = newHarness(dir, "postgres", func(dir string) (*faults.Harness, error) { return faults.NewHarness(ctx, program, dir, drain) }); err != nil {
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
	return s, nil
}

// onSQLite starts one server on SQLite.
func onSQLite(ctx context.Context, program, dir string) (*target, error) {
	s := &target{title: "one server on SQLite", ledger: faults.NewLedger()}
	var err error
	if s.harness, err = newHarness(dir, "sqlite", func(dir string) (*faults.Harness, error) { return faults.NewSQLiteHarness(ctx, program, dir) }); err != nil {
		return s, err
	}
	s.load = s.harness.Load(s.harness.Server.Addr, writers, s.ledger)
	s.injector = &faults.Injector{Harness: s.harness, Servers: []*faults.Server{s.harness.Server}}
	return s, nil
}

func newHarness(dir, name string, open func(dir string) (*faults.Harness, error)) (*faults.Harness, error) {
	dir = filepath.Join(dir, name)
	if err := os.Mkdir(dir, 0o711); err != nil { //nolint:gosec // the database's user must be able to enter
		return nil, err
	}
	return open(dir)
}

// run injects faults while clients write, until ctx ends.
func (s *target) run(ctx context.Context, random *rand.Rand) error {
	s.load.Pace = pace
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var clients sync.WaitGroup
	clients.Go(func() { s.load.Run(writing) })
	err := s.injector.Run(ctx, random)
	stop()
	clients.Wait()
	return err
}

func (s *target) close() {
	if s.load.API != nil {
		s.load.API.Close()
	}
	if s.harness != nil {
		s.harness.Close()
	}
	if s.balancer != nil {
		s.balancer.Close()
	}
}
