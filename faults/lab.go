package faults

import (
	"context"
	"path/filepath"
	"slices"
	"sync/atomic"
)

// Lab is a server on a database of its own, a proxy between them, and data. On SQLite there is neither cluster nor proxy.
type Lab struct {
	Cluster *Cluster
	Proxy   *Proxy
	Server  *Server
	World   *World

	dir    string
	number atomic.Int64 // of the last write
	stops  []func()
}

// apps is how many apps each client has.
const appsEach = 100

// NewLab starts everything below a directory. program is what Build has built, env the server's settings. Close ends it,
// also after an error.
func NewLab(ctx context.Context, program, dir string, env ...string) (*Lab, error) {
	l := &Lab{dir: dir}
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

// NewSQLiteLab is NewLab with a database file.
func NewSQLiteLab(ctx context.Context, program, dir string, env ...string) (*Lab, error) {
	l := &Lab{dir: dir}
	url := "sqlite://" + filepath.Join(dir, "clientapps.db")
	return l, l.serve(ctx, program, url, url, env)
}

func (l *Lab) serve(ctx context.Context, program, url, direct string, env []string) (err error) {
	if l.Server, err = NewServer(program, url, filepath.Join(l.dir, "server.log"), env...); err != nil {
		return err
	}
	if l.World, err = NewWorld(ctx, l.Server, direct, appsEach); err != nil {
		return err
	}
	if err := l.Server.Start(ctx); err != nil {
		return err
	}
	l.stops = append(l.stops, l.Server.Kill)
	return nil
}

// Another prepares one more server on the same database. It is killed when the lab is closed.
func (l *Lab) Another(env ...string) (*Server, error) {
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

// Load is clients of this lab's server, or of what else listens on an address.
func (l *Lab) Load(addr string, writers int, ledger *Ledger) Load {
	return Load{World: l.World, API: NewAPI(addr, l.World.Token, writers), Ledger: ledger, Writers: writers, Number: &l.number}
}

// Close ends what was started.
func (l *Lab) Close() {
	for _, stop := range slices.Backward(l.stops) {
		stop()
	}
}
