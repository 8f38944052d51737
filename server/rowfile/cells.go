package rowfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/strictjson"
)

// separator separates the values of a cell that has several.
const separator = ";"

// quote is written before a text that a spreadsheet would take for a formula, and before a text that begins with a quote. A cell that
// is only a quote is the empty text; an empty cell is null.
const quote = "'"

// formulaPrefixes are the first characters of texts that need a quote.
const formulaPrefixes = "=+-@\t\r" + quote

// cellText returns a value as a cell. It is the opposite of cellValue.
func cellText(value any) string {
	var text string
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		if text = value; text == "" {
			return quote
		}
	case []string:
		text = joinValues(value)
	default:
		text = fmt.Sprint(value)
	}
	if text != "" && strings.Contains(formulaPrefixes, text[:1]) {
		return quote + text
	}
	return text
}

// joinValues puts texts into one cell. It writes a JSON array if splitting at the separator would not return the same texts.
func joinValues(texts []string) string {
	text := strings.Join(texts, separator)
	ambiguous := func(text string) bool {
		return text == "" || strings.Contains(text, separator) || strings.TrimSpace(text) != text
	}
	if strings.HasPrefix(text, "[") || slices.ContainsFunc(texts, ambiguous) {
		return string(jsonText(texts))
	}
	return text
}

// jsonText returns a text or texts as JSON, without escapes for HTML.
func jsonText(value any) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // cannot fail for strings, numbers and booleans
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// parseCells parses a row from cells. It returns the valid fields and the errors of the others.
func parseCells(rules *schemas.Rows, columns, cells []string) (fields map[string]any, problems []schemas.Problem) {
	fields = make(map[string]any, len(columns))
	var readable []string
	for i, column := range columns {
		fields[column] = cellValue(rules.Property(column), cells[i])
		if strictjson.IsText(cells[i]) {
			readable = append(readable, column)
		} else {
			problems = append(problems, schemas.Problem{Field: column, Message: column + " must be UTF-8 text without noncharacters"})
		}
	}
	problems = append(problems, rules.Check(fields, readable)...)
	maps.DeleteFunc(fields, func(column string, _ any) bool { return !slices.Contains(readable, column) })
	return fields, problems
}

// cellValue converts a cell to the type of the schema. If it cannot, it returns the text, which the schema then refuses.
func cellValue(schema *openapi3.Schema, cell string) any {
	text := strings.TrimPrefix(cell, quote)
	switch {
	case schema.Type.Is("array"):
		return splitValues(text)
	case cell == "" && (schema.Nullable || !schema.Type.Is("string")):
		return nil
	case schema.Type.Is("boolean"):
		// Spreadsheets write TRUE.
		if strings.EqualFold(text, "true") || strings.EqualFold(text, "false") {
			return strings.EqualFold(text, "true")
		}
	case schema.Type.Is("integer"):
		doc, _ := strictjson.Parse([]byte(text), strictjson.Options{MaxNodes: 1})
		switch doc.Value.(type) {
		case int64, float64:
			return doc.Value
		}
	}
	return text
}

// splitValues returns the texts of a cell that has several, as the schema of an array expects them.
func splitValues(cell string) []any {
	if cell == "" {
		return []any{}
	}
	if strings.HasPrefix(cell, "[") {
		doc, _ := strictjson.Parse([]byte(cell), strictjson.Options{MaxNodes: schemas.MaxNodes})
		items, ok := doc.Value.([]any)
		if ok && !slices.ContainsFunc(items, func(item any) bool { _, text := item.(string); return !text }) {
			return items
		}
	}
	var items []any
	for item := range strings.SplitSeq(cell, separator) {
		items = append(items, strings.TrimSpace(item))
	}
	return items
}
