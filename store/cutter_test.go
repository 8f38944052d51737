package store_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// cutter stands between a store and PostgreSQL and cuts a connection where it hurts.
type cutter struct {
	url string // of the database, through the cutter

	listener net.Listener
	target   string
	mu       sync.Mutex
	trigger  []byte // in what the store sends; nil: nothing is cut
	cut      cut
	cuts     int
	caught   chan struct{} // closed with the first cut
	arrived  chan struct{} // closed when what was delayed has come and been dealt with

	meanwhile func() // see withheld
}

type cut int

const (
	cutRequest cut = iota // the database never sees the statement
	cutAnswer             // the database has executed it, and nobody learns
	delay                 // the database sees it when the store has long given up
)

// lateness is how long after the store has hung up a delayed statement arrives.
const lateness = 200 * time.Millisecond

func newCutter(t *testing.T, databaseURL string) *cutter {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{target: u.Host, caught: make(chan struct{}), arrived: make(chan struct{})}
	c.listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.Host = c.listener.Addr().String()
	c.url = u.String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := c.listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { c.serve(client) })
		}
	})
	t.Cleanup(func() { _ = c.listener.Close(); serving.Wait() })
	return c
}

// arm has the next statement cut that has the text in it.
func (c *cutter) arm(trigger string, how cut) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trigger, c.cut = []byte(trigger), how
}

// withheld does what is to be done before the store knows that an answer will not come.
func (c *cutter) withheld() {
	c.mu.Lock()
	do := c.meanwhile
	c.mu.Unlock()
	if do != nil {
		do()
	}
}

// count says how often a connection was cut.
func (c *cutter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts
}

func (c *cutter) triggered(chunk []byte) (cut, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trigger == nil || !bytes.Contains(chunk, c.trigger) {
		return 0, false
	}
	c.trigger = nil
	if c.cuts++; c.cuts == 1 {
		close(c.caught)
	}
	return c.cut, true
}

func (c *cutter) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", c.target) //nolint:noctx // both ends are ours
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	silent := make(chan struct{})
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		defer func() { _ = client.Close() }()
		pump(server, client, silent, c.withheld)
	}()
	defer func() { _ = server.Close(); <-answers }()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		how, cutting := c.triggered(buf[:n])
		if cutting {
			close(silent)
		}
		switch {
		case !cutting:
		case how == cutRequest:
			return
		case how == cutAnswer:
			_, _ = server.Write(buf[:n])
			<-answers // pump ends with the first answer
			return
		case how == delay:
			defer close(c.arrived)
			_, _ = client.Read(make([]byte, 1)) // until the store hangs up
			time.Sleep(lateness)
			_, _ = server.Write(buf[:n])
			<-answers
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// pump passes answers on. Once silent it ends with the next answer, which nobody gets.
func pump(from, to net.Conn, silent <-chan struct{}, withheld func()) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-silent:
			if err == nil {
				withheld()
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
