package store

import (
	"database/sql/driver"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"
)

// among selects rows whose column has one of the values, which are a slice. However many there are, they are one parameter
// and the statement is the same, so that it is parsed and kept once.
func among(q *gorm.DB, column string, values any) *gorm.DB {
	if q.Name() == "postgres" {
		return q.Where(column+" = ANY(?)", array{values})
	}
	return q.Where(column+" IN (SELECT value FROM json_each(?))", jsonArray{values})
}

// array is a slice that gorm leaves to the driver: by itself it would make a parameter of each element.
type array struct{ of any }

// Value implements driver.Valuer. Ids are sent as they are: left to the driver, each would go through its text.
func (a array) Value() (driver.Value, error) {
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
