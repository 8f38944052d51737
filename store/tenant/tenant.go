// Package tenant binds statements on the tables of clients to one client. A statement on such a table begins at the handle that Of
// returns, which adds the condition; Guard refuses all others, unless CrossTenant declares them. Where PostgreSQL's row-level
// security is on, it gets the client from the same handle.
package tenant

import (
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Column is the column that the tables of clients have in common.
const Column = "client_id"

// Keys of gorm's settings, which belong to a statement.
const (
	clientKey = "tenant:client"
	crossKey  = "tenant:cross"
)

// Of returns the handle for statements on the rows of one client.
func Of(db *gorm.DB, client uuid.UUID) *gorm.DB {
	return db.Set(clientKey, client).Where(condition{client})
}

// Template is Of for a statement that is only built, with a placeholder in place of the client: a value that the caller finds
// among the parameters, or an expression of SQL.
func Template(db *gorm.DB, placeholder any) *gorm.DB { return db.Where(condition{placeholder}) }

// CrossTenant returns the handle for a statement that reads or writes the rows of many clients, with the reason.
func CrossTenant(db *gorm.DB, reason string) *gorm.DB { return db.Set(crossKey, reason) }

// condition is the part of a WHERE clause that binds a statement to its client.
type condition struct{ client any }

// Build implements clause.Expression.
func (c condition) Build(b clause.Builder) {
	_, _ = b.WriteString(Column + " = ")
	b.AddVar(b, c.client)
}

func clientOf(db *gorm.DB) (uuid.UUID, bool) {
	v, _ := db.Get(clientKey)
	client, ok := v.(uuid.UUID)
	return client, ok
}

func crossTenant(db *gorm.DB) bool {
	_, declared := db.Get(crossKey)
	return declared
}

// UnscopedStatementError says that a statement could reach the rows of other clients. It was not sent. It is a fault of the program.
type UnscopedStatementError struct{ Reason string }

func (e *UnscopedStatementError) Error() string {
	return fmt.Sprintf("statement refused by the tenant guard: %s", e.Reason)
}
