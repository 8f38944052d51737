package postgres

import (
	"database/sql/driver"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// Name is what gorm calls this database.
const Name = "postgres"

// Array is a slice that is sent as one parameter. gorm by itself would make a parameter of each element.
type Array struct{ Of any }

// Value implements driver.Valuer. Ids and hashes are sent as they are: left to the driver, each would go through its text.
func (a Array) Value() (driver.Value, error) {
	switch of := a.Of.(type) {
	case []uuid.UUID:
		sent := make(pgtype.FlatArray[pgtype.UUID], len(of))
		for i, id := range of {
			sent[i] = pgtype.UUID{Bytes: id, Valid: true}
		}
		return sent, nil
	case [][]byte:
		return pgtype.FlatArray[[]byte](of), nil
	}
	return a.Of, nil
}
