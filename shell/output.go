package shell

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/clientapps/clientapps/operations"
)

// print writes one answer.
func (c *call) print(format string, text []byte, header http.Header) error {
	if format == formatJSON {
		return c.printJSON(text)
	}
	if c.isPaged() {
		var p page
		if err := json.Unmarshal(text, &p); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		list := c.newList(format)
		if err := list.add(p.Data); err != nil {
			return err
		}
		if err := list.end(text); err != nil {
			return err
		}
		if format == formatTable && p.NextCursor != nil && (p.HasMore == nil || *p.HasMore) {
			_, _ = fmt.Fprintln(c.Stderr, "There is more: --all fetches all pages.")
		}
		return nil
	}
	switch format {
	case formatNDJSON:
		var line bytes.Buffer
		if err := json.Compact(&line, text); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		line.WriteByte('\n')
		_, err := c.Stdout.Write(line.Bytes())
		return err
	case formatCSV:
		list := c.newList(format)
		if err := list.add([]json.RawMessage{text}); err != nil {
			return err
		}
		return list.end(nil)
	}
	return c.printRecord(text, header)
}

// printJSON writes an answer as it came, with a line feed at the end; for people, on several lines.
func (c *call) printJSON(text []byte) error {
	var b bytes.Buffer
	if c.Width == 0 {
		b.Write(bytes.TrimSpace(text))
	} else if err := json.Indent(&b, bytes.TrimSpace(text), "", "  "); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	b.WriteByte('\n')
	_, err := c.Stdout.Write(b.Bytes())
	return err
}

// list prints the items of a list, as they come.
type list interface {
	add(items []json.RawMessage) error
	end(lastPage []byte) error
}

func (c *call) newList(format string) list {
	switch {
	case format == formatJSON && !c.follow:
		return &jsonList{w: c.Stdout}
	case format == formatCSV:
		return newCSVList(c.Stdout, c.itemColumns())
	case format == formatTable:
		return &tableList{w: c.Stdout, width: c.Width, columns: byImportance(c.itemColumns())}
	}
	return ndjsonList{c.Stdout}
}

// itemColumns returns the columns of the items of a list, or of a single answer.
func (c *call) itemColumns() []column {
	if c.op.Answer == nil {
		return nil
	}
	schema := c.op.Answer
	for _, p := range operations.Properties(schema) {
		if c.isPaged() && p.Name == data {
			schema = operations.Items(p.Schema)
		}
	}
	return columnsOf(schema)
}
