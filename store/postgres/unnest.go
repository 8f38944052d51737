package postgres

import (
	"database/sql/driver"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// UnnestColumns are the array parameters of a statement that handles many items at once: one array for each column, with one value for each item.
type UnnestColumns[T any] []UnnestColumn[T]

// UnnestColumn is a column: its name, the type of its values, and the value of an item.
type UnnestColumn[T any] struct {
	Name, Type string
	Value      func(item T) any
}

// NewUnnestColumn returns a column.
func NewUnnestColumn[T any](name, kind string, value func(item T) any) UnnestColumn[T] {
	return UnnestColumn[T]{name, kind, value}
}

// Table returns a table for FROM that has a row for each item. The column NAME_number numbers them, from 1. The arrays are the first
// parameters of the statement.
func (l UnnestColumns[T]) Table(name string) string {
	arrays, columns := make([]string, len(l)), make([]string, len(l), len(l)+1)
	for i, list := range l {
		arrays[i], columns[i] = fmt.Sprintf("$%d::%s[]", i+1, list.Type), list.Name
	}
	columns = append(columns, name+"_number")
	return fmt.Sprintf("unnest(%s) WITH ORDINALITY AS %s (%s)", strings.Join(arrays, ", "), name, strings.Join(columns, ", "))
}

// Args returns the arrays, with capacity for two more parameters.
func (l UnnestColumns[T]) Args(items []T) []any {
	args := make([]any, len(l), len(l)+2)
	for i, list := range l {
		args[i] = ArrayOf(items, list.Value)
	}
	return args
}

// ArrayOf returns an array parameter with one value for each item. It does not copy the values into a slice.
func ArrayOf[T any](items []T, value func(item T) any) any { return array[T]{items, value} }

type array[T any] struct {
	items []T
	value func(T) any
}

// Dimensions implements pgtype.ArrayGetter.
func (a array[T]) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(a.items)), LowerBound: 1}} //nolint:gosec // at most maxBatch
}

// Index implements pgtype.ArrayGetter.
func (a array[T]) Index(i int) any { return a.value(a.items[i]) }

// IndexType implements pgtype.ArrayGetter. It returns an untyped nil, since a null has no type.
func (array[T]) IndexType() any { return nil }

// TextValue implements pgtype.TextValuer, for connections that do not ask PostgreSQL for the types of parameters: the
// statement casts each array to its type.
func (a array[T]) TextValue() (pgtype.Text, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i := range a.items {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeElement(&b, a.Index(i)); err != nil {
			return pgtype.Text{}, err
		}
	}
	b.WriteByte('}')
	return pgtype.Text{String: b.String(), Valid: true}, nil
}

// quoteElement escapes a quoted element of an array.
var quoteElement = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func writeElement(b *strings.Builder, element any) error {
	if valuer, ok := element.(driver.Valuer); ok {
		v, err := valuer.Value()
		if err != nil {
			return err
		}
		element = v
	}
	switch v := element.(type) {
	case nil:
		b.WriteString("NULL")
	case string:
		b.WriteByte('"')
		_, _ = quoteElement.WriteString(b, v)
		b.WriteByte('"')
	default:
		_, _ = fmt.Fprint(b, v)
	}
	return nil
}
