package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Injector breaks what a lab is made of, one thing after the other, and counts it.
type Injector struct {
	Lab      *Lab
	Servers  []*Server
	Balancer *Balancer // nil: clients speak to the one server

	mu     sync.Mutex
	counts map[string]int
}

// fault is one way to break something, and to mend it again.
type fault struct {
	name string
	do   func(ctx context.Context, random *rand.Rand) error
}

// Run injects faults in random order until ctx ends. Between two of them everything is given time to be as it should. An
// error says that something did not come back.
func (in *Injector) Run(ctx context.Context, random *rand.Rand) error {
	stop := in.hold(ctx)
	defer stop()
	faults := in.faults()
	for {
		for _, i := range random.Perm(len(faults)) {
			if ctx.Err() != nil {
				return nil
			}
			in.count(faults[i].name)
			// What has been begun is ended, so that everything is whole afterwards.
			if err := faults[i].do(context.WithoutCancel(ctx), random); err != nil {
				return fmt.Errorf("%s: %w", faults[i].name, err)
			}
			if err := in.whole(context.WithoutCancel(ctx)); err != nil {
				return fmt.Errorf("after %s: %w", faults[i].name, err)
			}
			pause(ctx, time.Second)
		}
	}
}

// Counts returns how many faults of each kind there were.
func (in *Injector) Counts() map[string]int {
	in.mu.Lock()
	defer in.mu.Unlock()
	counts := map[string]int{}
	for name, n := range in.counts {
		counts[name] = n
	}
	return counts
}

func (in *Injector) count(name string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.counts == nil {
		in.counts = map[string]int{}
	}
	in.counts[name]++
}

func (in *Injector) faults() []fault {
	faults := []fault{{"servers killed", in.killServer}, {"servers restarted", in.restartServers}}
	if in.Lab.Cluster == nil {
		return faults
	}
	faults = append(faults,
		fault{"database killed", func(ctx context.Context, random *rand.Rand) error {
			in.Lab.Cluster.Kill()
			pause(ctx, time.Duration(random.Int64N(int64(2*DatabaseTimeout)))) // now and then for longer than requests wait
			return in.Lab.Cluster.Start(ctx)
		}},
		fault{"database restarted", func(ctx context.Context, _ *rand.Rand) error { return in.Lab.Cluster.Restart(ctx) }},
		fault{"tables altered", in.alter},
	)
	for _, toxic := range Toxics() {
		faults = append(faults, fault{"network " + toxic.Name, func(ctx context.Context, _ *rand.Rand) error {
			if err := toxic.Apply(in.Lab.Proxy); err != nil {
				return err
			}
			pause(ctx, toxic.For)
			return in.Lab.Proxy.Heal(ctx)
		}})
	}
	return faults
}

// whole waits until every server is ready and gets connections.
func (in *Injector) whole(ctx context.Context) error {
	return eventually("all servers are ready", func() bool {
		for i, s := range in.Servers {
			if s.Probe(ctx, "/readyz") != 200 || in.Balancer != nil && !in.Balancer.Ready(i) {
				return false
			}
		}
		return true
	})
}

func (in *Injector) killServer(ctx context.Context, random *rand.Rand) error {
	s := in.Servers[random.IntN(len(in.Servers))]
	s.Kill()
	return s.Start(ctx)
}

// restartServers restarts one server after the other, each when the one before it is in service again.
func (in *Injector) restartServers(ctx context.Context, _ *rand.Rand) error {
	for _, s := range in.Servers {
		if err := s.Stop(); err != nil {
			return err
		}
		if err := s.Start(ctx); err != nil {
			return err
		}
		if err := in.whole(ctx); err != nil {
			return err
		}
	}
	return nil
}

// alter changes the tables in all ways, and undoes it.
func (in *Injector) alter(ctx context.Context, _ *rand.Rand) error {
	for _, change := range SchemaChanges() {
		if err := in.Lab.Alter(ctx, change); err != nil {
			return err
		}
	}
	return nil
}

// slowClients is how many connections there are at a time on which a client takes its time.
const slowClients = 20

// hold keeps connections that send a request byte by byte and never end it, or read nothing.
func (in *Injector) hold(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var holding sync.WaitGroup
	for range slowClients {
		holding.Go(func() {
			for ctx.Err() == nil {
				in.count("slow clients")
				in.trickle(ctx)
			}
		})
	}
	return func() { cancel(); holding.Wait() }
}

// trickle sends a request for as long as the server listens.
func (in *Injector) trickle(ctx context.Context) {
	conn, err := net.Dial("tcp", in.Lab.Server.Addr) //nolint:noctx // on loopback, where it is answered at once
	if err != nil {
		pause(ctx, time.Second)
		return
	}
	defer func() { _ = conn.Close() }()
	request := "PATCH " + in.Lab.World.Apps[0].path() + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 1000\r\n"
	for i := 0; ctx.Err() == nil; i++ {
		if _, err := conn.Write([]byte{request[i%len(request)]}); err != nil {
			return
		}
		pause(ctx, 500*time.Millisecond)
	}
}
