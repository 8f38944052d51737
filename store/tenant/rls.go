package tenant

import (
	"database/sql"
	"errors"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// With row-level security, the policies of deploy/rls.sql limit each transaction to the rows of one client. They read a setting
// that ends with the transaction, so that it cannot leak to the next user of the connection, also behind a pooler. Without the
// setting the policies show no rows.
//
// On a distributed database only the machine that has the client gets the setting. Citus sends SET LOCAL to other machines, but that takes
// no parameters. It does not send set_config, so the query selects from clients to run there. It returns one row even if there is no such
// client.
const (
	setClientSQL       = "SELECT set_config('clientapps.client_id', $1, true)"
	setClientOnNodeSQL = "SELECT set_config('clientapps.client_id', $1, true), count(*) FROM clients WHERE id = $2"
	setAllClientsSQL   = "SET LOCAL clientapps.client_id = '*'" // for statements that CrossTenant declares
	setNoClientSQL     = "SET LOCAL clientapps.client_id = ''"
)

// SetClient returns the statement that limits a transaction to the rows of one client, until it ends, and its parameters.
func SetClient(client uuid.UUID, distributed bool) (sql string, args []any) {
	if distributed {
		return setClientOnNodeSQL, []any{client.String(), client}
	}
	return setClientSQL, []any{client.String()}
}

// LimitTx limits a transaction to the rows of one client, until it ends.
func LimitTx(tx *gorm.DB, client uuid.UUID, distributed bool) error {
	query, args := SetClient(client, distributed)
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, query, args...)
	return err
}

// errRowsOutsideTx means that the rows of a statement would be read after the end of the transaction that has the setting.
var errRowsOutsideTx = errors.New("rows of a client outside of a transaction")

// RegisterRowLevelSecurity makes gorm run each statement on a table of clients in a transaction that is limited to the client of its
// handle. Register must have been called before. distributed is called when there is a connection.
func (g *Guard) RegisterRowLevelSecurity(db *gorm.DB, distributed func() bool) error {
	const set, release = "tenant:set", "tenant:release"
	on := db.Callback()
	limit := func(readOnly bool) func(*gorm.DB) {
		return func(db *gorm.DB) { g.setClient(db, readOnly, distributed) }
	}
	return errors.Join(
		on.Query().Before("gorm:query").After(guardName).Register(set, limit(true)),
		on.Row().Before("gorm:row").After(guardName).Register(set, g.refuseOutsideTx),
		on.Raw().Before("gorm:raw").After(guardName).Register(set, limit(false)),
		on.Create().Before("gorm:create").After(guardName).Register(set, limit(false)),
		on.Update().Before("gorm:update").After(guardName).Register(set, limit(false)),
		on.Delete().Before("gorm:delete").After(guardName).Register(set, limit(false)),

		on.Query().After("gorm:query").Register(release, releaseClient),
		on.Raw().After("gorm:raw").Register(release, releaseClient),
		on.Create().After("gorm:create").Register(release, releaseClient),
		on.Update().After("gorm:update").Register(release, releaseClient),
		on.Delete().After("gorm:delete").Register(release, releaseClient),
	)
}

// limitedPool is the connection of one statement while the setting of its client holds.
type limitedPool struct {
	gorm.ConnPool

	original  gorm.ConnPool
	onSuccess func() error // ends the setting after a statement that succeeded
	onError   func() error // ends it after one that failed
}

// setClient begins a transaction with the setting for one statement. For a statement in a transaction it does nothing, except that it
// opens the transaction to all clients if CrossTenant declares the statement.
func (g *Guard) setClient(db *gorm.DB, readOnly bool, distributed func() bool) {
	if db.Error != nil || db.DryRun {
		return
	}
	switch pool := db.Statement.ConnPool.(type) {
	case gorm.TxCommitter:
		if crossTenant(db) {
			bypassRLS(db)
		}
	case gorm.TxBeginner:
		client, ok := clientOf(db)
		if !ok {
			return
		}
		ctx := db.Statement.Context
		tx, err := pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: readOnly})
		if db.AddError(err) != nil {
			return
		}
		query, args := SetClient(client, distributed())
		if _, err := tx.ExecContext(ctx, query, args...); db.AddError(err) != nil {
			_ = tx.Rollback()
			return
		}
		db.Statement.ConnPool = &limitedPool{tx, db.Statement.ConnPool, tx.Commit, tx.Rollback}
	}
}

// refuseOutsideTx refuses Row and Rows on a table of clients outside of a transaction.
func (g *Guard) refuseOutsideTx(db *gorm.DB) {
	if _, inside := db.Statement.ConnPool.(gorm.TxCommitter); db.Error == nil && !inside && g.covers(db.Statement) {
		_ = db.AddError(errRowsOutsideTx)
	}
}

// bypassRLS opens the transaction to all clients for one statement, and then sets no client: a transaction across clients has none.
// After a statement that fails, PostgreSQL accepts no further ones, and the transaction ends.
func bypassRLS(db *gorm.DB) {
	ctx, tx := db.Statement.Context, db.Statement.ConnPool
	set := func(to string) error {
		_, err := tx.ExecContext(ctx, to)
		return err
	}
	if db.AddError(set(setAllClientsSQL)) == nil {
		db.Statement.ConnPool = &limitedPool{tx, tx, func() error { return set(setNoClientSQL) }, func() error { return nil }}
	}
}

// releaseClient ends the transaction, or the bypass, that setClient began.
func releaseClient(db *gorm.DB) {
	pool, ok := db.Statement.ConnPool.(*limitedPool)
	if !ok {
		return
	}
	db.Statement.ConnPool = pool.original
	if db.Error != nil {
		_ = pool.onError()
		return
	}
	_ = db.AddError(pool.onSuccess())
}
