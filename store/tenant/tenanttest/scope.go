package tenanttest

import (
	"fmt"
	"slices"
)

// clientColumn is the column that limits a table to one client.
const clientColumn = "client_id"

type scopeChecker struct{ tables []string }

// statement checks a statement or a group in parentheses, including nested groups. outer are the limited tables of the enclosing
// statement.
func (w scopeChecker) statement(nodes []sqlNode, outer []string) error {
	for start, at := 0, 0; at <= len(nodes); at++ {
		if at == len(nodes) || nodes[at].is("union", "intersect", "except") {
			if err := w.part(nodes[start:at], outer); err != nil {
				return err
			}
			start = at + 1
		}
	}
	return nil
}

// part checks a statement without UNION, or one side of a UNION.
func (w scopeChecker) part(nodes []sqlNode, outer []string) error {
	var bound []string
	for _, name := range outer {
		if !declares(nodes, name) {
			bound = append(bound, name)
		}
	}
	if table, times := w.countTables(nodes); times > 0 {
		body, err := bodyOf(nodes)
		if err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
		refs := w.references(body)
		if len(refs) != times {
			return fmt.Errorf("%s: %w", table, errUnclear)
		}
		if bound, err = body.bind(refs, bound); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if n.kind == sqlGroup {
			if err := w.statement(n.group, bound); err != nil {
				return err
			}
		}
	}
	return nil
}

// countTables counts the names of per-client tables, except those before a column and after FOR UPDATE OF.
func (w scopeChecker) countTables(nodes []sqlNode) (table string, times int) {
	for i := range nodes {
		if w.isTable(nodes, i) && (i == 0 || !nodes[i-1].is("of")) {
			table = nodes[i].text
			times++
		}
	}
	return table, times
}

func (w scopeChecker) isTable(nodes []sqlNode, i int) bool {
	return slices.ContainsFunc(w.tables, nodes[i].isNamed) && !qualifies(nodes, i)
}

// qualifies reports whether a dot follows the name.
func qualifies(nodes []sqlNode, i int) bool { return i+1 < len(nodes) && nodes[i+1].isSymbol(".") }

// declares reports whether the nodes name a table, or an alias of one, with this name.
func declares(nodes []sqlNode, name string) bool {
	for i, n := range nodes {
		if n.kind == sqlGroup && declares(n.group, name) || n.isNamed(name) && !qualifies(nodes, i) {
			return true
		}
	}
	return false
}

// reference is a place where a statement reads or writes a per-client table.
type reference struct {
	table    string
	name     string    // the name or alias before its columns
	on       []sqlNode // the condition of its own join
	inserted bool      // rows are inserted, with client_id
}

// references returns the per-client tables of a statement.
func (w scopeChecker) references(b sqlBody) []reference {
	var refs []reference
	if len(b.target) > 0 {
		refs = w.tablesIn(b.target)
		for i := range refs {
			refs[i].inserted = b.inserts
		}
	}
	return append(refs, w.tablesIn(b.from)...)
}

// tablesIn returns the per-client tables in a list of tables with joins.
func (w scopeChecker) tablesIn(from []sqlNode) []reference {
	// The ON of a RIGHT or FULL JOIN limits nothing: the join keeps rows that do not match. ON is also ignored where LEFT or RIGHT may be a
	// function, since that name would seem to end the condition.
	ignoreOn := slices.ContainsFunc(from, func(n sqlNode) bool { return n.is("right", "full") })
	for i, n := range from {
		ignoreOn = ignoreOn || n.is("left") && i+1 < len(from) && from[i+1].kind == sqlGroup
	}
	var refs []reference
	for i, n := range from {
		if !w.isTable(from, i) {
			continue
		}
		first := i
		if i >= 2 && from[i-1].isSymbol(".") {
			first = i - 2 // the name of a schema
		}
		if first > 0 && !from[first-1].isSymbol(",") && !from[first-1].is("join", "only", "using") {
			continue
		}
		r := reference{table: n.text, name: n.text}
		rest := from[i+1:]
		if len(rest) > 1 && rest[0].is("as") {
			r.name, rest = rest[1].text, rest[2:]
		} else if len(rest) > 0 && (rest[0].kind == sqlName || rest[0].kind == sqlWord && !rest[0].is(afterTable...)) {
			r.name, rest = rest[0].text, rest[1:]
		}
		if len(rest) > 0 && rest[0].is("on") && !ignoreOn {
			end := slices.IndexFunc(rest[1:], func(n sqlNode) bool { return n.isSymbol(",") || n.is(afterOn...) })
			if r.on = rest[1:]; end >= 0 {
				r.on = r.on[:end]
			}
		}
		refs = append(refs, r)
	}
	return refs
}

var afterOn = []string{"on", "join", "inner", "left", "cross", "natural"}

// afterTable are the words that can follow a table and are not its alias.
var afterTable = []string{
	"on", "join", "inner", "left", "right", "full", "outer", "cross", "natural", "using", "tablesample", "indexed", "not",
}
