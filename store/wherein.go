package store

import (
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/sqlite"
)

// whereIn selects rows whose column has one of the values, a slice. The slice is one parameter, so that the text of the statement
// does not depend on its length, and the database parses it once.
func whereIn(q *gorm.DB, column string, values any) *gorm.DB {
	if q.Name() == postgres.Name {
		return q.Where(column+" = ANY(?)", postgres.Array{Of: values})
	}
	element := "value"
	if _, ok := values.([][]byte); ok {
		element = "unhex(value)"
	}
	return q.Where(column+" IN (SELECT "+element+" FROM json_each(?))", sqlite.Array{Of: values})
}
