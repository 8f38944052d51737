package tenanttest

import (
	"errors"
	"strings"
)

// errUnclear means that the check cannot parse a statement.
var errUnclear = errors.New("its text is not clear")

// sqlNode is a token of a statement, or a group of nodes in parentheses.
type sqlNode struct {
	kind  sqlKind
	text  string // in lower case; without its quotes
	group []sqlNode
}

type sqlKind byte

const (
	sqlWord   sqlKind = iota // a keyword or a name
	sqlName                  // a quoted name
	sqlValue                 // a parameter or a quoted text
	sqlSymbol                // an operator, a number or a separator
	sqlGroup
)

// is reports whether the node is one of these keywords.
func (n sqlNode) is(words ...string) bool {
	if n.kind != sqlWord {
		return false
	}
	for _, w := range words {
		if n.text == w {
			return true
		}
	}
	return false
}

func (n sqlNode) isSymbol(text string) bool { return n.kind == sqlSymbol && n.text == text }

// isNamed reports whether the node can be this name. SQLite accepts even a quoted text as a name.
func (n sqlNode) isNamed(name string) bool {
	return n.text == name && n.kind != sqlSymbol && n.kind != sqlGroup
}

// parseSQL parses a statement into nodes. It refuses what the two databases would parse differently: comments, dollar-quoted texts, texts
// with a backslash, and more than one statement.
func parseSQL(text string) ([]sqlNode, error) {
	p := sqlParser{text: strings.ToLower(text)}
	nodes, err := p.nodes(0)
	if err != nil {
		return nil, err
	}
	if n := len(nodes); n > 0 && nodes[n-1].isSymbol(";") {
		nodes = nodes[:n-1]
	}
	for _, n := range nodes {
		if n.isSymbol(";") {
			return nil, errUnclear
		}
	}
	return nodes, nil
}

type sqlParser struct {
	text string
	at   int
}

// maxSQLDepth bounds the depth of nested parentheses.
const maxSQLDepth = 100

// nodes parses up to the end of the text or of the current group.
func (p *sqlParser) nodes(depth int) ([]sqlNode, error) {
	if depth > maxSQLDepth {
		return nil, errUnclear
	}
	var nodes []sqlNode
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			p.at++
		case c == '(':
			p.at++
			group, err := p.nodes(depth + 1)
			if err != nil {
				return nil, err
			}
			if p.at >= len(p.text) {
				return nil, errUnclear // not closed
			}
			p.at++
			nodes = append(nodes, sqlNode{kind: sqlGroup, group: group})
		case c == ')':
			if depth == 0 {
				return nil, errUnclear
			}
			return nodes, nil
		default:
			node, err := p.token(c)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, node)
		}
	}
	return nodes, nil
}

func (p *sqlParser) token(c byte) (sqlNode, error) {
	switch {
	case c == '\'':
		return p.quoted(sqlValue, c)
	case c == '"' || c == '`':
		return p.quoted(sqlName, c)
	case c == '$' || c == '?':
		p.at++
		digits := p.take(digit)
		if c == '$' && digits == "" || p.at < len(p.text) && letter(p.text[p.at]) {
			return sqlNode{}, errUnclear
		}
		return sqlNode{kind: sqlValue, text: string(c) + digits}, nil
	case digit(c):
		return sqlNode{kind: sqlSymbol, text: p.take(func(c byte) bool { return digit(c) || letter(c) || c == '.' })}, nil
	case letter(c):
		return sqlNode{kind: sqlWord, text: p.take(func(c byte) bool { return digit(c) || letter(c) || c == '$' })}, nil
	case operator(c):
		text := p.take(operator)
		if strings.Contains(text, "--") || strings.Contains(text, "/*") {
			return sqlNode{}, errUnclear
		}
		return sqlNode{kind: sqlSymbol, text: text}, nil
	case strings.IndexByte(",.;:[]", c) >= 0:
		p.at++
		return sqlNode{kind: sqlSymbol, text: string(c)}, nil
	}
	return sqlNode{}, errUnclear
}

func (p *sqlParser) quoted(kind sqlKind, quote byte) (sqlNode, error) {
	start := p.at + 1
	for p.at++; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '\\':
			return sqlNode{}, errUnclear
		case quote:
			text := p.text[start:p.at]
			if p.at++; p.at < len(p.text) && p.text[p.at] == quote {
				return sqlNode{}, errUnclear // a quote in quotes
			}
			return sqlNode{kind: kind, text: text}, nil
		}
	}
	return sqlNode{}, errUnclear
}

func (p *sqlParser) take(of func(byte) bool) string {
	start := p.at
	for p.at < len(p.text) && of(p.text[p.at]) {
		p.at++
	}
	return p.text[start:p.at]
}

func digit(c byte) bool    { return '0' <= c && c <= '9' }
func letter(c byte) bool   { return 'a' <= c && c <= 'z' || c == '_' || c >= 0x80 }
func operator(c byte) bool { return strings.IndexByte("<>=!~|&#%^+-*/@", c) >= 0 }
