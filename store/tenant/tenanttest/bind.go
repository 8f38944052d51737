package tenanttest

import (
	"fmt"
	"slices"
)

// sqlBody has the clauses of a SELECT, INSERT, UPDATE or DELETE that the check uses.
type sqlBody struct {
	inserts bool
	target  []sqlNode // the table that is written
	set     []sqlNode
	from    []sqlNode
	where   []sqlNode // the condition, and all clauses after it
}

// bodyOf parses the clauses after WITH.
func bodyOf(nodes []sqlNode) (sqlBody, error) {
	first := slices.IndexFunc(nodes, func(n sqlNode) bool { return n.is("select", "insert", "update", "delete") })
	if first < 0 || first > 0 && !nodes[0].is("with", "all", "distinct") {
		return sqlBody{}, errUnclear
	}
	switch nodes = nodes[first:]; nodes[0].text {
	case "insert":
		return insertBody(nodes)
	case "update":
		set := keyword(nodes, "set")
		from := keyword(nodes, "from", "where", "returning")
		if set < 0 || from < set {
			return sqlBody{}, errUnclear
		}
		b := readBody(nodes[from:])
		b.target, b.set = nodes[1:set], nodes[set:from]
		return b, b.keepsClient()
	case "delete":
		if len(nodes) < 2 || !nodes[1].is("from") {
			return sqlBody{}, errUnclear
		}
		return readBody(nodes[1:]), nil // USING lists further tables
	}
	return readBody(nodes), nil
}

// readBody parses FROM and the clauses after it.
func readBody(nodes []sqlNode) sqlBody {
	var b sqlBody
	if from := keyword(nodes, "from"); from >= 0 {
		b.from = nodes[from+1:]
		if end := slices.IndexFunc(b.from, func(n sqlNode) bool { return n.is(afterFrom...) }); end >= 0 {
			b.from = b.from[:end]
		}
	}
	if where := keyword(nodes, "where"); where >= 0 {
		b.where = nodes[where+1:]
	}
	return b
}

var afterWhere = []string{"group", "having", "window", "order", "limit", "offset", "fetch", "for", "returning"}

var afterFrom = append([]string{"where"}, afterWhere...)

// keyword returns the index of the first of the words, or -1. It skips the FROM of IS DISTINCT FROM.
func keyword(nodes []sqlNode, words ...string) int {
	for i, n := range nodes {
		distinct := i >= 2 && n.is("from") && nodes[i-1].is("distinct") && nodes[i-2].is("is", "not")
		if n.is(words...) && !distinct {
			return i
		}
	}
	return -1
}

// insertBody checks that rows are inserted with client_id, and that ON CONFLICT can only update a row of the same client.
func insertBody(nodes []sqlNode) (sqlBody, error) {
	rows := keyword(nodes, "values", "select", "default")
	if rows < 3 || !nodes[1].is("into") {
		return sqlBody{}, errUnclear
	}
	columns := nodes[rows-1]
	if nodes[rows].is("select") {
		return sqlBody{}, errUnclear
	}
	if columns.kind != sqlGroup || !hasClient(columns.group) || nodes[rows].is("default") {
		return sqlBody{}, fmt.Errorf("rows come without %s", clientColumn)
	}
	b := sqlBody{inserts: true, target: nodes[2 : rows-1]}
	if set := keyword(nodes, "set"); set >= 0 {
		conflict := keyword(nodes, "conflict")
		if conflict < 0 || conflict > set || nodes[conflict+1].kind != sqlGroup || !hasClient(nodes[conflict+1].group) ||
			keyword(nodes[conflict+1:], "conflict") >= 0 {
			return sqlBody{}, fmt.Errorf("the conflict can be one with another %s", clientColumn)
		}
		b.set = nodes[set:]
	}
	return b, b.keepsClient()
}

// keepsClient returns an error if the statement assigns client_id.
func (b sqlBody) keepsClient() error {
	for i, n := range b.set {
		start := i > 0 && (b.set[i-1].is("set") || b.set[i-1].isSymbol(","))
		if n.kind <= sqlName && n.text == clientColumn && i+1 < len(b.set) && b.set[i+1].isSymbol("=") ||
			start && n.kind == sqlGroup && hasClient(n.group) {
			return fmt.Errorf("%s is assigned", clientColumn)
		}
	}
	return nil
}

func hasClient(nodes []sqlNode) bool {
	return slices.ContainsFunc(nodes, func(n sqlNode) bool { return n.kind <= sqlName && n.text == clientColumn })
}

// bind returns the names of the tables that are limited to one client, including outer, or an error that names a table that is not.
func (b sqlBody) bind(refs []reference, outer []string) ([]string, error) {
	bound, lists := outer, listedColumns(b.from)
	unbound := slices.DeleteFunc(slices.Clone(refs), func(r reference) bool { return r.inserted })
	for progress := true; progress; {
		progress = false
		unbound = slices.DeleteFunc(unbound, func(r reference) bool {
			binds := func(conjunct []sqlNode) bool { return r.boundBy(conjunct, len(refs) == 1, bound, lists) }
			if !anyConjunct(b.where, binds) && !anyConjunct(r.on, binds) {
				return false
			}
			bound, progress = append(slices.Clone(bound), r.name), true
			return true
		})
	}
	if len(unbound) > 0 {
		return nil, fmt.Errorf("%s: no condition on %s", unbound[0].table, clientColumn)
	}
	return bound, nil
}

// boundBy reports whether the condition compares client_id with a value, with the client_id of a limited table, or with a column of a list
// of values. The name of the table must precede client_id, unless it is the only table.
func (r reference) boundBy(conjunct []sqlNode, onlyTable bool, bound, lists []string) bool {
	name, rest := columnOf(conjunct)
	if len(rest) < 2 || !rest[0].isSymbol("=") || name != r.name && (name != "" || !onlyTable) {
		return false
	}
	if rest = rest[1:]; rest[0].kind == sqlValue {
		cast := rest[1:]
		return len(cast) == 0 || len(cast) == 3 && cast[0].isSymbol(":") && cast[1].isSymbol(":") && cast[2].is("uuid")
	}
	if len(rest) == 1 && rest[0].kind <= sqlName && slices.Contains(lists, rest[0].text) {
		return true
	}
	other, rest := columnOf(rest)
	return rest != nil && len(rest) == 0 && slices.Contains(bound, other)
}

// listedColumns returns the columns of unnest(values) AS name (columns), if all values are parameters.
func listedColumns(from []sqlNode) []string {
	var columns []string
	for i := range from {
		if !from[i].is("unnest") || i+1 == len(from) || !onlyValues(from[i+1].group) {
			continue
		}
		rest := from[i+2:]
		if len(rest) > 1 && rest[0].is("with") && rest[1].is("ordinality") {
			rest = rest[2:]
		}
		if len(rest) < 3 || !rest[0].is("as") || rest[2].kind != sqlGroup {
			continue
		}
		for _, n := range rest[2].group {
			if n.kind <= sqlName && n.text != clientColumn {
				columns = append(columns, n.text)
			}
		}
	}
	return columns
}

// onlyValues reports whether all nodes are parameters with types, as in $1::uuid[], $2::text[].
func onlyValues(nodes []sqlNode) bool {
	for i, n := range nodes {
		isType := i > 1 && n.kind == sqlWord && nodes[i-1].isSymbol(":") && nodes[i-2].isSymbol(":")
		if n.kind != sqlValue && !isType && !n.isSymbol(":") && !n.isSymbol(",") && !n.isSymbol("[") && !n.isSymbol("]") {
			return false
		}
	}
	return len(nodes) > 0
}

// columnOf parses client_id or name.client_id. rest is nil if the nodes begin with neither.
func columnOf(nodes []sqlNode) (name string, rest []sqlNode) {
	is := func(i int) bool { return nodes[i].kind <= sqlName && nodes[i].text == clientColumn }
	switch {
	case len(nodes) >= 1 && is(0):
		return "", nodes[1:len(nodes):len(nodes)]
	case len(nodes) >= 3 && nodes[0].kind <= sqlName && nodes[1].isSymbol(".") && is(2):
		return nodes[0].text, nodes[3:len(nodes):len(nodes)]
	}
	return "", nil
}

// anyConjunct reports whether holds is true for a conjunct of the condition. It is conservative: any OR, BETWEEN or CASE disqualifies the
// condition.
func anyConjunct(condition []sqlNode, holds func([]sqlNode) bool) bool {
	if slices.ContainsFunc(condition, func(n sqlNode) bool { return n.is("or", "between", "case") }) {
		return false
	}
	if end := slices.IndexFunc(condition, func(n sqlNode) bool { return n.is(afterWhere...) }); end >= 0 {
		condition = condition[:end]
	}
	for start, at := 0, 0; at <= len(condition); at++ {
		if at < len(condition) && !condition[at].is("and") {
			continue
		}
		conjunct := condition[start:at]
		start = at + 1
		if len(conjunct) == 1 && conjunct[0].kind == sqlGroup {
			if anyConjunct(conjunct[0].group, holds) {
				return true
			}
		} else if holds(conjunct) {
			return true
		}
	}
	return false
}
