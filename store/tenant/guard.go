package tenant

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
)

// Guard refuses statements on the tables of clients that are not bound to one client. It looks at gorm's clauses, and at the
// text of SQL only where there are none.
type Guard struct {
	tables    []string
	tableName *regexp.Regexp // finds the name of one of the tables in a text
}

// NewGuard returns the guard of these tables.
func NewGuard(tables ...string) *Guard {
	return &Guard{tables, regexp.MustCompile(`(?i)\b(` + strings.Join(tables, "|") + `)\b`)}
}

// guardName is the name of the guard's callbacks.
const guardName = "tenant:guard"

// Register makes gorm call the guard before it sends a statement.
func (g *Guard) Register(db *gorm.DB) error {
	on := db.Callback()
	return errors.Join(
		on.Query().Before("gorm:query").Register(guardName, g.checkQuery),
		on.Row().Before("gorm:row").Register(guardName, g.checkQuery),
		on.Raw().Before("gorm:raw").Register(guardName, g.checkRaw),
		on.Create().Before("gorm:create").Register(guardName, g.checkCreate),
		on.Update().Before("gorm:update").Register(guardName, g.checkUpdate),
		on.Delete().Before("gorm:delete").Register(guardName, g.checkDelete),
	)
}

// Unregister removes the guard, for tests of row-level security without it.
func (g *Guard) Unregister(db *gorm.DB) error {
	on := db.Callback()
	return errors.Join(
		on.Query().Remove(guardName), on.Row().Remove(guardName), on.Raw().Remove(guardName),
		on.Create().Remove(guardName), on.Update().Remove(guardName), on.Delete().Remove(guardName),
	)
}

// refusedQuery replaces the text of a refused subquery. gorm does not pass the error of a subquery to the outer statement, which is then
// refused because of this text.
const refusedQuery = "tenant_guard_refused_this_query"

func (g *Guard) checkQuery(db *gorm.DB) {
	if db.Statement.SQL.Len() > 0 {
		g.checkRaw(db)
		return
	}
	g.check(db, nil)
	if db.Error != nil {
		if db.DryRun {
			_, _ = db.Statement.WriteString(refusedQuery)
		}
		return
	}
	if callbacks.BuildQuerySQL(db); strings.Contains(db.Statement.SQL.String(), refusedQuery) {
		refuse(db, "a subquery was refused")
	}
}

// checkRaw refuses hand-written SQL that names a table of clients, since gorm has no clauses of it.
func (g *Guard) checkRaw(db *gorm.DB) {
	if db.Error != nil || crossTenant(db) {
		return
	}
	if name := g.tableName.FindString(db.Statement.SQL.String()); name != "" {
		refuse(db, "it is written by hand and names "+name)
	}
}

func (g *Guard) checkUpdate(db *gorm.DB) {
	g.check(db, func() string {
		set, ok := db.Statement.Dest.(map[string]any)
		if !ok {
			return "it is an update without a map of fields"
		}
		if _, moves := set[Column]; moves {
			return "it moves rows to another client"
		}
		return ""
	})
}

func (g *Guard) checkDelete(db *gorm.DB) { g.check(db, nil) }

// checkCreate requires that each row, and each row that an upsert may replace, belongs to the client.
func (g *Guard) checkCreate(db *gorm.DB) {
	if db.Error != nil || crossTenant(db) || !g.covers(db.Statement) {
		return
	}
	client, ok := clientOf(db)
	switch {
	case !ok:
		refuse(db, "it inserts rows without "+Column)
	case !ownsRows(db, client):
		refuse(db, "it inserts a row of another client")
	case !upsertsByClient(db.Statement):
		refuse(db, "it replaces rows by a key without "+Column)
	}
}

// check requires that a statement on a table of clients has the handle's condition, joined to the others by AND. Then it calls extraCheck,
// which returns a reason to refuse the statement, or "". extraCheck may be nil.
func (g *Guard) check(db *gorm.DB, extraCheck func() string) {
	stmt := db.Statement
	if db.Error != nil || crossTenant(db) {
		return
	}
	for _, join := range stmt.Joins {
		if g.tableName.MatchString(join.Name) {
			refuse(db, "it joins "+join.Name)
			return
		}
	}
	if !g.covers(stmt) {
		return
	}
	if !hasCondition(stmt) {
		refuse(db, "it has no condition on "+Column)
		return
	}
	if extraCheck != nil {
		if reason := extraCheck(); reason != "" {
			refuse(db, reason)
		}
	}
}

// covers reports whether a statement is about a table of clients.
func (g *Guard) covers(stmt *gorm.Statement) bool {
	return slices.Contains(g.tables, stmt.Table) || stmt.Schema != nil && slices.Contains(g.tables, stmt.Schema.Table) ||
		stmt.TableExpr != nil && g.tableName.MatchString(stmt.TableExpr.SQL)
}

// hasCondition reports whether the WHERE clause has the handle's condition, and no OR beside it.
func hasCondition(stmt *gorm.Statement) bool {
	where, ok := stmt.Clauses["WHERE"].Expression.(clause.Where)
	if !ok {
		return false
	}
	found := false
	for _, expr := range where.Exprs {
		switch expr := expr.(type) {
		case condition:
			_, own := expr.client.(uuid.UUID)
			found = found || own || stmt.DB.DryRun // a Template is never sent
		case clause.OrConditions:
			return false
		}
	}
	return found
}

// ownsRows reports whether all rows of an INSERT belong to the client.
func ownsRows(db *gorm.DB, client uuid.UUID) bool {
	stmt := db.Statement
	if stmt.Schema == nil {
		return false
	}
	field := stmt.Schema.LookUpField(Column)
	if field == nil {
		return false
	}
	own := func(row reflect.Value) bool {
		value, _ := field.ValueOf(stmt.Context, row)
		return value == client
	}
	if stmt.ReflectValue.Kind() != reflect.Slice {
		return own(stmt.ReflectValue)
	}
	for i := range stmt.ReflectValue.Len() {
		if !own(reflect.Indirect(stmt.ReflectValue.Index(i))) {
			return false
		}
	}
	return true
}

// upsertsByClient reports whether an upsert, if there is one, can only replace rows of the same client.
func upsertsByClient(stmt *gorm.Statement) bool {
	conflict, ok := stmt.Clauses["ON CONFLICT"].Expression.(clause.OnConflict)
	return !ok || conflict.DoNothing || slices.ContainsFunc(conflict.Columns, func(c clause.Column) bool { return c.Name == Column })
}

func refuse(db *gorm.DB, reason string) {
	_ = db.AddError(&UnscopedStatementError{Reason: fmt.Sprintf("%s (table %q)", reason, db.Statement.Table)})
}
