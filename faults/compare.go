package faults

import (
	"context"
	"database/sql"
	"fmt"
)

// Comparison is the result of comparing a ledger with the database.
type Comparison struct {
	Lost             int      // acknowledged, but missing or incomplete
	WronglyCommitted int      // refused, but committed
	CommittedTwice   int      // committed more than once
	Unknown          int      // committed, but in no ledger
	CommittedInDoubt int      // in doubt, and committed
	MismatchedRows   int      // that disagree with their history
	Problems         []string // at most 20
}

// HasErrors reports whether the database contradicts what clients were told.
func (c *Comparison) HasErrors() bool {
	return c.Lost+c.WronglyCommitted+c.CommittedTwice+c.Unknown+c.MismatchedRows+len(c.Problems) > 0
}

func (c *Comparison) problem(format string, args ...any) {
	if c.Problems = append(c.Problems, fmt.Sprintf(format, args...)); len(c.Problems) > 20 {
		c.Problems = c.Problems[:20]
	}
}

// Compare compares the ledger with the history and the row of every app. Nothing may write to the database meanwhile. Others are
// ledgers of the same database.
func (l *Ledger) Compare(ctx context.Context, fixture *Fixture, others ...*Ledger) (*Comparison, error) {
	db, err := fixture.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	c := &Comparison{}
	found, states, err := readHistory(ctx, db, c)
	if err != nil {
		return nil, err
	}
	if err := compareRows(ctx, db, states, c); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, e := range l.entries {
		e.compare(id, found[id], c)
		delete(found, id)
	}
	for _, other := range others {
		if other != l {
			other.removeFrom(found)
		}
	}
	for id := range found {
		c.Unknown++
		c.problem("%s: in the history, but never sent", id)
	}
	return c, nil
}

// removeFrom removes the ledger's own writes from those found.
func (l *Ledger) removeFrom(found map[string]requestChanges) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.entries {
		delete(found, id)
	}
}

// requestChanges has the changes of one request in the history.
type requestChanges struct {
	entry Entry
	other bool // the changes differ in field or value
}

func (e Entry) compare(id string, changes requestChanges, c *Comparison) {
	n := changes.entry.Changes
	switch {
	case n > e.Changes:
		c.CommittedTwice++
		c.problem("%s: made %d changes instead of %d", id, n, e.Changes)
	case n > 0 && (changes.other || changes.entry.Value != e.Value || n < e.Changes):
		c.Lost++
		c.problem("%s: incomplete: %+v instead of %+v", id, changes, e)
	case n == 0 && e.Outcome == Acknowledged:
		c.Lost++
		c.problem("%s: acknowledged, but missing: %+v", id, e)
	case n > 0 && e.Outcome == Refused:
		c.WronglyCommitted++
		c.problem("%s: refused, but committed: %+v", id, e)
	case n > 0 && e.Outcome == InDoubt:
		c.CommittedInDoubt++
	}
}

// state is an app as its history describes it.
type state struct {
	version                      int
	licenses, favorite, approved string
}

// readHistory replays every change, and checks that its old value is the new value of the previous change.
func readHistory(ctx context.Context, db *sql.DB, c *Comparison) (map[string]requestChanges, map[App]*state, error) {
	rows, err := db.QueryContext(ctx, `SELECT client_id, app_id, version, field, old_value, new_value, request_id FROM app_changes
		WHERE field NOT IN ('client', 'client_name', 'client_status') ORDER BY client_id, app_id, version, field`)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = rows.Close() }()
	found, states := map[string]requestChanges{}, map[App]*state{}
	for rows.Next() {
		var app App
		var version int
		var field, before, after, request string
		if err := rows.Scan(&app.Client, &app.ID, &version, &field, &before, &after, &request); err != nil {
			return nil, nil, err
		}
		s := states[app]
		if s == nil {
			s = &state{licenses: "null", favorite: "false", approved: "false"}
			states[app] = s
		}
		if version != s.version && version != s.version+1 {
			c.problem("%v: version %d follows %d", app, version, s.version)
		}
		s.version = version
		if field == "app" {
			continue // the import added the app
		}
		value := map[string]*string{"license_count": &s.licenses, "is_favorite": &s.favorite, "is_approved": &s.approved}[field]
		if *value != before {
			c.problem("%v: version %d changes %s from %s, but it was %s", app, version, field, before, *value)
		}
		*value = after
		if field != "is_favorite" { // some patches of license_count also change is_favorite
			m := found[request]
			m.other = m.entry.Changes > 0 && (m.entry.Field != field || m.entry.Value != after)
			m.entry = Entry{Field: field, Value: after, Changes: m.entry.Changes + 1}
			found[request] = m
		}
	}
	return found, states, rows.Err()
}

// compareRows checks that every app agrees with its history.
func compareRows(ctx context.Context, db *sql.DB, states map[App]*state, c *Comparison) error {
	rows, err := db.QueryContext(ctx, `SELECT client_id, id, version, coalesce(CAST(license_count AS text), 'null'),
		CASE WHEN is_favorite THEN 'true' ELSE 'false' END, CASE WHEN is_approved THEN 'true' ELSE 'false' END FROM apps`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	seen := 0
	for rows.Next() {
		var app App
		var row state
		if err := rows.Scan(&app.Client, &app.ID, &row.version, &row.licenses, &row.favorite, &row.approved); err != nil {
			return err
		}
		seen++
		if s := states[app]; s == nil || *s != row {
			c.MismatchedRows++
			c.problem("%v is %+v but its history ends with %+v", app, row, s)
		}
	}
	if seen != len(states) {
		c.problem("there are %d apps but %d histories", seen, len(states))
	}
	return rows.Err()
}
