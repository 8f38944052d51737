package rowfile

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
	"github.com/clientapps/clientapps/server/strictjson"
	"github.com/clientapps/clientapps/store"
)

// csvRows reads records of RFC 4180. The first record has the names of the columns.
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
	bounded  *boundedReader
	records  *csv.Reader
	nextLine int // line of the next record, if no blank line comes first
}

func newCSVFile(r io.Reader) *csvFile {
	f := &csvFile{bounded: &boundedReader{r: r}, nextLine: 1}
	in := bufio.NewReader(f.bounded)
	skipByteOrderMark(in)
	f.records = csv.NewReader(&crEscaper{r: in})
	f.records.ReuseRecord = true
	return f
}

// record reads one record and returns its first line. A RowError or a csv.ParseError is about that record. After a RowError the
// reader is exhausted.
func (f *csvFile) record() (cells []string, line int, err error) {
	f.bounded.read = 0
	cells, err = f.records.Read()
	unescapeCR(cells)
	malformed := (*csv.ParseError)(nil)
	switch {
	case errors.Is(err, errTooLong):
		err = &store.RowError{Line: f.nextLine, Message: tooLongMessage + ": is a closing quote missing?"}
	case errors.As(err, &malformed):
		f.nextLine = malformed.Line + 1
	case err == nil:
		last := len(cells) - 1
		f.nextLine, _ = f.records.FieldPos(last)
		f.nextLine += 1 + strings.Count(cells[last], "\n")
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
	field, problem := "", ""
	for i, column := range columns {
		switch {
		case !slices.Contains(rules.Columns(), column):
			field = strictjson.ShortName(column)
			problem = fmt.Sprintf("unknown column %q; known columns are %s", column, strings.Join(rules.Columns(), ", "))
		case slices.Contains(columns[:i], column):
			field, problem = column, "the column "+column+" occurs twice"
		}
	}
	if problem == "" && !slices.Contains(columns, "canonical_name") {
		field, problem = "canonical_name", "the column canonical_name is missing"
	}
	if problem != "" {
		return nil, &store.RowError{Line: line, Field: field, Message: problem}
	}
	return columns, nil
}

// row reads a row. Errors that only concern this row are among its problems.
func (f *csvFile) row(columns []string, rules *schemas.Rows) (parsedRow, error) {
	cells, line, err := f.record()
	if malformed := (*csv.ParseError)(nil); errors.As(err, &malformed) {
		problem := misplacedQuote
		if errors.Is(err, csv.ErrFieldCount) {
			problem = fmt.Sprintf("the row has %d cells, want %d", len(cells), len(columns))
		}
		return parsedRow{line: malformed.StartLine, problems: []schemas.Problem{{Message: problem}}}, nil
	}
	if err != nil {
		return parsedRow{}, err
	}
	row := parsedRow{line: line}
	row.fields, row.problems = parseCells(rules, columns, cells)
	return row, nil
}

const misplacedQuote = "the row has a quote in the wrong place"

// errTooLong is returned for a row that is longer than maxRow.
var errTooLong = errors.New(tooLongMessage)

// boundedReader fails after more than maxRow bytes since read was last set to 0. Bytes that a buffered reader has read ahead count
// too.
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
