package faults

import (
	"flag"
	"testing"
	"time"
)

// writes is the approximate number of acknowledged writes in each ledger.
var writes = flag.Int("writes", 3000, "acknowledged writes in each ledger; 10000 for the long form")

// TestDatabaseKilled kills PostgreSQL five times while clients write.
func TestDatabaseKilled(t *testing.T) {
	t.Parallel()
	h, ledger := newHarness(t), NewLedger()
	withLoad(t, h.Load(h.Server.Addr, 32, ledger), func() {
		for range 5 {
			awaitWrites(t, ledger, *writes/6)
			h.Cluster.Kill()
			await(t, "unready without a database", func() bool { return h.Server.Probe(t.Context(), "/readyz") == 503 })
			if status := h.Server.Probe(t.Context(), "/healthz"); status != 200 {
				t.Errorf("/healthz: %d", status)
			}
			if err := h.Cluster.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		awaitWrites(t, ledger, *writes/6)
	})
	checkLedger(t, ledger, h.Fixture)
	checkAnswered(t, ledger)
}

// TestDatabaseRestarted restarts PostgreSQL with a fast shutdown while clients write.
func TestDatabaseRestarted(t *testing.T) {
	t.Parallel()
	h, ledger := newHarness(t), NewLedger()
	withLoad(t, h.Load(h.Server.Addr, 32, ledger), func() {
		for range 5 {
			awaitWrites(t, ledger, *writes/6)
			restartDatabase(t, h)
		}
		awaitWrites(t, ledger, *writes/6)
	})
	checkLedger(t, ledger, h.Fixture)
	checkAnswered(t, ledger)
}

// TestServerKilled kills the server five times while clients write, on both databases.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *Harness{
		"postgres": func(t *testing.T) *Harness { t.Helper(); return newHarness(t) },
		"sqlite": func(t *testing.T) *Harness {
			t.Helper()
			return mustStart(t)(NewSQLiteHarness(t.Context(), program, open(t)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, ledger := start(t), NewLedger()
			withLoad(t, h.Load(h.Server.Addr, 16, ledger), func() {
				for range 5 {
					awaitWrites(t, ledger, *writes/6)
					h.Server.Kill()
					if err := h.Server.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				awaitWrites(t, ledger, *writes/6)
			})
			checkLedger(t, ledger, h.Fixture)
		})
	}
}

// TestConnectionsCut breaks connections to the database while clients write: it resets or refuses them, cuts or silences them in the
// middle of an answer or a request, and delays them for longer than the server waits.
func TestConnectionsCut(t *testing.T) {
	t.Parallel()
	h, ledger := newHarness(t), NewLedger()
	withLoad(t, h.Load(h.Server.Addr, 24, ledger), func() {
		for _, toxic := range Toxics() {
			awaitWrites(t, ledger, *writes/20)
			if err := toxic.Apply(h.Proxy); err != nil {
				t.Fatal(err)
			}
			time.Sleep(toxic.Duration)
			if err := h.Proxy.Heal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		awaitWrites(t, ledger, *writes/20)
	})
	checkLedger(t, ledger, h.Fixture)
	checkAnswered(t, ledger)
}

// TestLedgerFindsWhatIsWrong changes the history or the ledger, and checks that Compare finds the contradiction.
func TestLedgerFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := mustStart(t)(NewSQLiteHarness(t.Context(), program, open(t)))
	ledger := NewLedger()
	withLoad(t, h.Load(h.Server.Addr, 8, ledger), func() { awaitWrites(t, ledger, 100) })
	checkLedger(t, ledger, h.Fixture)
	db, err := h.Fixture.open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	const last = ` WHERE field = 'license_count' AND (client_id, app_id, version) = (SELECT client_id, app_id, version
		FROM app_changes WHERE field = 'license_count' ORDER BY changed_at DESC, app_id LIMIT 1)`
	for _, step := range []struct {
		statement string
		found     func(*Comparison) bool
	}{
		{"UPDATE app_changes SET request_id = 'nobody'" + last, func(c *Comparison) bool { return c.Lost == 1 && c.Unknown == 1 }},
		{`INSERT INTO app_changes (client_id, app_id, version, field, old_value, new_value,
			actor_id, actor_name, request_id, changed_at) SELECT client_id, app_id, version + 1, field, new_value, new_value, actor_id, actor_name,
			request_id, changed_at FROM app_changes` + last, func(c *Comparison) bool { return len(c.Problems) == 3 }}, // the row
		{`UPDATE app_changes SET request_id = (SELECT request_id FROM app_changes WHERE field = 'license_count'
			AND request_id <> 'nobody')` + last, func(c *Comparison) bool { return c.CommittedTwice == 1 }},
	} {
		if _, err := db.ExecContext(t.Context(), step.statement); err != nil {
			t.Fatalf("%s: %v", step.statement, err)
		}
		if c, err := ledger.Compare(t.Context(), h.Fixture); err != nil || !step.found(c) {
			t.Errorf("after %s: %+v, %v", step.statement, c, err)
		}
	}
	for id, e := range ledger.entries {
		if e.Outcome == Acknowledged && e.Changes == 1 {
			e.Outcome = Refused
			ledger.entries[id] = e
		}
	}
	if c, err := ledger.Compare(t.Context(), h.Fixture); err != nil || c.WronglyCommitted < 20 {
		t.Errorf("with all refused: %+v, %v", c, err)
	}
}
