package faults

import (
	"flag"
	"testing"
	"time"
)

// writes is how many patches each ledger has, about.
var writes = flag.Int("writes", 3000, "how many writes each ledger has to have acknowledged; 10000 is the long form")

// TestDatabaseKilled kills PostgreSQL five times while clients write.
func TestDatabaseKilled(t *testing.T) {
	t.Parallel()
	l, ledger := newLab(t), NewLedger()
	under(t, l.Load(l.Server.Addr, 32, ledger), func() {
		for range 5 {
			after(t, ledger, *writes/6)
			l.Cluster.Kill()
			await(t, "unready without a database", func() bool { return l.Server.Probe(t.Context(), "/readyz") == 503 })
			if status := l.Server.Probe(t.Context(), "/healthz"); status != 200 {
				t.Errorf("/healthz: %d", status)
			}
			if err := l.Cluster.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		after(t, ledger, *writes/6)
	})
	checkLedger(t, ledger, l.World)
	checkAnswered(t, ledger)
}

// TestDatabaseRestarted has PostgreSQL end its connections in good order while clients write.
func TestDatabaseRestarted(t *testing.T) {
	t.Parallel()
	l, ledger := newLab(t), NewLedger()
	under(t, l.Load(l.Server.Addr, 32, ledger), func() {
		for range 5 {
			after(t, ledger, *writes/6)
			restarted(t, l)
		}
		after(t, ledger, *writes/6)
	})
	checkLedger(t, ledger, l.World)
	checkAnswered(t, ledger)
}

// TestServerKilled kills the server five times while clients write, on both databases.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	for name, lab := range map[string]func(*testing.T) *Lab{
		"postgres": func(t *testing.T) *Lab { t.Helper(); return newLab(t) },
		"sqlite": func(t *testing.T) *Lab {
			t.Helper()
			return ready(t)(NewSQLiteLab(t.Context(), program, open(t)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, ledger := lab(t), NewLedger()
			under(t, l.Load(l.Server.Addr, 16, ledger), func() {
				for range 5 {
					after(t, ledger, *writes/6)
					l.Server.Kill()
					if err := l.Server.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				after(t, ledger, *writes/6)
			})
			checkLedger(t, ledger, l.World)
		})
	}
}

// TestConnectionsCut ends connections to the database while clients write: abruptly, by refusing them, by silence that comes
// in the middle of an answer or of a request, and by delays longer than the server waits.
func TestConnectionsCut(t *testing.T) {
	t.Parallel()
	l, ledger := newLab(t), NewLedger()
	under(t, l.Load(l.Server.Addr, 24, ledger), func() {
		for _, toxic := range Toxics() {
			after(t, ledger, *writes/20)
			if err := toxic.Apply(l.Proxy); err != nil {
				t.Fatal(err)
			}
			time.Sleep(toxic.For)
			if err := l.Proxy.Heal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		after(t, ledger, *writes/20)
	})
	checkLedger(t, ledger, l.World)
	checkAnswered(t, ledger)
}

// TestLedgerFindsWhatIsWrong changes the database behind the ledger's back, and the ledger behind the database's.
func TestLedgerFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	l := ready(t)(NewSQLiteLab(t.Context(), program, open(t)))
	ledger := NewLedger()
	under(t, l.Load(l.Server.Addr, 8, ledger), func() { after(t, ledger, 100) })
	checkLedger(t, ledger, l.World)
	db, err := l.World.open()
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
		{`INSERT INTO app_changes SELECT client_id, app_id, version + 1, field, new_value, new_value, actor_id, actor_name,
			request_id, changed_at FROM app_changes` + last, func(c *Comparison) bool { return len(c.Problems) == 3 }}, // the row
		{`UPDATE app_changes SET request_id = (SELECT request_id FROM app_changes WHERE field = 'license_count'
			AND request_id <> 'nobody')` + last, func(c *Comparison) bool { return c.Twice == 1 }},
	} {
		if _, err := db.ExecContext(t.Context(), step.statement); err != nil {
			t.Fatalf("%s: %v", step.statement, err)
		}
		if c, err := ledger.Compare(t.Context(), l.World); err != nil || !step.found(c) {
			t.Errorf("after %s: %+v, %v", step.statement, c, err)
		}
	}
	for id, e := range ledger.entries {
		if e.Verdict == Acknowledged && e.Changes == 1 {
			e.Verdict = Refused
			ledger.entries[id] = e
		}
	}
	if c, err := ledger.Compare(t.Context(), l.World); err != nil || c.Present < 20 {
		t.Errorf("with all refused: %+v, %v", c, err)
	}
}
