package store_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// undistributed is the last migration that is certain to run before deploy/citus.sql. A later one may meet distributed tables.
const undistributed = "0011"

// These match statements of migrations, as far as their text shows them.
var (
	migrationComment = regexp.MustCompile(`--.*`)
	alterTable       = regexp.MustCompile(`(?is)\balter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?(?:public\.)?(\w+)\s+([^;]*)`)
	addConstraint    = regexp.MustCompile(`(?i)^add\s+(constraint|check|foreign|unique|primary|exclude)\b`)
	addColumn        = regexp.MustCompile(`(?i)^add\s`)
	inlineConstraint = regexp.MustCompile(`(?i)\b(check|references|unique|primary)\b`)
	quotedText       = regexp.MustCompile(`'[^']*'`)
)

// refusedMigration returns what Citus would refuse of a migration: constraints that are added together with something else, and those of a
// column that the same action adds. It refuses CHECK there always, and others beside other actions.
func (c citusTables) refusedMigration(text string) (found []string) {
	text = quotedText.ReplaceAllString(migrationComment.ReplaceAllString(text, ""), "''")
	for _, m := range alterTable.FindAllStringSubmatch(text, -1) {
		table, actions := strings.ToLower(m[1]), splitActions(m[2])
		if c.distributed[table] == "" && !slices.Contains(c.reference, table) {
			continue
		}
		for _, action := range actions {
			switch {
			case addConstraint.MatchString(action):
				if len(actions) > 1 {
					found = append(found, table+" gets a constraint together with other changes")
				}
			case addColumn.MatchString(action) && inlineConstraint.MatchString(action):
				found = append(found, table+" gets a column with a constraint")
			}
		}
	}
	return found
}

// splitActions splits the actions of ALTER TABLE at the commas that are not in parentheses.
func splitActions(text string) (actions []string) {
	depth, begin := 0, 0
	for at, c := range text {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			actions, begin = append(actions, strings.TrimSpace(text[begin:at])), at+1
		}
	}
	return append(actions, strings.TrimSpace(text[begin:]))
}

// TestCitusAcceptsMigrations checks the migrations that may run on distributed tables.
func TestCitusAcceptsMigrations(t *testing.T) {
	t.Parallel()
	files := must(filepath.Glob("migrations/postgres/*.sql"))(t)
	if len(files) == 0 {
		t.Fatal("there are no migrations")
	}
	for _, file := range files {
		if number, _, _ := strings.Cut(filepath.Base(file), "_"); number <= undistributed {
			continue
		}
		for _, problem := range readCitus(t).refusedMigration(string(must(os.ReadFile(file))(t))) {
			t.Errorf("%s: %s", file, problem)
		}
	}
}

// TestCitusMigrationRules breaks each rule for migrations and wants the violation to be found.
func TestCitusMigrationRules(t *testing.T) {
	t.Parallel()
	tables := readCitus(t)
	cases := map[string]string{
		"ALTER TABLE apps ADD COLUMN seats int NOT NULL DEFAULT 0":                      "",
		"ALTER TABLE apps ADD COLUMN seats int CHECK (seats > 0)":                       "apps gets a column with a constraint",
		"ALTER TABLE apps ADD seats int,\n    ADD COLUMN owner uuid REFERENCES tokens":  "apps gets a column with a constraint",
		"ALTER TABLE ONLY tokens ADD number int UNIQUE":                                 "tokens gets a column with a constraint",
		"alter table if exists public.clients add column number int primary key":        "clients gets a column with a constraint",
		"ALTER TABLE apps ADD COLUMN note text DEFAULT 'check, unique' -- CHECK":        "",
		"ALTER TABLE apps ADD CONSTRAINT few CHECK (license_count IN (1, 2))":           "",
		"ALTER TABLE apps ADD COLUMN seats int; ALTER TABLE apps ADD CHECK (seats > 0)": "",
		"ALTER TABLE apps ADD COLUMN seats int, ADD CHECK (seats > 0)":                  "apps gets a constraint together with other changes",
		"ALTER TABLE apps DROP CONSTRAINT few, ADD CONSTRAINT few CHECK (version > 0)":  "apps gets a constraint together with other changes",
		"ALTER TABLE catalog_changes ADD COLUMN n int CHECK (n > 0)":                    "", // of each machine for itself
		"CREATE TABLE plans (id uuid PRIMARY KEY, seats int CHECK (seats > 0))":         "",
	}
	for _, statement := range slices.Sorted(maps.Keys(cases)) {
		if found := strings.Join(tables.refusedMigration(statement+";"), "\n"); found != cases[statement] {
			t.Errorf("%s\nfound %q, want %q", statement, found, cases[statement])
		}
	}
	// The rule is one that migrations have broken, while no table was distributed.
	const broken = "migrations/postgres/0004_client_life.sql"
	if found := tables.refusedMigration(string(must(os.ReadFile(broken))(t))); !slices.Contains(found, "clients gets a column with a constraint") {
		t.Errorf("%s: found %q", broken, found)
	}
}
