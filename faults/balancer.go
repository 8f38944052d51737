package faults

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Balancer is a plain TCP balancer: it sends each new connection to the next server that says it is ready, and knows
// nothing of what passes.
type Balancer struct {
	listener net.Listener
	servers  []*Server
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu    sync.Mutex
	ready []bool
	next  int
}

// probeEvery is how often the balancer asks a server whether it is ready.
const probeEvery = 100 * time.Millisecond

// NewBalancer starts a balancer before some servers. Servers may come and go.
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

// Addr is where the balancer listens.
func (b *Balancer) Addr() string { return b.listener.Addr().String() }

// Ready says which servers get connections.
func (b *Balancer) Ready(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready[i]
}

// Close ends the balancer when its last connection ends.
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
		case <-time.After(probeEvery):
		}
	}
}

func (b *Balancer) accept() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.running.Go(func() { b.pass(client) })
	}
}

// pass joins a client and a server. It tries another server when one takes no connection.
func (b *Balancer) pass(client net.Conn) {
	defer func() { _ = client.Close() }()
	for range b.servers {
		server, err := net.Dial("tcp", b.choose()) //nolint:noctx // on loopback, where it is answered at once
		if err != nil {
			continue
		}
		defer func() { _ = server.Close() }()
		answers := make(chan struct{})
		go func() {
			defer close(answers)
			_, _ = io.Copy(client, server)
			_ = client.(*net.TCPConn).CloseWrite() //nolint:errcheck,forcetypeassert // what a TCP listener accepts
		}()
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite() //nolint:errcheck,forcetypeassert // what was dialled
		<-answers
		return
	}
}

// choose returns the next ready server's address, or the next one's when none is.
func (b *Balancer) choose() string {
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
