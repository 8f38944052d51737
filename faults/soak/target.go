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
	writers      = 24
	pace         = 100 * time.Millisecond // pause between two requests of a writer
	drainSetting = "CLIENTAPPS_DRAIN_DELAY=1s"
)

// onPostgres starts three servers on one PostgreSQL, behind a balancer.
func onPostgres(ctx context.Context, program, dir string) (*target, error) {
	t := &target{title: "three servers on PostgreSQL", ledger: faults.NewLedger()}
	var err error
	if t.harness, err = newHarness(dir, "postgres", func(dir string) (*faults.Harness, error) {
		return faults.NewHarness(ctx, program, dir, append(faults.WebhookSettings(), drainSetting)...)
	}); err != nil {
		return t, err
	}
	servers := []*faults.Server{t.harness.Server}
	for len(servers) < 3 {
		another, err := t.harness.AddServer()
		if err != nil {
			return t, err
		}
		if err := another.Start(ctx); err != nil {
			return t, err
		}
		servers = append(servers, another)
	}
	if t.balancer, err = faults.NewBalancer(servers); err != nil {
		return t, err
	}
	t.load = t.harness.Load(t.balancer.Addr(), writers, t.ledger)
	t.injector = &faults.Injector{Harness: t.harness, Servers: servers, Balancer: t.balancer}
	return t, t.follow(ctx, t.balancer.Addr())
}

// onSQLite starts one server on SQLite.
func onSQLite(ctx context.Context, program, dir string) (*target, error) {
	t := &target{title: "one server on SQLite", ledger: faults.NewLedger()}
	var err error
	if t.harness, err = newHarness(dir, "sqlite", func(dir string) (*faults.Harness, error) {
		return faults.NewSQLiteHarness(ctx, program, dir, faults.WebhookSettings()...)
	}); err != nil {
		return t, err
	}
	t.load = t.harness.Load(t.harness.Server.Addr, writers, t.ledger)
	t.injector = &faults.Injector{Harness: t.harness, Servers: []*faults.Server{t.harness.Server}}
	return t, t.follow(ctx, t.harness.Server.Addr)
}

func newHarness(dir, name string, open func(dir string) (*faults.Harness, error)) (*faults.Harness, error) {
	dir = filepath.Join(dir, name)
	if err := os.Mkdir(dir, 0o711); err != nil { //nolint:gosec // the database's user must be able to enter
		return nil, err
	}
	return open(dir)
}

// follow adds followers of the feed of changes, of which one is away for the middle of the run, and a webhook with its receiver.
func (t *target) follow(ctx context.Context, addr string) (err error) {
	for _, c := range []struct {
		name           string
		stream, paused bool
	}{{"pages", false, false}, {"stream", true, false}, {"stream that was away", true, true}} {
		f := faults.NewFollower(c.name, addr, t.harness.Fixture.Token, c.stream)
		if c.paused {
			f.Paused = func() bool {
				passed := time.Since(t.begun)
				return passed > t.length/5 && passed < t.length*4/5
			}
		}
		t.followers = append(t.followers, f)
	}
	t.receiver, err = faults.NewReceiver(ctx, addr, t.harness.Fixture.Token)
	return err
}

// run injects faults while clients write, until ctx ends.
func (t *target) run(ctx context.Context, random *rand.Rand) error {
	t.load.Pace = pace
	writeContext, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	var writing sync.WaitGroup
	writing.Go(func() { t.load.Run(writeContext) })
	var following sync.WaitGroup
	followContext, stopFollowing := context.WithCancel(context.WithoutCancel(ctx))
	t.begun = time.Now()
	if end, ok := ctx.Deadline(); ok {
		t.length = time.Until(end)
	}
	for _, f := range t.followers {
		following.Go(func() { f.Run(followContext) })
	}
	err := t.injector.Run(ctx, random)
	stopWriting()
	writing.Wait()
	stopFollowing()
	following.Wait()
	for _, f := range t.followers {
		err = errors.Join(err, f.CatchUp(context.WithoutCancel(ctx)))
	}
	return errors.Join(err, t.receiver.CatchUp(context.WithoutCancel(ctx)))
}

// feed returns how the followers are at odds with the database.
func (t *target) feed(ctx context.Context) (problems []string, err error) {
	for _, f := range t.followers {
		_, more, err := f.Compare(ctx, t.harness.Fixture)
		if err != nil {
			return nil, err
		}
		problems = append(problems, more...)
	}
	return problems, nil
}

func (t *target) close() {
	if t.load.API != nil {
		t.load.API.Close()
	}
	if t.harness != nil {
		t.harness.Close()
	}
	if t.receiver != nil {
		t.receiver.Close()
	}
	if t.balancer != nil {
		t.balancer.Close()
	}
}
