package store_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// faultProxy forwards connections to PostgreSQL and breaks one of them at a chosen statement.
type faultProxy struct {
	url string // of the database, through the proxy

	listener net.Listener
	target   string
	mu       sync.Mutex
	trigger  []byte // part of the statement that triggers the fault; nil: no fault
	fault    fault
	faults   int           // how many were triggered
	fired    chan struct{} // closed when the first fault is triggered
	executed chan struct{} // closed when the database has executed a delayed statement

	beforeDrop func() // see dropping
}

// fault is what happens to a statement.
type fault int

const (
	dropRequest  fault = iota // the database never receives the statement
	dropResponse              // the database executes it, and the store gets no response
	delayRequest              // the database receives it delayedBy after the store has hung up
)

const delayedBy = 200 * time.Millisecond

func newFaultProxy(t *testing.T, databaseURL string) *faultProxy {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	p := &faultProxy{target: u.Host, fired: make(chan struct{}), executed: make(chan struct{})}
	p.listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.listener.Addr().String()
	p.url = u.String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := p.listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() { _ = p.listener.Close(); serving.Wait() })
	return p
}

// arm triggers the fault at the next statement that contains the text.
func (p *faultProxy) arm(trigger string, how fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trigger, p.fault = []byte(trigger), how
}

// beforeDropping sets a function that runs after the database has executed a statement and before the store sees the connection break.
func (p *faultProxy) beforeDropping(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beforeDrop = do
}

// dropping runs the function of beforeDropping.
func (p *faultProxy) dropping() {
	p.mu.Lock()
	do := p.beforeDrop
	p.mu.Unlock()
	if do != nil {
		do()
	}
}

// count returns how many faults were triggered.
func (p *faultProxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}

func (p *faultProxy) triggered(chunk []byte) (fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trigger == nil || !bytes.Contains(chunk, p.trigger) {
		return 0, false
	}
	p.trigger = nil
	if p.faults++; p.faults == 1 {
		close(p.fired)
	}
	return p.fault, true
}

func (p *faultProxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.target) //nolint:noctx // both ends are ours
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	silent := make(chan struct{})
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		defer func() { _ = client.Close() }()
		pump(server, client, silent, p.dropping)
	}()
	defer func() { _ = server.Close(); <-answers }()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		how, faulty := p.triggered(buf[:n])
		if faulty {
			close(silent)
		}
		switch {
		case !faulty:
		case how == dropRequest:
			return
		case how == dropResponse:
			_, _ = server.Write(buf[:n])
			<-answers // pump ends with the first response
			return
		case how == delayRequest:
			defer close(p.executed)
			_, _ = client.Read(make([]byte, 1)) // until the store hangs up
			time.Sleep(delayedBy)
			_, _ = server.Write(buf[:n])
			<-answers
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// pump forwards responses. Once silent is closed it drops the next response and returns.
func pump(from, to net.Conn, silent <-chan struct{}, dropping func()) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-silent:
			if err == nil {
				dropping()
			}
			return
		default:
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
