package postgres

import (
	"database/sql/driver"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// Name is gorm's name of this database.
const Name = "postgres"

// Array sends a slice as one parameter. gorm by itself would make a parameter of each element.
type Array struct{ Values any }

// Value implements driver.Valuer. Ids and hashes are sent as they are: left to the driver, each would go through its text.
func (a Array) Value() (driver.Value, error) {
	switch values := a.Values.(type) {
	case []uuid.UUID:
		ids := make(pgtype.FlatArray[pgtype.UUID], len(values))
		for i, id := range values {
			ids[i] = pgtype.UUID{Bytes: id, Valid: true}
		}
		return ids, nil
	case [][]byte:
		return pgtype.FlatArray[[]byte](values), nil
	}
	return a.Values, nil
}
