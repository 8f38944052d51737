package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/store"
)

// csvRows reads records after RFC 4180. The first one names the columns.
func csvRows(r io.Reader, rules *schemas.Rows) iter.Seq2[parsedRow, error] {
	return func(yield func(parsedRow, error) bool) {
		f := newCSVFile(r)
		columns, err := f.header(rules)
		for err == nil {
			var row parsedRow
			if row, err = f.row(columns, rules); err == nil && !yield(row, nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(parsedRow{}, err)
		}
	}
}

type csvFile struct {
	bounded *boundedReader
	records *csv.Reader
	next    int // the line that the next record begins on, but for blank lines
}

func newCSVFile(r io.Reader) *csvFile {
	f := &csvFile{bounded: &boundedReader{r: r}, next: 1}
	in := bufio.NewReader(f.bounded)
	skipByteOrderMark(in)
	f.records = csv.NewReader(in)
	f.records.ReuseRecord = true
	return f
}

// record reads one record and says where it begins. A RowError or a csv.ParseError speaks of that record; no other can be
// read after a RowError.
func (f *csvFile) record() (cells []string, line int, err error) {
	f.bounded.read = 0
	cells, err = f.records.Read()
	malformed := (*csv.ParseError)(nil)
	switch {
	case errors.Is(err, errTooLong):
		err = &store.RowError{Line: f.next, Message: tooLong + ": is there a quote that nobody closed?"}
	case errors.As(err, &malformed):
		f.next = malformed.Line + 1
	case err == nil:
		last := len(cells) - 1
		f.next, _ = f.records.FieldPos(last)
		f.next += 1 + strings.Count(cells[last], "\n")
		line, _ = f.records.FieldPos(0)
	}
	return cells, line, err
}

// header reads the names of the columns.
func (f *csvFile) header(rules *schemas.Rows) ([]string, error) {
	cells, line, err := f.record()
	malformed := (*csv.ParseError)(nil)
	switch {
	case errors.Is(err, io.EOF):
		return nil, &store.RowError{Line: 1, Message: "the names of the columns are missing"}
	case errors.As(err, &malformed):
		return nil, &store.RowError{Line: malformed.StartLine, Message: misplacedQuote}
	case err != nil:
		return nil, err
	}
	columns := slices.Clone(cells)
	problem := ""
	for i, column := range columns {
		switch {
		case !slices.Contains(rules.Columns(), column):
			problem = fmt.Sprintf("there is no column %q, only %s", column, strings.Join(rules.Columns(), ", "))
		case slices.Contains(columns[:i], column):
			problem = "the column " + column + " is there twice"
		}
	}
	if problem == "" && !slices.Contains(columns, "canonical_name") {
		problem = "the column canonical_name is missing"
	}
	if problem != "" {
		return nil, &store.RowError{Line: line, Message: problem}
	}
	return columns, nil
}

// row reads a row. What is wrong with it alone is one of its problems.
func (f *csvFile) row(columns []string, rules *schemas.Rows) (parsedRow, error) {
	cells, line, err := f.record()
	if malformed := (*csv.ParseError)(nil); errors.As(err, &malformed) {
		problem := misplacedQuote
		if errors.Is(err, csv.ErrFieldCount) {
			problem = fmt.Sprintf("the row has %d cells and not %d", len(cells), len(columns))
		}
		return parsedRow{line: malformed.StartLine, problems: []string{problem}}, nil
	}
	if err != nil {
		return parsedRow{}, err
	}
	row := parsedRow{line: line}
	row.fields, row.problems = rules.ParseCells(columns, cells)
	return row, nil
}

const misplacedQuote = "the row has a quote in the wrong place"

// errTooLong ends the reading of a row that is longer than maxRow.
var errTooLong = errors.New(tooLong)

// boundedReader refuses to go on when more than maxRow bytes are read before read is set back. What a reader behind it
// holds in its buffer counts too.
type boundedReader struct {
	r    io.Reader
	read int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.read > maxRow {
		return 0, errTooLong
	}
	n, err := b.r.Read(p)
	b.read += n
	return n, err
}
