package shell

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// ndjsonList prints a line of JSON for each item.
type ndjsonList struct{ w io.Writer }

func (l ndjsonList) add(items []json.RawMessage) error {
	var b bytes.Buffer
	for _, item := range items {
		if err := json.Compact(&b, item); err != nil {
			return err
		}
		b.WriteByte('\n')
	}
	_, err := l.w.Write(b.Bytes())
	return err
}

func (ndjsonList) end([]byte) error { return nil }

// jsonList prints one page that has the items of all pages, and the other members of the last one.
type jsonList struct {
	w       io.Writer
	started bool
}

func (l *jsonList) add(items []json.RawMessage) error {
	var b bytes.Buffer
	if !l.started {
		b.WriteString(`{"data":[`)
	}
	for _, item := range items {
		if l.started || b.Len() > len(`{"data":[`) {
			b.WriteByte(',')
		}
		l.started = true
		if err := json.Compact(&b, item); err != nil {
			return err
		}
	}
	_, err := l.w.Write(b.Bytes())
	return err
}

func (l *jsonList) end(lastPage []byte) error {
	var others map[string]json.RawMessage
	if err := json.Unmarshal(lastPage, &others); err != nil {
		return err
	}
	delete(others, data)
	text, err := json.Marshal(others)
	if err != nil {
		return err
	}
	rest := "]" + strings.TrimPrefix(string(text), "{")
	if len(others) > 0 {
		rest = "]," + strings.TrimPrefix(string(text), "{")
	}
	_, err = fmt.Fprintln(l.w, rest)
	return err
}

// csvList prints a header and a row for each item (RFC 4180).
type csvList struct {
	w       *csv.Writer
	columns []column
	started bool
}

func newCSVList(w io.Writer, columns []column) *csvList {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	return &csvList{w: c, columns: columns}
}

func (l *csvList) add(items []json.RawMessage) error {
	if !l.started {
		l.started = true
		if err := l.w.Write(names(l.columns)); err != nil {
			return err
		}
	}
	for _, item := range items {
		cells, err := cellsOf(l.columns, item)
		if err != nil {
			return err
		}
		row := make([]string, len(cells))
		for i, c := range cells {
			row[i] = c.text
			// No spreadsheet is to take a text for a formula.
			if c.isText && c.text != "" && strings.ContainsRune("=+-@'\t\r", rune(c.text[0])) {
				row[i] = "'" + c.text
			}
		}
		if err := l.w.Write(row); err != nil {
			return err
		}
	}
	l.w.Flush()
	return l.w.Error()
}

func (l *csvList) end([]byte) error {
	l.w.Flush()
	return l.w.Error()
}
