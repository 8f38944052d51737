package faults

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout bounds the start of a program, including recovery from a crash.
const startTimeout = 2 * time.Minute

// Cluster is a PostgreSQL server for a test. It has the default settings, so acknowledged writes survive a SIGKILL.
type Cluster struct {
	Addr string

	dir, bin string
	owner    *syscall.Credential
	process  *Process
}

// NewCluster creates an empty cluster in a new directory below dir, and starts it.
func NewCluster(ctx context.Context, dir string) (*Cluster, error) {
	bin, err := findPostgres()
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin}
	if c.dir, err = os.MkdirTemp(dir, "postgres-"); err != nil {
		return nil, err
	}
	if c.owner, err = databaseUser(c.dir); err != nil {
		return nil, err
	}
	if c.Addr, err = freeAddr(); err != nil {
		return nil, err
	}
	initdb := c.command("initdb", "--pgdata="+c.data(), "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return c, c.Start(ctx)
}

// URL returns the URL of a database at an address, which may be a proxy's.
func (c *Cluster) URL(addr, database string) string {
	return "postgres://postgres@" + addr + "/" + database + "?sslmode=disable"
}

// Start starts the cluster and returns when it accepts connections, after crash recovery if it was killed.
func (c *Cluster) Start(ctx context.Context) (err error) {
	_, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return err
	}
	// After a SIGKILL orphaned processes take a moment to end, and the cluster does not start before.
	return eventually("PostgreSQL starts, see "+c.log(), func() bool {
		c.process, err = start(c.command("postgres", "-D", c.data(), "-p", port, "-c", "listen_addresses=127.0.0.1",
			"-c", "unix_socket_directories=", "-c", "max_connections=200"), c.log())
		return err == nil && c.awaitConnection(ctx)
	})
}

// awaitConnection waits until the cluster accepts connections. It returns false if the cluster has ended.
func (c *Cluster) awaitConnection(ctx context.Context) bool {
	for {
		conn, err := pgx.Connect(ctx, c.URL(c.Addr, "postgres"))
		if err == nil {
			_ = conn.Close(ctx)
			return true
		}
		select {
		case <-c.process.done:
			return false
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends every process of the cluster with SIGKILL. Data that is not on disk is lost.
func (c *Cluster) Kill() {
	select {
	case <-c.process.done: // another process may have its number
	default:
		_ = killPostgres(c.process.cmd.Process.Pid)
		c.process.kill()
	}
}

// killPostgres ends a PostgreSQL server and its processes with SIGKILL.
func killPostgres(pid int) error {
	// It must not start another process now: one that waits for a lock of a killed process would never end.
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	children := childrenOf(pid)
	err := syscall.Kill(pid, syscall.SIGKILL)
	for _, child := range children {
		_ = syscall.Kill(child, syscall.SIGKILL) // it may have ended already
	}
	return err
}

// Restart stops the cluster with a fast shutdown, which ends its connections, and starts it again.
func (c *Cluster) Restart(ctx context.Context) error {
	if err := c.process.signal(syscall.SIGINT); err != nil { // fast shutdown
		return err
	}
	return c.Start(ctx)
}

// Exec runs a statement in a database of the cluster, without a proxy.
func (c *Cluster) Exec(ctx context.Context, database, statement string) error {
	conn, err := pgx.Connect(ctx, c.URL(c.Addr, database))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// Close kills the cluster and removes its files.
func (c *Cluster) Close() {
	c.Kill()
	_ = os.RemoveAll(c.dir)
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *Cluster) log() string { return c.dir + ".log" }

func (c *Cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, program), args...) //nolint:gosec,noctx // our own arguments; ended by Kill
	cmd.Dir = c.dir
	if c.owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	}
	return cmd
}

// findPostgres returns the directory with the programs of the newest PostgreSQL.
func findPostgres() (string, error) {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(initdb), nil
	}
	newest, dir := 0, ""
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well-formed
	for _, bin := range found {
		if version, err := strconv.Atoi(filepath.Base(filepath.Dir(bin))); err == nil && version > newest {
			newest, dir = version, bin
		}
	}
	if dir == "" {
		return "", fmt.Errorf("PostgreSQL is needed: install the package postgresql")
	}
	return dir, nil
}

// databaseUser gives the directory to the user of the database, since PostgreSQL refuses to run as root.
func databaseUser(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil: the current user
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid)) //nolint:gosec // a directory of a test
}

// childrenOf returns the child processes of a process.
func childrenOf(parent int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, path := range stats {
		text, err := os.ReadFile(path)        //nolint:gosec // a path in /proc
		end := bytes.LastIndexByte(text, ')') // the name before it may contain anything
		if err != nil || end < 0 {
			continue // the process has ended
		}
		fields := strings.Fields(string(text[end+1:]))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}
