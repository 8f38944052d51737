//go:build citus

package faults

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// rounds is how often each machine is killed, or less often where it takes longer than roundsTime.
const (
	rounds     = 3
	roundsTime = 70 * time.Second
)

// TestCitusMachinesKilled kills each machine of a cluster while clients write through a server on the coordinator and one on a worker.
// The answers are compared by the machine that was killed last.
func TestCitusMachinesKilled(t *testing.T) {
	if os.Getenv("TEST_CITUS_NODES") == "" {
		t.Skip("machines can be killed only when tools/with-citus has started them")
	}
	machines, err := Machines("clientapps_faults")
	if err != nil {
		t.Fatal(err)
	}
	h := mustStart(t)(NewCitusHarness(t.Context(), program, open(t), machines))
	checkDurable(t, machines)
	spreadClients(t, machines, h.Fixture)
	other, err := h.AddServer("CLIENTAPPS_DATABASE_URL=" + machines[1].URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	ledgers, kills := make([]*Ledger, len(machines)), make([]map[string]int, len(machines))
	for i := range machines {
		ledgers[i], kills[i] = NewLedger(), map[string]int{}
	}
	for round := 0; round < rounds && (round == 0 || time.Since(begun) < roundsTime*2/3); round++ {
		for i, m := range machines {
			first, second := h.Load(h.Server.Addr, 16, ledgers[i]), h.Load(other.Addr, 16, ledgers[i])
			second.BulkFrom = bulkApps
			withLoad(t, first, func() {
				withLoad(t, second, func() {
					awaitWrites(t, ledgers[i], 200)
					kills[i]["killed"]++
					if err := m.Kill(); err != nil {
						t.Fatal(err)
					}
					pause(t.Context(), time.Duration(rand.Int64N(int64(2*DatabaseTimeout)))) // sometimes longer than requests wait
					if err := m.Start(); err != nil {
						t.Fatal(err)
					}
					for _, s := range []*Server{h.Server, other} {
						await(t, "the server is ready", func() bool { return s.Probe(t.Context(), "/readyz") == 200 })
					}
					awaitWrites(t, ledgers[i], 200)
				})
			})
		}
	}
	pause(t.Context(), DatabaseTimeout) // what a machine still does would be written now
	var columns []Column
	for i, m := range machines {
		column, err := NewColumn(t.Context(), m.Name, ledgers[i], h.Fixture, kills[i], ledgers...)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range append(column.Comparison.Problems, ledgers[i].Problems()...) {
			t.Errorf("%s: %s", m.Name, problem)
		}
		if column.Failed() {
			t.Errorf("%s killed: answers contradict the database", m.Name)
		}
		columns = append(columns, column)
	}
	t.Log("\n" + Report(time.Since(begun), columns...))
}

// checkDurable checks that what a machine has acknowledged survives its processes.
func checkDurable(t *testing.T, machines []*Machine) {
	t.Helper()
	for _, m := range machines {
		conn, err := pgx.Connect(t.Context(), m.URL)
		if err != nil {
			t.Fatal(err)
		}
		var setting string
		err = conn.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&setting)
		_ = conn.Close(context.WithoutCancel(t.Context()))
		if err != nil || setting != "on" {
			t.Fatalf("%s: synchronous_commit is %s: set TEST_CITUS_FSYNC=on: %v", m.Name, setting, err)
		}
	}
}

// spreadClients moves a client if all are on one worker, so that the kill of each worker concerns some.
func spreadClients(t *testing.T, machines []*Machine, fixture *Fixture) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), machines[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var ids []string
	for _, app := range fixture.Apps {
		ids = append(ids, app.Client)
	}
	rows, err := conn.Query(t.Context(), `SELECT DISTINCT nodename, nodeport FROM citus_shards WHERE shardid IN (
		SELECT get_shard_id_for_distribution_column('clients', id) FROM (SELECT DISTINCT unnest($1::uuid[]) AS id) AS clients)`, ids)
	if err != nil {
		t.Fatal(err)
	}
	type node struct {
		Name string
		Port int
	}
	nodes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[node])
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes) != 1 {
		return
	}
	if _, err := conn.Exec(t.Context(), `SELECT citus_move_shard_placement(get_shard_id_for_distribution_column('clients', $1::uuid),
		$2, $3, nodename, nodeport, 'block_writes') FROM pg_dist_node WHERE groupid <> 0 AND nodeport <> $3 LIMIT 1`,
		ids[0], nodes[0].Name, nodes[0].Port); err != nil {
		t.Fatal(err)
	}
}
