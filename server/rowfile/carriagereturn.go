package rowfile

import (
	"io"
	"strings"
)

// encoding/csv reads CRLF in a quoted cell as LF. So crEscaper replaces CR in such cells by escapedCR, and unescapeCR restores it. A
// byte of the file that equals escapedCR becomes replaced0xFF. Neither byte occurs in UTF-8, so the cell is refused all the same.
const (
	escapedCR    = 0xff
	replaced0xFF = 0xfe
)

// crEscaper reads a CSV file and escapes CR in quoted cells. It finds quotes as encoding/csv does, which skips to the next line after a
// misplaced quote.
type crEscaper struct {
	r     io.Reader
	state csvState
}

type csvState int8

const (
	cellStart csvState = iota
	inPlainCell
	inQuotedCell
	afterQuote // the end of the cell, or the first of two quotes
	inBadLine
)

func (e *crEscaper) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	for i, c := range p[:n] {
		switch {
		case c == escapedCR:
			p[i] = replaced0xFF
		case c == '\r' && e.state == inQuotedCell:
			p[i] = escapedCR
		}
		e.state = e.state.next(c)
	}
	return n, err
}

func (state csvState) next(c byte) csvState {
	switch {
	case state == inQuotedCell && c == '"':
		return afterQuote
	case state == inQuotedCell:
		return inQuotedCell
	case c == '\n', c == ',' && state != inBadLine:
		return cellStart
	case c == '"' && (state == cellStart || state == afterQuote):
		return inQuotedCell
	case state == afterQuote && c == '\r':
		return afterQuote // of CRLF, or encoding/csv refuses the line
	case state == afterQuote, state == inBadLine, c == '"':
		return inBadLine
	}
	return inPlainCell
}

// unescapeCR puts CR back into the cells.
func unescapeCR(cells []string) {
	for i, cell := range cells {
		if strings.IndexByte(cell, escapedCR) >= 0 {
			cells[i] = strings.ReplaceAll(cell, string([]byte{escapedCR}), "\r")
		}
	}
}
