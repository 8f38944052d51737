package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Injector injects one fault after the other into a harness, and counts them.
type Injector struct {
	Harness  *Harness
	Servers  []*Server
	Balancer *Balancer // nil: clients call the only server

	mu     sync.Mutex
	counts map[string]int
}

// fault breaks something and repairs it.
type fault struct {
	name   string
	inject func(ctx context.Context, random *rand.Rand) error
}

// Run injects faults in random order until ctx ends. After each fault it waits until all servers are ready. It returns an error when
// something did not recover.
func (in *Injector) Run(ctx context.Context, random *rand.Rand) error {
	stop := in.openSlowClients(ctx)
	defer stop()
	faults := in.faults()
	for {
		for _, i := range random.Perm(len(faults)) {
			if ctx.Err() != nil {
				return nil
			}
			in.count(faults[i].name)
			// A fault is always finished, so that nothing stays broken.
			if err := faults[i].inject(context.WithoutCancel(ctx), random); err != nil {
				return fmt.Errorf("%s: %w", faults[i].name, err)
			}
			if err := in.awaitReady(context.WithoutCancel(ctx)); err != nil {
				return fmt.Errorf("after %s: %w", faults[i].name, err)
			}
			pause(ctx, time.Second)
		}
	}
}

// Counts returns the number of faults of each kind.
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
	if in.Harness.Cluster == nil {
		return faults
	}
	faults = append(faults,
		fault{"database killed", func(ctx context.Context, random *rand.Rand) error {
			in.Harness.Cluster.Kill()
			pause(ctx, time.Duration(random.Int64N(int64(2*DatabaseTimeout)))) // sometimes longer than requests wait
			return in.Harness.Cluster.Start(ctx)
		}},
		fault{"database restarted", func(ctx context.Context, _ *rand.Rand) error { return in.Harness.Cluster.Restart(ctx) }},
		fault{"tables altered", in.alter},
	)
	for _, toxic := range Toxics() {
		faults = append(faults, fault{"network " + toxic.Name, func(ctx context.Context, _ *rand.Rand) error {
			if err := toxic.Apply(in.Harness.Proxy); err != nil {
				return err
			}
			pause(ctx, toxic.Duration)
			return in.Harness.Proxy.Heal(ctx)
		}})
	}
	return faults
}

// awaitReady waits until every server is ready and gets connections.
func (in *Injector) awaitReady(ctx context.Context) error {
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

// restartServers restarts one server after the other, and waits until each is ready.
func (in *Injector) restartServers(ctx context.Context, _ *rand.Rand) error {
	for _, s := range in.Servers {
		if err := s.Stop(); err != nil {
			return err
		}
		if err := s.Start(ctx); err != nil {
			return err
		}
		if err := in.awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// alter makes all schema changes, which together change nothing.
func (in *Injector) alter(ctx context.Context, _ *rand.Rand) error {
	for _, change := range SchemaChanges() {
		if err := in.Harness.Alter(ctx, change); err != nil {
			return err
		}
	}
	return nil
}

// slowClients is the number of slow connections at a time.
const slowClients = 20

// openSlowClients keeps connections open that send a request byte by byte and never finish it.
func (in *Injector) openSlowClients(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for range slowClients {
		running.Go(func() {
			for ctx.Err() == nil {
				in.count("slow clients")
				in.trickle(ctx)
			}
		})
	}
	return func() { cancel(); running.Wait() }
}

// trickle sends a request byte by byte until the server closes the connection.
func (in *Injector) trickle(ctx context.Context) {
	conn, err := net.Dial("tcp", in.Harness.Server.Addr) //nolint:noctx // returns at once on loopback
	if err != nil {
		pause(ctx, time.Second)
		return
	}
	defer func() { _ = conn.Close() }()
	request := "PATCH " + in.Harness.Fixture.Apps[0].path() + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 1000\r\n"
	for i := 0; ctx.Err() == nil; i++ {
		if _, err := conn.Write([]byte{request[i%len(request)]}); err != nil {
			return
		}
		pause(ctx, 500*time.Millisecond)
	}
}
