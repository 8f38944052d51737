package shell

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/rivo/uniseg"

	"github.com/clientapps/clientapps/operations"
)

// column is a value of an item: its path of names.
type column []string

func (c column) name() string { return strings.Join(c, ".") }

func names(columns []column) (all []string) {
	for _, c := range columns {
		all = append(all, c.name())
	}
	return all
}

// columnsOf returns a column for each property of a schema that is no object, and those of its objects. The id comes first.
func columnsOf(schema *openapi3.Schema) (all []column) {
	properties := operations.Properties(schema)
	slices.SortStableFunc(properties, func(a, b operations.Property) int {
		rank := func(p operations.Property) int {
			if p.Name == "id" {
				return 0
			}
			return 1
		}
		return rank(a) - rank(b)
	})
	for _, p := range properties {
		if operations.Type(p.Schema) != openapi3.TypeObject || len(operations.Properties(p.Schema)) == 0 {
			all = append(all, column{p.Name})
			continue
		}
		for _, inner := range columnsOf(p.Schema) {
			all = append(all, append(column{p.Name}, inner...))
		}
	}
	return all
}

// byImportance orders columns for a reader whose terminal may have no room for all: the id, names, the item's own values, and then
// those of its objects and the times.
func byImportance(columns []column) []column {
	rank := func(c column) int {
		last := c[len(c)-1]
		switch {
		case len(c) == 1 && last == "id":
			return 0
		case len(c) <= 2 && (last == "name" || strings.HasSuffix(last, "_name")):
			return len(c)
		case len(c) == 1 && !strings.HasSuffix(last, "_at"):
			return 3
		case !strings.HasSuffix(last, "_at"):
			return 4
		}
		return 5
	}
	return slices.SortedStableFunc(slices.Values(columns), func(a, b column) int { return rank(a) - rank(b) })
}

// cell is a value as text. Null is empty; arrays and objects are JSON.
type cell struct {
	text   string
	isText bool // it is a string, and not a number or a boolean
}

func cellsOf(columns []column, item json.RawMessage) ([]cell, error) {
	d := json.NewDecoder(bytes.NewReader(item))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	cells := make([]cell, len(columns))
	for i, c := range columns {
		var v any = object
		for _, name := range c {
			inner, _ := v.(map[string]any) // null has no values
			v = inner[name]
		}
		cells[i] = cellOf(v)
	}
	return cells, nil
}

func cellOf(v any) cell {
	switch v := v.(type) {
	case nil:
		return cell{}
	case string:
		return cell{v, true}
	case map[string]any, []any:
		text, _ := json.Marshal(v) // it came from JSON
		return cell{string(text), true}
	}
	return cell{fmt.Sprint(v), false}
}

const (
	// maxCell and minCell bound the width of a column of a table.
	maxCell = 40
	minCell = 8
	// columnGap is between two columns.
	columnGap = 2
)

// tableList prints a table for people: as many columns as the terminal has room for, with shortened values. Columns without any
// value are left out.
type tableList struct {
	w             io.Writer
	width         int // of the terminal; 0: no bound
	columns       []column
	rows          [][]string
	headerPrinted bool
	widths        []int // once the header is printed
	shown         []int
}

func (l *tableList) add(items []json.RawMessage) error {
	for _, item := range items {
		cells, err := cellsOf(l.columns, item)
		if err != nil {
			return err
		}
		row := make([]string, len(cells))
		for i, c := range cells {
			row[i] = shorten(strings.ReplaceAll(printable(c.text), "\n", " "), maxCell)
		}
		l.rows = append(l.rows, row)
	}
	return l.flush()
}

func (l *tableList) end([]byte) error {
	if !l.headerPrinted && len(l.rows) == 0 {
		_, err := fmt.Fprintln(l.w, "Nothing.")
		return err
	}
	return l.flush()
}

// flush prints the rows that wait, below the header.
func (l *tableList) flush() error {
	if len(l.rows) == 0 {
		return nil
	}
	var b strings.Builder
	if !l.headerPrinted {
		l.headerPrinted = true
		l.chooseColumns()
		l.writeRow(&b, names(l.columns))
	}
	for _, row := range l.rows {
		l.writeRow(&b, row)
	}
	l.rows = nil
	_, err := io.WriteString(l.w, b.String())
	return err
}

// chooseColumns decides by the first rows which columns are shown, and how wide.
func (l *tableList) chooseColumns() {
	remaining := l.width
	for i, name := range names(l.columns) {
		width := 0
		for _, row := range l.rows {
			width = max(width, uniseg.StringWidth(row[i]))
		}
		if width == 0 {
			continue
		}
		width = min(max(width, uniseg.StringWidth(name), minCell), maxCell)
		if l.width > 0 && len(l.shown) > 0 && remaining < width {
			break
		}
		remaining -= width + columnGap
		l.shown, l.widths = append(l.shown, i), append(l.widths, width)
	}
}

func (l *tableList) writeRow(b *strings.Builder, row []string) {
	var line strings.Builder
	for k, i := range l.shown {
		text := shorten(row[i], l.widths[k])
		line.WriteString(text + strings.Repeat(" ", l.widths[k]-uniseg.StringWidth(text)+columnGap))
	}
	b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}

// printRecord prints one object: a line for each value, and its entity tag, which --if-match takes.
func (c *call) printRecord(text []byte, header http.Header) error {
	columns := byImportance(c.itemColumns())
	cells, err := cellsOf(columns, text)
	if err != nil {
		return err
	}
	longest := 0
	for _, column := range columns {
		longest = max(longest, len(column.name()))
	}
	var b strings.Builder
	for i, column := range columns {
		fmt.Fprintf(&b, "%-*s  %s\n", longest, column.name(), strings.ReplaceAll(printable(cells[i].text), "\n", " "))
	}
	if tag := header.Get("ETag"); tag != "" {
		fmt.Fprintf(&b, "%-*s  %s\n", longest, "ETag", printable(tag))
	}
	_, err = io.WriteString(c.Stdout, b.String())
	return err
}

// shorten cuts a text that is wider than most columns of a terminal.
func shorten(text string, maxWidth int) string {
	if uniseg.StringWidth(text) <= maxWidth {
		return text
	}
	var b strings.Builder
	width := 1 // the dots
	for g := uniseg.NewGraphemes(text); g.Next(); {
		if width += g.Width(); width > maxWidth {
			break
		}
		b.WriteString(g.Str())
	}
	return b.String() + "…"
}
