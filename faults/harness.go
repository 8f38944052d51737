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

	dir    string
	number atomic.Int64 // number of the last write
	stops  []func()
}

// appsEach is the number of apps of each client.
const appsEach = 100

// NewHarness starts everything below a directory. program is the result of Build, env has settings of the server. Call Close also
// after an error.
func NewHarness(ctx context.Context, program, dir string, env ...string) (*Harness, error) {
	l := &Harness{dir: dir}
	var err error
	if l.Cluster, err = NewCluster(ctx, dir); err != nil {
		return l, err
	}
	l.stops = append(l.stops, l.Cluster.Close)
	if err := l.Cluster.Exec(ctx, "postgres", "CREATE DATABASE clientapps"); err != nil {
		return l, err
	}
	if l.Proxy, err = NewProxy(l.Cluster.Addr); err != nil {
		return l, err
	}
	l.stops = append(l.stops, l.Proxy.Close)
	return l, l.serve(ctx, program, l.Cluster.URL(l.Proxy.Addr(), "clientapps"), l.Cluster.URL(l.Cluster.Addr, "clientapps"), env)
}

// NewSQLiteHarness is NewHarness with an SQLite database.
func NewSQLiteHarness(ctx context.Context, program, dir string, env ...string) (*Harness, error) {
	l := &Harness{dir: dir}
	url := "sqlite://" + filepath.Join(dir, "clientapps.db")
	return l, l.serve(ctx, program, url, url, env)
}

func (l *Harness) serve(ctx context.Context, program, url, direct string, env []string) (err error) {
	if l.Server, err = NewServer(program, url, filepath.Join(l.dir, "server.log"), env...); err != nil {
		return err
	}
	if l.Fixture, err = NewFixture(ctx, l.Server, direct, appsEach); err != nil {
		return err
	}
	if err := l.Server.Start(ctx); err != nil {
		return err
	}
	l.stops = append(l.stops, l.Server.Kill)
	return nil
}

// AddServer prepares another server on the same database. Close kills it.
func (l *Harness) AddServer(env ...string) (*Server, error) {
	s, err := NewServer(l.Server.program, "", filepath.Join(l.dir, "another.log"))
	if err != nil {
		return nil, err
	}
	s.env = append(slices.Clone(l.Server.env), append(env, "CLIENTAPPS_ADDR="+s.Addr)...)
	l.stops = append(l.stops, func() {
		if s.process != nil {
			s.Kill()
		}
	})
	return s, nil
}

// Load returns a load for an address: the server's or a balancer's.
func (l *Harness) Load(addr string, writers int, ledger *Ledger) Load {
	return Load{Fixture: l.Fixture, API: NewAPI(addr, l.Fixture.Token, writers), Ledger: ledger, Writers: writers, Number: &l.number}
}

// Close stops everything that was started.
func (l *Harness) Close() {
	for _, stop := range slices.Backward(l.stops) {
		stop()
	}
}
