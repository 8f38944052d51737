package store_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/storetest"
)

// citusTables are the tables of deploy/citus.sql.
type citusTables struct {
	distributed map[string]string // table -> distribution column
	reference   []string
	local       []string // of each machine for itself
	order       []string // of reference and distributed tables
}

var (
	citusRefers      = regexp.MustCompile(`(?s)FOREACH part IN ARRAY ARRAY\[(.*?)\] LOOP[^;]*;[^;]*DISABLE TRIGGER USER[^;]*;\s*PERFORM create_reference_table\(part\);`)
	citusDistributes = regexp.MustCompile(`(?s)FOR part, dist IN VALUES(.*?)LOOP[^;]*;[^;]*DISABLE TRIGGER USER[^;]*;\s*PERFORM create_distributed_table\(part, dist,`)
	citusCreates     = regexp.MustCompile(`(?s)\$command\$(CREATE TABLE IF NOT EXISTS (\w+) \(.*?\n\s*\))\$command\$`)
	citusNames       = regexp.MustCompile(`'(\w+)'(?:, '(\w+)')?`)
)

func readCitus(t *testing.T) citusTables {
	t.Helper()
	text := string(must(os.ReadFile("../deploy/citus.sql"))(t))
	reference, distributed := citusRefers.FindStringSubmatch(text), citusDistributes.FindStringSubmatch(text)
	if reference == nil || distributed == nil {
		t.Fatal("deploy/citus.sql has another form, or moves tables with triggers on")
	}
	tables := citusTables{distributed: map[string]string{}}
	for line := range strings.Lines(reference[1]) {
		for _, m := range citusNames.FindAllStringSubmatch(line, -1) {
			tables.reference = append(tables.reference, m[1])
		}
	}
	for _, m := range citusCreates.FindAllStringSubmatch(text, -1) {
		tables.local = append(tables.local, m[2])
	}
	tables.order = slices.Clone(tables.reference)
	for _, m := range citusNames.FindAllStringSubmatch(distributed[1], -1) {
		tables.distributed[m[1]] = m[2]
		tables.order = append(tables.order, m[1])
	}
	return tables
}

// TestCitusHasEveryTable checks that deploy/citus.sql has each table of the schema.
func TestCitusHasEveryTable(t *testing.T) {
	t.Parallel()
	tables, db := readCitus(t), storetest.SQL(t, storetest.Postgres(t))
	want := append(slices.Clone(tables.reference), tables.local...)
	for table := range tables.distributed {
		want = append(want, table)
	}
	slices.Sort(want)
	got := queryStrings(t, db, `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 'S', 'c')
		ORDER BY relname COLLATE "C"`)
	if !slices.Equal(got, want) {
		t.Errorf("the schema has %q\ndeploy/citus.sql has %q", got, want)
	}
}

// TestCitusOrder checks that deploy/citus.sql moves a table after those that it refers to, and keeps Citus from moving one before its turn:
// a table that is not distributed yet may refer to one that is on every machine.
func TestCitusOrder(t *testing.T) {
	t.Parallel()
	tables, db := readCitus(t), storetest.SQL(t, storetest.Postgres(t))
	for _, key := range queryStrings(t, db, "SELECT conrelid::regclass || ' ' || confrelid::regclass FROM pg_constraint WHERE contype = 'f'") {
		from, to, _ := strings.Cut(key, " ")
		if slices.Index(tables.order, from) < slices.Index(tables.order, to) {
			t.Errorf("%s refers to %s, and comes before it", from, to)
		}
	}
	text := string(must(os.ReadFile("../deploy/citus.sql"))(t))
	_, text, _ = strings.Cut(text, "\nBEGIN;\n")
	if before, _, _ := strings.Cut(text, "create_reference_table"); !strings.Contains(before, "\nSET LOCAL citus.enable_local_reference_table_foreign_keys = off;\n") {
		t.Error("Citus would move tables before their turn")
	}
}

// TestCitusLocalTables checks that deploy/citus.sql makes tables on the workers as the migrations make them on the coordinator.
func TestCitusLocalTables(t *testing.T) {
	t.Parallel()
	db := storetest.SQL(t, storetest.Postgres(t))
	tx := must(db.BeginTx(t.Context(), nil))(t)
	defer func() { _ = tx.Rollback() }()
	must(tx.ExecContext(t.Context(), "CREATE SCHEMA worker; SET LOCAL search_path = worker"))(t)
	const columns = `SELECT format('%s %s %s %s', attname, format_type(atttypid, atttypmod), attcollation::regcollation, attnotnull)
		FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum`
	const keys = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::regclass ORDER BY conname"
	found := citusCreates.FindAllStringSubmatch(string(must(os.ReadFile("../deploy/citus.sql"))(t)), -1)
	if len(found) == 0 {
		t.Fatal("no table is local")
	}
	for _, m := range found {
		must(tx.ExecContext(t.Context(), m[1]))(t)
		for _, query := range []string{columns, keys} {
			got, want := queryStrings(t, tx, query, "worker."+m[2]), queryStrings(t, tx, query, "public."+m[2])
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s has %q on the workers, want %q", m[2], got, want)
			}
		}
	}
}

// TestCitusAcceptsTheSchema checks the migrated schema against the rules for distributed tables.
func TestCitusAcceptsTheSchema(t *testing.T) {
	t.Parallel()
	db := storetest.SQL(t, storetest.Postgres(t))
	if found := readCitus(t).violations(t, db); len(found) > 0 {
		t.Error(strings.Join(found, "\n"))
	}
}

// TestCitusRules breaks each rule and wants the violation to be found.
func TestCitusRules(t *testing.T) {
	t.Parallel()
	db := storetest.SQL(t, storetest.Postgres(t))
	for statement, violation := range map[string]string{
		"CREATE UNIQUE INDEX x ON apps (id)":                                           "x of apps is unique across clients",
		"CREATE UNIQUE INDEX x ON apps (catalog_app_id, client_id)":                    "x of apps does not begin with client_id",
		"CREATE INDEX x ON app_changes (app_id)":                                       "",
		"CREATE UNIQUE INDEX x ON app_changes (lower(field))":                          "x of app_changes is unique across clients",
		"ALTER TABLE client_app_counts DROP CONSTRAINT client_app_counts_pkey":         "client_app_counts has no primary key",
		"ALTER TABLE client_app_counts ADD FOREIGN KEY (client_id) REFERENCES clients": "",
		"ALTER TABLE token_clients ADD FOREIGN KEY (client_id) REFERENCES clients": "token_clients_client_id_fkey leads from token_clients to " +
			"clients, which is not on every machine",
		"ALTER TABLE apps ADD FOREIGN KEY (id) REFERENCES clients":                         "apps_id_fkey leads from apps to another client's clients",
		"ALTER TABLE apps ADD FOREIGN KEY (actor_id) REFERENCES tokens ON DELETE SET NULL": "apps_actor_id_fkey sets what apps is distributed by, or another column, to null",
		"CREATE TRIGGER x AFTER INSERT ON tokens EXECUTE FUNCTION count_apps()":            "x is a trigger on tokens, which is on every machine",
		triggerOnTokens("INSERT INTO catalog_changes SELECT n FROM catalog_state"):         "",
		triggerOnTokens("INSERT INTO app_changes VALUES (NEW.id)"):                         "x is a trigger on tokens, which is on every machine",
		triggerOnTokens("DELETE FROM tokens"):                                              "x is a trigger on tokens, which is on every machine",
		triggerOnTokens("SELECT count(*) INTO n FROM apps"):                                "x is a trigger on tokens, which is on every machine",
		triggerOnTokens("SELECT revision INTO n FROM catalog_state FOR UPDATE"):            "x is a trigger on tokens, which is on every machine",
		triggerOnTokens("EXECUTE 'DELETE FROM tokens'"):                                    "x is a trigger on tokens, which is on every machine",
		"ALTER TABLE apps ADD EXCLUDE (id WITH =)":                                         "apps_id_excl excludes across clients",
		"ALTER TABLE apps ADD number bigserial":                                            "number of apps counts on one machine",
		triggerOn("INSERT INTO app_changes SELECT * FROM app_changes"):                     "x() writes rows of a query",
		triggerOn("INSERT INTO tokens VALUES (NEW.client_id)"):                             "x() writes to tokens",
		triggerOn("UPDATE apps SET version = 1 WHERE id = NEW.id"):                         "x() does more than insert",
		triggerOn("INSERT INTO app_changes VALUES (NEW.id)"):                               "x() writes rows that may be another client's",
		triggerOn("PERFORM 1"): "x() does more than insert",
		"CREATE POLICY x ON apps USING (client_id = (SELECT current_setting('x')::uuid))":                 "x is a policy of apps with a subquery",
		"CREATE POLICY x ON apps WITH CHECK (id IN (SELECT id FROM clients))":                             "x is a policy of apps with a subquery",
		"CREATE POLICY x ON apps USING (client_id = current_setting('x')::uuid)":                          "",
		triggerOnSet("INSERT INTO catalog_changes SELECT 1 FROM moved JOIN tokens USING (id)"):            "x() reads a transition table together with others",
		triggerOnSet("INSERT INTO catalog_changes SELECT 1 FROM moved WHERE EXISTS (SELECT FROM tokens)"): "x() reads a transition table together with others",
		triggerOnSet("SELECT count(*) INTO n FROM moved; SELECT n + count(*) INTO n FROM tokens"):         "",
		triggerOn("IF EXISTS (SELECT 1 FROM clients WHERE id = NEW.id) THEN NULL; END IF"):                "x() reads clients",
	} {
		t.Run(statement, func(t *testing.T) {
			tx := must(db.BeginTx(t.Context(), nil))(t)
			defer func() { _ = tx.Rollback() }()
			if _, err := tx.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			if found := readCitus(t).violations(t, tx); strings.Join(found, "\n") != violation {
				t.Errorf("found %q, want %q", found, violation)
			}
		})
	}
}

func triggerOn(body string) string {
	return "CREATE FUNCTION x() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + body + "; RETURN NULL; END $$;" +
		"CREATE TRIGGER x AFTER INSERT ON apps FOR EACH ROW EXECUTE FUNCTION x()"
}

func triggerOnTokens(body string) string {
	return "CREATE FUNCTION x() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN " + body + "; RETURN NULL; END $$;" +
		"CREATE TRIGGER x AFTER INSERT ON tokens FOR EACH ROW EXECUTE FUNCTION x()"
}

func triggerOnSet(body string) string {
	return "CREATE FUNCTION x() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN " + body + "; RETURN NULL; END $$;" +
		"CREATE TRIGGER x AFTER INSERT ON tokens REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION x()"
}

// queryStrings reads a column of texts.
func queryStrings(t *testing.T, db queryer, query string, args ...any) []string {
	t.Helper()
	rows := must(db.QueryContext(t.Context(), query, args...))(t)
	defer rows.Close()
	var found []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		found = append(found, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
