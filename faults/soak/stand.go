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

// stand is one lab, its clients and what is done to it.
type stand struct {
	title    string
	lab      *faults.Lab
	balancer *faults.Balancer
	load     faults.Load
	ledger   *faults.Ledger
	injector *faults.Injector
}

const (
	writers = 24
	pace    = 100 * time.Millisecond // of one writer
	drain   = "CLIENTAPPS_DRAIN_DELAY=1s"
)

// onPostgres is three servers on one PostgreSQL, behind a balancer.
func onPostgres(ctx context.Context, program, dir string) (*stand, error) {
	s := &stand{title: "three servers on PostgreSQL", ledger: faults.NewLedger()}
	var err error
	if s.lab, err = newLab(dir, "postgres", func(dir string) (*faults.Lab, error) { return faults.NewLab(ctx, program, dir, drain) }); err != nil {
		return s, err
	}
	servers := []*faults.Server{s.lab.Server}
	for len(servers) < 3 {
		another, err := s.lab.Another()
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
	s.load = s.lab.Load(s.balancer.Addr(), writers, s.ledger)
	s.injector = &faults.Injector{Lab: s.lab, Servers: servers, Balancer: s.balancer}
	return s, nil
}

// onSQLite is one server on a file.
func onSQLite(ctx context.Context, program, dir string) (*stand, error) {
	s := &stand{title: "one server on SQLite", ledger: faults.NewLedger()}
	var err error
	if s.lab, err = newLab(dir, "sqlite", func(dir string) (*faults.Lab, error) { return faults.NewSQLiteLab(ctx, program, dir) }); err != nil {
		return s, err
	}
	s.load = s.lab.Load(s.lab.Server.Addr, writers, s.ledger)
	s.injector = &faults.Injector{Lab: s.lab, Servers: []*faults.Server{s.lab.Server}}
	return s, nil
}

func newLab(dir, name string, open func(dir string) (*faults.Lab, error)) (*faults.Lab, error) {
	dir = filepath.Join(dir, name)
	if err := os.Mkdir(dir, 0o711); err != nil { //nolint:gosec // the database's user has to pass through
		return nil, err
	}
	return open(dir)
}

// run has clients write while faults are injected, and both end when ctx does.
func (s *stand) run(ctx context.Context, random *rand.Rand) error {
	s.load.Pace = pace
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var clients sync.WaitGroup
	clients.Go(func() { s.load.Run(writing) })
	err := s.injector.Run(ctx, random)
	stop()
	clients.Wait()
	return err
}

func (s *stand) close() {
	if s.load.API != nil {
		s.load.API.Close()
	}
	if s.lab != nil {
		s.lab.Close()
	}
	if s.balancer != nil {
		s.balancer.Close()
	}
}
