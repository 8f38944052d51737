package faults

import (
	"context"
	"path/filepath"
	"slices"
	"sync/atomic"
)

// Harness is a server on its own database, a proxy between them, and data. With SQLite there is neither cluster nor proxy.
type Harness struct {
	Cluster *Cluster
	Proxy   *Proxy
	Server  *Server
	Fixture *Fixture

	dir      string
	sequence atomic.Int64 // number of the last write
	stops    []func()
}

// appsPerClient is the number of apps of each client.
const appsPerClient = 100

// NewHarness starts everything below a directory. program is the result of Build, env has settings of the server. Call Close also
// after an error.
func NewHarness(ctx context.Context, program, dir string, env ...string) (*Harness, error) {
	h := &Harness{dir: dir}
	var err error
	if h.Cluster, err = NewCluster(ctx, dir); err != nil {
		return h, err
	}
	h.stops = append(h.stops, h.Cluster.Close)
	if err := h.Cluster.Exec(ctx, "postgres", "CREATE DATABASE clientapps"); err != nil {
		return h, err
	}
	if h.Proxy, err = NewProxy(h.Cluster.Addr); err != nil {
		return h, err
	}
	h.stops = append(h.stops, h.Proxy.Close)
	return h, h.serve(ctx, program, h.Cluster.URL(h.Proxy.Addr(), "clientapps"), h.Cluster.URL(h.Cluster.Addr, "clientapps"), env)
}

// NewSQLiteHarness is NewHarness with an SQLite database.
func NewSQLiteHarness(ctx context.Context, program, dir string, env ...string) (*Harness, error) {
	h := &Harness{dir: dir}
	url := "sqlite://" + filepath.Join(dir, "clientapps.db")
	return h, h.serve(ctx, program, url, url, env)
}

func (h *Harness) serve(ctx context.Context, program, url, direct string, env []string) (err error) {
	if h.Server, err = NewServer(program, url, filepath.Join(h.dir, "server.log"), env...); err != nil {
		return err
	}
	if h.Fixture, err = NewFixture(ctx, h.Server, direct, appsPerClient); err != nil {
		return err
	}
	if err := h.Server.Start(ctx); err != nil {
		return err
	}
	h.stops = append(h.stops, h.Server.Kill)
	return nil
}

// AddServer prepares another server on the same database. Close kills it.
func (h *Harness) AddServer(env ...string) (*Server, error) {
	s, err := NewServer(h.Server.program, "", filepath.Join(h.dir, "another.log"))
	if err != nil {
		return nil, err
	}
	s.env = append(slices.Clone(h.Server.env), append(env, "CLIENTAPPS_ADDR="+s.Addr)...)
	h.stops = append(h.stops, func() {
		if s.process != nil {
			s.Kill()
		}
	})
	return s, nil
}

// Load returns a load for an address: the server's or a balancer's.
func (h *Harness) Load(addr string, writers int, ledger *Ledger) Load {
	return Load{Fixture: h.Fixture, API: NewAPI(addr, h.Fixture.Token, writers), Ledger: ledger, Writers: writers, Sequence: &h.sequence}
}

// Close stops everything that was started.
func (h *Harness) Close() {
	for _, stop := range slices.Backward(h.stops) {
		stop()
	}
}
