package store_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestPlansOnSQLite checks the plan of every statement, before and after ANALYZE, since an operator may never run that. It asks for
// the plan on the connection that ran the statement, if gorm sent it: an import has temporary tables.
func TestPlansOnSQLite(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	f := newPlanFixture(t, url, planClients)
	for _, analyze := range []string{"", "ANALYZE"} {
		t.Run("after "+analyze, func(t *testing.T) {
			if analyze != "" {
				must(storetest.SQL(t, url).ExecContext(t.Context(), analyze))(t)
			}
			checkCases(t, f, sqliteRecorder(t, url))
		})
	}
	checkRules(t, storetest.SQL(t, url), f, sqliteRecorder(t, url))
}

func sqliteRecorder(t *testing.T, url string) planRecorder {
	t.Helper()
	var mu sync.Mutex
	var plans []plan
	sent := map[string]bool{}
	s := openWithoutPolling(t, url, func(cfg *store.Config) {
		cfg.OnStatement = func(statement string) {
			mu.Lock()
			defer mu.Unlock()
			sent[statement] = true
		}
	})
	err := store.AfterStatement(s, func(st *gorm.Statement) { // after OnStatement
		text := st.SQL.String()
		var p plan
		if !schemaStatement.MatchString(text) {
			p = sqlitePlan(t, st.ConnPool, text, st.Vars)
		}
		mu.Lock()
		defer mu.Unlock()
		if delete(sent, text); p.sql != "" {
			plans = append(plans, p)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.SQL(t, url)
	return planRecorder{store: s, plans: func(*testing.T) []plan {
		mu.Lock()
		defer mu.Unlock()
		for text := range sent { // without gorm
			plans = append(plans, sqlitePlan(t, db, text, make([]any, strings.Count(text, "?"))))
		}
		clear(sent)
		defer func() { plans = nil }()
		return plans
	}}
}

// schemaStatement matches statements without a plan: an import creates temporary tables.
var schemaStatement = regexp.MustCompile("^(CREATE|DROP|ANALYZE) ")

// sqliteStep matches the step of a plan that reads a table: SEARCH apps USING INDEX apps_by_name (client_id=?)
var sqliteStep = regexp.MustCompile(`^(SCAN|SEARCH) (\S+)(?: USING (?:COVERING )?(?:INDEX (\S+)|(?:INTEGER )?PRIMARY KEY))?(?: \((.*)\))?`)

func sqlitePlan(t *testing.T, db queryer, text string, args []any) plan {
	p := plan{sql: text}
	rows, err := db.QueryContext(context.WithoutCancel(t.Context()), "EXPLAIN QUERY PLAN "+p.sql, slices.Clone(args)...)
	if err != nil {
		t.Errorf("%s: %v", p.sql, err)
		return p
	}
	defer func() { _ = rows.Close() }()
	inner := map[string]bool{} // names of subqueries whose rows the statement reads
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Errorf("%s: %v", p.sql, err)
		}
		p.text += fmt.Sprintln(step)
		if kind, name, ok := strings.Cut(step, " "); ok && (kind == "CO-ROUTINE" || kind == "MATERIALIZE") {
			inner[name] = true
		}
		if m := sqliteStep.FindStringSubmatch(step); m != nil && (m[1] == "SEARCH" || !inner[m[2]]) {
			r := read{table: m[2], index: m[3]}
			// ANY(client_id) reads the rows of each client in turn.
			if m[1] == "SEARCH" && !strings.Contains(m[4], "ANY(client_id)") {
				r.condition = m[4]
			}
			if r.index == "" && r.condition != "" {
				r.index = r.table + "_pkey" // its name in PostgreSQL
			}
			p.reads = append(p.reads, r)
		}
		if strings.Contains(step, "USE TEMP B-TREE FOR") && strings.Contains(step, "ORDER BY") {
			p.sorted = unknownRows
		}
	}
	if err := rows.Err(); err != nil {
		t.Errorf("%s: %v", p.sql, err)
	}
	return p
}
