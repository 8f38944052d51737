// Package tenanttest reads SQL statements in tests and finds those that are not limited to the rows of one client.
package tenanttest

import "strings"

// Check reports whether the text of a statement names one of the tables, all of which have the column client_id, and returns an
// error when it does not limit such a table to one client.
//
// A table is limited when rows are inserted with their client, or when the WHERE of the SELECT, UPDATE or DELETE that names it, or
// the ON of its own JOIN, compares its client_id with a value, or with the client_id of a table that is limited, in a condition that
// must be true. Check is conservative: a statement that it cannot follow is an error.
func Check(text string, tables []string) (names bool, err error) {
	lower := strings.ToLower(text)
	for _, table := range tables {
		names = names || strings.Contains(lower, table)
	}
	if !names {
		return false, nil
	}
	nodes, err := parseSQL(lower)
	if err != nil {
		return true, err
	}
	names = false // a longer name may contain the name of a table
	for _, table := range tables {
		names = names || declares(nodes, table)
	}
	return names, scopeChecker{tables}.statement(nodes, nil)
}
