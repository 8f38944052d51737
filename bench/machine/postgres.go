package machine

import (
	"context"
	"errors"
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
)

// Postgres is the PostgreSQL server of the benchmark.
type Postgres struct {
	*Process
	URL     string
	Version string

	bin string
}

// oldest is the first version of PostgreSQL that the server supports.
const oldest = 15

// FindPostgres returns the directory with the programs of the newest PostgreSQL, and its version.
func FindPostgres(ctx context.Context) (bin, version string, err error) {
	var dirs []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin",
	} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		dirs = append(dirs, found...)
	}
	if initdb, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(initdb))
	}
	newest := oldest - 1
	for _, dir := range dirs {
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output() //nolint:gosec // found above
		if err != nil {
			continue
		}
		words := strings.Fields(strings.TrimPrefix(string(out), "postgres (PostgreSQL)"))
		if len(words) == 0 {
			continue
		}
		major, _, _ := strings.Cut(words[0], ".")
		if n, err := strconv.Atoi(major); err == nil && n > newest {
			newest, bin, version = n, dir, words[0]
		}
	}
	if bin == "" {
		return "", "", fmt.Errorf("no PostgreSQL %d or newer was found", oldest)
	}
	return bin, version, nil
}

// StartPostgres creates a cluster in a directory and serves it on loopback with default settings: fsync and synchronous_commit are on.
// Only the number of connections is higher, since all contenders run at once.
func StartPostgres(ctx context.Context, dir string) (*Postgres, error) {
	bin, version, err := FindPostgres(ctx)
	if err != nil {
		return nil, err
	}
	owner, err := databaseUser(dir)
	if err != nil {
		return nil, err
	}
	run := func(program string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, program), args...) //nolint:gosec,noctx // our own arguments; stopped by Stop
		cmd.Dir = dir
		if owner != nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
		}
		return cmd
	}
	data := filepath.Join(dir, "data")
	// A linguistic collation, as on most servers.
	if out, err := run("initdb", "--pgdata="+data, "--username=postgres", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	start := time.Now()
	// SIGINT is PostgreSQL's fast shutdown.
	process, err := Start("PostgreSQL", run("postgres", "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_connections=400"), dir+".log", syscall.SIGINT)
	if err != nil {
		return nil, err
	}
	p := &Postgres{
		Process: process, Version: version, bin: bin,
		URL: "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable",
	}
	if err := p.awaitConnection(ctx, addr); err != nil {
		p.Stop()
		return nil, err
	}
	p.Ready = time.Since(start)
	return p, nil
}

// Program returns the path of a program of PostgreSQL.
func (p *Postgres) Program(name string) string { return filepath.Join(p.bin, name) }

func (p *Postgres) awaitConnection(ctx context.Context, addr string) error {
	host, port, _ := net.SplitHostPort(addr)
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		ready := exec.CommandContext(ctx, p.Program("pg_isready"), "-q", "-h", host, "-p", port) //nolint:gosec // ours
		if ready.Run() == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("PostgreSQL ended: %w; its log is %s", p.err, p.log.Name())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("PostgreSQL does not accept connections")
}

// databaseUser gives the directory to the user of the database, since PostgreSQL refuses to run as root.
func databaseUser(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil: the current user
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
}
