package faults

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Balancer is a plain TCP balancer: it sends each new connection to the next ready server, and does not look at the data.
type Balancer struct {
	listener net.Listener
	servers  []*Server
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu    sync.Mutex
	ready []bool
	next  int
}

// probeInterval is the interval of the readiness probes.
const probeInterval = 100 * time.Millisecond

// NewBalancer starts a balancer in front of servers. Servers may stop and start again.
func NewBalancer(servers []*Server) (*Balancer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ended by Close
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &Balancer{listener: listener, servers: servers, stop: stop, ready: make([]bool, len(servers))}
	for i := range servers {
		b.running.Go(func() { b.probe(ctx, i) })
	}
	b.running.Go(b.accept)
	return b, nil
}

// Addr returns the balancer's address.
func (b *Balancer) Addr() string { return b.listener.Addr().String() }

// Ready reports whether a server gets connections.
func (b *Balancer) Ready(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready[i]
}

// Close stops the balancer, and returns when its last connection has ended.
func (b *Balancer) Close() {
	b.stop()
	_ = b.listener.Close()
	b.running.Wait()
}

func (b *Balancer) probe(ctx context.Context, i int) {
	for ctx.Err() == nil {
		ready := b.servers[i].Probe(ctx, "/readyz") == http.StatusOK
		b.mu.Lock()
		b.ready[i] = ready
		b.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(probeInterval):
		}
	}
}

func (b *Balancer) accept() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.running.Go(func() { b.forward(client) })
	}
}

// forward copies data between a client and a server. It tries another server when one refuses the connection.
func (b *Balancer) forward(client net.Conn) {
	defer func() { _ = client.Close() }()
	for range b.servers {
		server, err := net.Dial("tcp", b.nextAddr()) //nolint:noctx // returns at once on loopback
		if err != nil {
			continue
		}
		defer func() { _ = server.Close() }()
		answers := make(chan struct{})
		go func() {
			defer close(answers)
			_, _ = io.Copy(client, server)
			_ = client.(*net.TCPConn).CloseWrite() //nolint:errcheck,forcetypeassert // accepted by a TCP listener
		}()
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite() //nolint:errcheck,forcetypeassert // dialed with TCP
		<-answers
		return
	}
}

// nextAddr returns the address of the next ready server, or of the next server when none is ready.
func (b *Balancer) nextAddr() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.servers {
		b.next = (b.next + 1) % len(b.servers)
		if b.ready[b.next] {
			break
		}
	}
	return b.servers[b.next].Addr
}
