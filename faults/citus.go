package faults

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Machine is one machine of the Citus cluster that tools/with-citus has started.
type Machine struct {
	Name string
	URL  string // of the distributed database

	data, bin string
	owner     *syscall.Credential
}

// Machines returns the machines of tools/with-citus, the coordinator first. Their database need not exist.
func Machines(database string) ([]*Machine, error) {
	hosts, nodes := strings.Fields(os.Getenv("TEST_CITUS_WORKERS")), strings.Fields(os.Getenv("TEST_CITUS_NODES"))
	u, err := url.Parse(os.Getenv("TEST_CITUS_URL"))
	if err != nil {
		return nil, err
	}
	hosts = append([]string{u.Host}, hosts...)
	if len(hosts) != len(nodes) {
		return nil, errors.New("TEST_CITUS_NODES must have the directories of all machines")
	}
	u.Path = "/" + database
	machines := make([]*Machine, len(nodes))
	for i, node := range nodes {
		u.Host = hosts[i]
		m := &Machine{Name: "worker " + strconv.Itoa(i), URL: u.String(), data: node, bin: os.Getenv("TEST_CITUS_BIN")}
		if i == 0 {
			m.Name = "coordinator"
		}
		if m.owner, err = databaseUser(node); err != nil {
			return nil, err
		}
		machines[i] = m
	}
	return machines, nil
}

// Kill ends every process of the machine with SIGKILL.
func (m *Machine) Kill() error {
	text, err := os.ReadFile(filepath.Join(m.data, "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	return killPostgres(pid)
}

// Start starts the machine and returns when it accepts connections.
func (m *Machine) Start() error {
	// After a SIGKILL orphaned processes take a moment to end, and the machine does not start before.
	log := m.data + ".log"
	return eventually(m.Name+" starts, see "+log, func() bool { return m.pgCtl("--log="+log, "start").Run() == nil })
}

func (m *Machine) pgCtl(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(m.bin, "pg_ctl"), append(args, "--pgdata="+m.data)...) //nolint:gosec,noctx // our own arguments
	cmd.Dir = m.data
	cmd.Env = append(os.Environ(), "HOME="+m.data) // libpq looks there for certificates, and must be allowed to
	if m.owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: m.owner}
	}
	return cmd
}

// execStatements runs statements, each in a transaction of its own, in a database.
func execStatements(ctx context.Context, databaseURL string, statements ...string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// NewCitusHarness makes a distributed database on machines without it, as docs/scale-out.md says, and starts a server on its
// coordinator. There is no proxy.
func NewCitusHarness(ctx context.Context, program, dir string, machines []*Machine) (*Harness, error) {
	h := &Harness{dir: dir}
	var addNodes []string
	for i, m := range machines {
		u, err := url.Parse(m.URL)
		if err != nil {
			return h, err
		}
		name := strings.TrimPrefix(u.Path, "/")
		u.Path = "/postgres"
		if err := execStatements(ctx, u.String(), "CREATE DATABASE "+name); err != nil {
			return h, err
		}
		if err := execStatements(ctx, m.URL, "CREATE EXTENSION citus"); err != nil {
			return h, err
		}
		function := "citus_add_node"
		if i == 0 {
			function = "citus_set_coordinator_host"
		}
		addNodes = append(addNodes, fmt.Sprintf("SELECT %s('%s', %s)", function, u.Hostname(), u.Port()))
	}
	coordinator, env := machines[0], []string{"CLIENTAPPS_BATCH_BY_CLIENT=true", "CLIENTAPPS_MIGRATE=false"}
	if err := execStatements(ctx, coordinator.URL, addNodes...); err != nil {
		return h, err
	}
	s, err := NewServer(program, coordinator.URL, filepath.Join(dir, "server.log"), env...)
	if err != nil {
		return h, err
	}
	if _, err := s.Run(ctx, "", "migrate", "up"); err != nil {
		return h, err
	}
	psql := exec.CommandContext(ctx, filepath.Join(coordinator.bin, "psql"), //nolint:gosec // our own arguments
		"-Xq", "-v", "ON_ERROR_STOP=1", "-f", "../deploy/citus.sql", coordinator.URL)
	if out, err := psql.CombinedOutput(); err != nil {
		return h, fmt.Errorf("citus.sql: %w\n%s", err, out)
	}
	return h, h.serve(ctx, program, coordinator.URL, coordinator.URL, env)
}
