package postgres

import (
	"database/sql/driver"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// Lists are the parameters of a statement that handles many items at once: for each column an array, which has the value of each item.
type Lists[T any] []List[T]

// List is a column: its name, the type of its values, and the value of an item.
type List[T any] struct {
	Name, Type string
	Of         func(item T) any
}

// NewList makes a column.
func NewList[T any](name, kind string, of func(item T) any) List[T] { return List[T]{name, kind, of} }

// Table is a table for FROM that has a row for each item. The column NAME_number numbers them, from 1. The arrays are the first
// parameters of the statement.
func (l Lists[T]) Table(name string) string {
	arrays, columns := make([]string, len(l)), make([]string, len(l), len(l)+1)
	for i, list := range l {
		arrays[i], columns[i] = fmt.Sprintf("$%d::%s[]", i+1, list.Type), list.Name
	}
	columns = append(columns, name+"_number")
	return fmt.Sprintf("unnest(%s) WITH ORDINALITY AS %s (%s)", strings.Join(arrays, ", "), name, strings.Join(columns, ", "))
}

// Args are the arrays, with room for two more parameters.
func (l Lists[T]) Args(items []T) []any {
	args := make([]any, len(l), len(l)+2)
	for i, list := range l {
		args[i] = ArrayOf(items, list.Of)
	}
	return args
}

// ArrayOf is an array with one value of each item. It makes no slice of them.
func ArrayOf[T any](items []T, of func(item T) any) any { return array[T]{items, of} }

type array[T any] struct {
	items []T
	of    func(T) any
}

// Dimensions implements pgtype.ArrayGetter.
func (a array[T]) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(a.items)), LowerBound: 1}} //nolint:gosec // at most maxBatch
}

// Index implements pgtype.ArrayGetter.
func (a array[T]) Index(i int) any { return a.of(a.items[i]) }

// IndexType implements pgtype.ArrayGetter: any, since what is null has no type.
func (array[T]) IndexType() any { return nil }

// TextValue implements pgtype.TextValuer, for connections that do not ask PostgreSQL for the types of parameters: the
// statement has them behind each list.
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
