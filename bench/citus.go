package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/clientapps/clientapps/bench/load"
)

var citusContenders = []string{"ours", "ours-by-client", "ours-citus", "ours-citus-worker"}

// citusWorkloads returns the loads of the comparison with a Citus cluster.
func citusWorkloads() []workload {
	var all []workload
	for _, w := range workloads() {
		switch w.name {
		case "patch", "get", "list", "mixed", "bulk":
			w.contenders = citusContenders
			all = append(all, w)
		}
	}
	return all
}

// cluster is the Citus cluster that tools/with-citus has started.
type cluster struct {
	coordinator string   // URL of its database postgres
	workers     []string // HOST:PORT
	pids        []int    // of the servers
}

func findCluster() (c cluster, err error) {
	c.coordinator, c.workers = os.Getenv("TEST_CITUS_URL"), strings.Fields(os.Getenv("TEST_CITUS_WORKERS"))
	if c.coordinator == "" || len(c.workers) == 0 || os.Getenv("TEST_CITUS_FSYNC") != "on" {
		return c, errors.New("a Citus cluster that flushes its writes is needed: run make bench-citus")
	}
	for _, node := range strings.Fields(os.Getenv("TEST_CITUS_NODES")) {
		text, err := os.ReadFile(filepath.Join(node, "postmaster.pid")) //nolint:gosec // of with-citus
		if err != nil {
			return c, err
		}
		first, _, _ := strings.Cut(string(text), "\n")
		pid, err := strconv.Atoi(first)
		if err != nil {
			return c, err
		}
		c.pids = append(c.pids, pid)
	}
	return c, nil
}

// database returns the URL of the database on the machine with this address.
func (c cluster) database(address string) string {
	return "postgres://postgres@" + address + "/bench?sslmode=disable"
}

func (c cluster) coordinatorAddress() string {
	_, rest, _ := strings.Cut(c.coordinator, "@")
	address, _, _ := strings.Cut(rest, "/")
	return address
}

// startCitus starts our server on one PostgreSQL, in its default and by client, and on the cluster, by its coordinator and by a worker.
func (h *harness) startCitus(ctx context.Context) error {
	nodes, err := findCluster()
	if err != nil {
		return err
	}
	url, token, err := h.database(ctx, "bench", h.size, "ours")
	if err != nil {
		return err
	}
	citusURL, citusToken, err := h.distributed(ctx, nodes)
	if err != nil {
		return err
	}
	for _, side := range []struct {
		name, url, token string
		pids             []int
		flags            []string
	}{
		{"ours", url, token, []int{h.postgres.PID()}, nil},
		{"ours-by-client", url, token, []int{h.postgres.PID()}, []string{"--batch-by-client"}},
		{"ours-citus", citusURL, citusToken, nodes.pids, []string{"--batch-by-client"}},
		{"ours-citus-worker", nodes.database(nodes.workers[0]), citusToken, nodes.pids, []string{"--batch-by-client"}},
	} {
		if !h.wants(side.name) {
			continue
		}
		c := &contender{
			name: side.name, token: side.token, api: load.Contract{}, size: h.size, databases: side.pids, history: postgresHistory(side.url),
		}
		if err := h.serveOurs(ctx, c, "ours", side.url, side.flags...); err != nil {
			return err
		}
	}
	return nil
}

// distributed makes a database on the cluster, as docs/scale-out.md says: it is loaded before it is distributed.
func (h *harness) distributed(ctx context.Context, nodes cluster) (url, token string, err error) {
	coordinator := nodes.coordinatorAddress()
	for _, address := range append([]string{coordinator}, nodes.workers...) {
		for _, statement := range []struct{ url, sql string }{
			{strings.Replace(nodes.database(address), "/bench?", "/postgres?", 1), "CREATE DATABASE bench"},
			{nodes.database(address), "CREATE EXTENSION citus"},
		} {
			if err := execute(ctx, statement.url, statement.sql); err != nil {
				return "", "", fmt.Errorf("%s: %w", address, err)
			}
		}
	}
	url = nodes.database(coordinator)
	add := "SELECT citus_set_coordinator_host(" + hostAndPort(coordinator) + ")"
	for _, worker := range nodes.workers {
		add += "; SELECT citus_add_node(" + hostAndPort(worker) + ")"
	}
	if err := execute(ctx, url, add); err != nil {
		return "", "", err
	}
	token, err = h.prepare(ctx, url, func() error {
		if err := h.size.LoadPostgres(ctx, url); err != nil {
			return err
		}
		psql := filepath.Join(os.Getenv("TEST_CITUS_BIN"), "psql")
		script := filepath.Join(h.product, "deploy", "citus.sql")
		cmd := exec.CommandContext(ctx, psql, "-Xq", "-v", "ON_ERROR_STOP=1", "-o", os.DevNull, "-f", script, url) //nolint:gosec // ours
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("citus.sql: %w\n%s", err, out)
		}
		return execute(ctx, url, "VACUUM (ANALYZE)")
	}, h.size, "ours")
	return url, token, err
}

func hostAndPort(address string) string {
	host, port, _ := strings.Cut(address, ":")
	return "'" + host + "', " + port
}

func execute(ctx context.Context, url, statements string) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, statements)
	return errors.Join(err, db.Close(ctx))
}
