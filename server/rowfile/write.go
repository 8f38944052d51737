package rowfile

import (
	"bufio"
	"encoding/csv"

	"github.com/clientapps/clientapps/store"
)

// Writer writes a file. Its rows may stay in the buffer until the caller flushes it.
type Writer[T any] struct {
	out     *bufio.Writer
	cells   *csv.Writer // nil for NDJSON
	columns []string
	values  func(T) map[string]any // of all columns; nil for null
	record  []string
}

// NewAppWriter writes rows of apps.
func NewAppWriter(out *bufio.Writer, f Format) *Writer[store.AppRow] {
	return newWriter(out, f, appColumns(), func(row store.AppRow) map[string]any {
		values := fieldValues(row.Fields)
		values[string(store.ColumnCanonicalName)] = row.Name
		return values
	})
}

// NewCatalogWriter writes rows of the catalog.
func NewCatalogWriter(out *bufio.Writer, f Format) *Writer[store.CatalogRow] {
	return newWriter(out, f, catalogColumns, func(row store.CatalogRow) map[string]any {
		values := fieldValues(row.Fields)
		values[columnVendor], values[columnVendorURL] = row.Vendor[store.ColumnName], row.Vendor[store.ColumnURL]
		values[columnCategories] = append([]string{}, row.Categories...)
		values[columnURLPatterns] = append([]string{}, row.URLPatterns...)
		values[columnDesktopAliases] = append([]string{}, row.DesktopAliases...)
		return values
	})
}

func fieldValues(fields store.Fields) map[string]any {
	values := make(map[string]any, len(catalogColumns))
	for column, value := range fields {
		values[string(column)] = value
	}
	return values
}

func newWriter[T any](out *bufio.Writer, f Format, columns []string, values func(T) map[string]any) *Writer[T] {
	w := &Writer[T]{out: out, columns: columns, values: values}
	if f == CSV {
		w.cells = csv.NewWriter(out) // uses the buffer as its own
	}
	return w
}

// Begin writes what comes before the rows: the names of the columns in CSV, nothing in NDJSON.
func (w *Writer[T]) Begin() error {
	if w.cells == nil {
		return nil
	}
	return w.cells.Write(w.columns)
}

// Write writes a row.
func (w *Writer[T]) Write(row T) error {
	values := w.values(row)
	if w.cells == nil {
		return w.writeObject(values)
	}
	w.record = w.record[:0]
	for _, column := range w.columns {
		w.record = append(w.record, cellText(values[column]))
	}
	return w.cells.Write(w.record)
}

// writeObject writes a line with all columns, in their order. The buffer keeps its first error until the last write.
func (w *Writer[T]) writeObject(values map[string]any) error {
	before := byte('{')
	for _, column := range w.columns {
		_ = w.out.WriteByte(before)
		_, _ = w.out.Write(jsonText(column))
		_ = w.out.WriteByte(':')
		_, _ = w.out.Write(jsonText(values[column]))
		before = ','
	}
	_, err := w.out.WriteString("}\n")
	return err
}
