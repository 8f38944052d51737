package store_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// violations returns what Citus would refuse, and what would need another shard.
func (c citusTables) violations(t *testing.T, db queryer) []string {
	t.Helper()
	var found []string
	for _, table := range slices.Sorted(maps.Keys(c.distributed)) {
		found = append(found, c.keys(t, db, table)...)
	}
	found = append(found, c.foreignKeys(t, db)...)
	found = append(found, c.policies(t, db)...)
	found = append(found, c.transitionTables(t, db)...)
	return append(append(found, c.onEveryMachine(t, db)...), c.functions(t, db)...)
}

// policies checks that policies of distributed tables have no subqueries.
func (c citusTables) policies(t *testing.T, db queryer) []string {
	t.Helper()
	return queryStrings(t, db, `SELECT format('%s is a policy of %s with a subquery', polname, polrelid::regclass) FROM pg_policy
		WHERE concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) ~* '\mselect\M'
		AND polrelid::regclass::text = ANY($1) ORDER BY 1`, slices.Collect(maps.Keys(c.distributed)))
}

// transitionTables checks that a statement of a trigger that reads its transition table reads no other table of Citus, which it could not
// plan.
func (c citusTables) transitionTables(t *testing.T, db queryer) []string {
	t.Helper()
	var found []string
	const of = "SELECT DISTINCT proname, prosrc, coalesce(tgnewtable, tgoldtable) FROM pg_trigger JOIN pg_proc AS f ON f.oid = tgfoid " +
		"WHERE coalesce(tgnewtable, tgoldtable) IS NOT NULL ORDER BY 1"
	rows := must(db.QueryContext(t.Context(), of))(t)
	defer rows.Close()
	for rows.Next() {
		var name, text, transition string
		if err := rows.Scan(&name, &text, &transition); err != nil {
			t.Fatal(err)
		}
		for statement := range strings.SplitSeq(text, ";") {
			read := map[bool]bool{}
			for _, m := range triggerFrom.FindAllStringSubmatch(statement, -1) {
				table := strings.ToLower(m[1])
				read[table == transition] = table == transition || read[false] || c.distributed[table] != "" || slices.Contains(c.reference, table)
			}
			if read[true] && read[false] {
				found = append(found, name+"() reads a transition table together with others")
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// onEveryMachine checks triggers of tables that are on every machine: they run on every machine, and may write only what is of the machine.
func (c citusTables) onEveryMachine(t *testing.T, db queryer) []string {
	t.Helper()
	var found []string
	const of = "FROM pg_trigger JOIN pg_proc AS f ON f.oid = tgfoid WHERE NOT tgisinternal AND tgrelid::regclass::text = ANY($1) "
	texts := queryStrings(t, db, "SELECT prosrc "+of+"ORDER BY tgname, tgrelid", c.reference)
	for n, name := range queryStrings(t, db, "SELECT format('%s is a trigger on %s', tgname, tgrelid::regclass) "+of+"ORDER BY tgname, tgrelid", c.reference) {
		if !c.writesLocalTables(texts[n]) {
			found = append(found, name+", which is on every machine")
		}
	}
	return found
}

// writesLocalTables reports whether a function writes no table but those of the machine, and reads and locks none of another machine.
func (c citusTables) writesLocalTables(text string) bool {
	if triggerDynamic.MatchString(triggerLock.ReplaceAllString(text, "")) {
		return false
	}
	for _, m := range triggerTarget.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(c.local, m[1]+m[2]+m[3]) {
			return false
		}
	}
	return !slices.ContainsFunc(triggerFrom.FindAllStringSubmatch(text, -1), func(m []string) bool { return c.distributed[m[1]] != "" })
}

// keys checks that each key of a table begins with its distribution column.
func (c citusTables) keys(t *testing.T, db queryer, table string) []string {
	t.Helper()
	var found []string
	by := c.distributed[table]
	if queryOne[int](t, db, "SELECT count(*) FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'p'", table) == 0 {
		found = append(found, table+" has no primary key")
	}
	found = append(found, queryStrings(t, db, `
		SELECT format(CASE WHEN $2 = ANY(columns) THEN '%s of %s does not begin with %s' ELSE '%s of %s is unique across clients' END, name, $1, $2)
		FROM (SELECT x.indexrelid::regclass AS name, ARRAY(SELECT a.attname::text FROM unnest(x.indkey) WITH ORDINALITY AS k (n, at)
			LEFT JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.n ORDER BY at) AS columns
			FROM pg_index AS x WHERE x.indrelid = $1::regclass AND x.indisunique) AS keys
		WHERE columns[1] IS DISTINCT FROM $2 ORDER BY 1`, table, by)...)
	found = append(found, queryStrings(t, db, `SELECT format('%s excludes across clients', conname) FROM pg_constraint
		WHERE conrelid = $1::regclass AND contype = 'x'`, table)...)
	return append(found, queryStrings(t, db, `SELECT format('%s of %s counts on one machine', attname, $1::text) FROM pg_attribute
		WHERE attrelid = $1::regclass AND (attidentity <> '' OR pg_get_serial_sequence($1, attname) IS NOT NULL) AND attnum > 0`, table)...)
}

// foreignKeys checks that each foreign key leads to a row of the same client or to a table that is on every machine.
func (c citusTables) foreignKeys(t *testing.T, db queryer) []string {
	t.Helper()
	rows := must(db.QueryContext(t.Context(), `SELECT conname, conrelid::regclass::text, confrelid::regclass::text, confdeltype::text, confupdtype::text,
			(SELECT string_agg(a.attname || '=' || b.attname, ',') FROM unnest(conkey, confkey) AS k (own, other)
				JOIN pg_attribute AS a ON a.attrelid = conrelid AND a.attnum = own JOIN pg_attribute AS b ON b.attrelid = confrelid AND b.attnum = other)
		FROM pg_constraint WHERE contype = 'f' ORDER BY conname`))(t)
	defer rows.Close()
	var found []string
	for rows.Next() {
		var name, from, to, onDelete, onUpdate, pairs string
		if err := rows.Scan(&name, &from, &to, &onDelete, &onUpdate, &pairs); err != nil {
			t.Fatal(err)
		}
		by, distributed := c.distributed[from]
		toBy, toDistributed := c.distributed[to]
		switch {
		case toDistributed && !distributed:
			found = append(found, fmt.Sprintf("%s leads from %s to %s, which is not on every machine", name, from, to))
		case toDistributed && !slices.Contains(strings.Split(pairs, ","), by+"="+toBy):
			found = append(found, fmt.Sprintf("%s leads from %s to another client's %s", name, from, to))
		case distributed && strings.ContainsAny(onDelete+onUpdate, "nd"):
			found = append(found, fmt.Sprintf("%s sets what %s is distributed by, or another column, to null", name, from))
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// These match what the functions of triggers do, as far as their text shows it.
var (
	triggerInsert  = regexp.MustCompile(`(?i)\binsert\s+into\s+(\w+)(?:\s+as\s+\w+)?(?:\s*\(([^)]*)\))?\s+(\w+)(?:\s*\(\s*([\w.]+))?`)
	triggerLock    = regexp.MustCompile(`(?i)\bperform\s+pg_advisory_xact_lock\([\d, ]+\)`) // of the machine
	triggerOther   = regexp.MustCompile(`(?i)\b(update\s+\w+\s+set|delete\s+from|merge\s+into|truncate|execute|perform)\b`)
	triggerDynamic = regexp.MustCompile(`(?i)\b(merge\s+into|truncate|execute|perform|for\s+(no\s+key\s+)?(update|key\s+share|share))\b`)
	triggerTarget  = regexp.MustCompile(`(?i)\b(?:insert\s+into\s+(\w+)|delete\s+from\s+(\w+)|update\s+(\w+)\s+(?:as\s+\w+\s+)?set\b)`)
	// The row of the trigger, or a row made from it. The id of a row of clients is the client.
	triggerRow = map[bool]*regexp.Regexp{
		false: regexp.MustCompile(`(?i)^(new|old|before|after|part)\.client_id$`),
		true:  regexp.MustCompile(`(?i)^(new|old)\.id$`),
	}
	// The row of the same client in clients, which is on the same shard.
	triggerClient = regexp.MustCompile(`(?i)\bfrom\s+clients\s+where\s+id\s+=\s+(new|old)\.client_id\b`)
	// A row of the trigger's transition table. Rows of other tables may be on another shard.
	triggerFrom = regexp.MustCompile(`(?i)\b(?:from|join)\s+(\w+)`)
)

// functions checks that trigger functions only insert rows of the same client, one a statement: Citus routes those to the same shard.
func (c citusTables) functions(t *testing.T, db queryer) []string {
	t.Helper()
	var found []string
	const of = "FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prorettype = 'trigger'::regtype"
	const elsewhere = " AND NOT (SELECT coalesce(bool_and(tgrelid::regclass::text = ANY($1)), false) FROM pg_trigger WHERE tgfoid = pg_proc.oid)"
	for _, name := range queryStrings(t, db, "SELECT proname "+of+elsewhere+" ORDER BY proname", c.reference) {
		text := queryOne[string](t, db, "SELECT prosrc "+of+" AND proname = $1", name)
		onClients := queryOne[bool](t, db, `SELECT coalesce(bool_and(tgrelid = 'clients'::regclass), false) FROM pg_trigger
			WHERE tgfoid = (SELECT oid `+of+` AND proname = $1)`, name)
		found = append(found, c.function(name, text, onClients)...)
	}
	return found
}

func (c citusTables) function(name, text string, onClients bool) []string {
	if triggerOther.MatchString(text) {
		return []string{name + "() does more than insert"}
	}
	for _, m := range triggerInsert.FindAllStringSubmatch(text, -1) {
		table, columns, how, first := m[1], m[2], strings.ToLower(m[3]), m[4]
		switch {
		case c.distributed[table] != "client_id":
			return []string{name + "() writes to " + table}
		case how != "values":
			return []string{name + "() writes rows of a query"}
		case columns != "" && !strings.HasPrefix(columns, "client_id"), !triggerRow[onClients].MatchString(first):
			return []string{name + "() writes rows that may be another client's"}
		}
	}
	for _, m := range triggerFrom.FindAllStringSubmatch(triggerClient.ReplaceAllString(text, ""), -1) {
		if table := m[1]; slices.Contains(c.reference, table) || c.distributed[table] != "" {
			return []string{name + "() reads " + table}
		}
	}
	return nil
}
