package rowfile

import (
	"io"
	"strings"
)

// encoding/csv reads CRLF in a quoted cell as LF. Between it and the file these bytes stand for CR in such cells, and for the first
// of them in the file. Neither can be a part of UTF-8, so that the second one is refused like the first would be.
const (
	hiddenCR    = 0xff
	instead0xFF = 0xfe
)

// hideCR is a reader of a CSV file that hides CR in quoted cells. It finds quotes as encoding/csv does, which goes on in the next line
// when a quote is in the wrong place.
type hideCR struct {
	r  io.Reader
	at csvState
}

type csvState int8

const (
	cellStart csvState = iota
	inPlainCell
	inQuotedCell
	behindQuote // the end of the cell, or the first of two quotes
	inBadLine
)

func (h *hideCR) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	for i, c := range p[:n] {
		switch {
		case c == hiddenCR:
			p[i] = instead0xFF
		case c == '\r' && h.at == inQuotedCell:
			p[i] = hiddenCR
		}
		h.at = h.at.next(c)
	}
	return n, err
}

func (at csvState) next(c byte) csvState {
	switch {
	case at == inQuotedCell && c == '"':
		return behindQuote
	case at == inQuotedCell:
		return inQuotedCell
	case c == '\n', c == ',' && at != inBadLine:
		return cellStart
	case c == '"' && (at == cellStart || at == behindQuote):
		return inQuotedCell
	case at == behindQuote && c == '\r':
		return behindQuote // of CRLF, or encoding/csv refuses the line
	case at == behindQuote, at == inBadLine, c == '"':
		return inBadLine
	}
	return inPlainCell
}

// shownCR puts CR back into the cells.
func shownCR(cells []string) {
	for i, cell := range cells {
		if strings.IndexByte(cell, hiddenCR) >= 0 {
			cells[i] = strings.ReplaceAll(cell, string([]byte{hiddenCR}), "\r")
		}
	}
}
