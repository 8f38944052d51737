package store

import (
	"database/sql/driver"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"
)

// whereIn selects rows whose column has one of the values, a slice. The slice is one parameter, so that the text of the statement
// does not depend on its length, and the database parses it once.
func whereIn(q *gorm.DB, column string, values any) *gorm.DB {
	if q.Name() == "postgres" {
		return q.Where(column+" = ANY(?)", pgArray{values})
	}
	return q.Where(column+" IN (SELECT value FROM json_each(?))", jsonArray{values})
}

// pgArray hands a slice to the driver. gorm by itself would make a parameter of each element.
type pgArray struct{ of any }

// Value implements driver.Valuer. Ids are sent as they are: left to the driver, each would go through its text.
func (a pgArray) Value() (driver.Value, error) {
	ids, ok := a.of.([]uuid.UUID)
	if !ok {
		return a.of, nil
	}
	sent := make(pgtype.FlatArray[pgtype.UUID], len(ids))
	for i, id := range ids {
		sent[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return sent, nil
}

// jsonArray is a slice as SQLite takes it.
type jsonArray struct{ of any }

// Value implements driver.Valuer.
func (a jsonArray) Value() (driver.Value, error) {
	text, err := json.Marshal(a.of)
	return string(text), err
}
