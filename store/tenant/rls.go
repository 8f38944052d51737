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
// On a distributed database only the machine that has the client gets its setting. Citus tells other machines of SET LOCAL, which
// takes no parameters, but not of set_config: so the query goes there. It has one row whether or not there is such a client.
const (
	setClient      = "SELECT set_config('clientapps.client_id', $1, true)"
	setClientThere = "SELECT set_config('clientapps.client_id', $1, true), count(*) FROM clients WHERE id = $2"
	setAllClients  = "SET LOCAL clientapps.client_id = '*'" // for statements that CrossTenant declares
	setNoClient    = "SET LOCAL clientapps.client_id = ''"
)

// SetClient is the statement that limits a transaction to the rows of one client, until it ends, with its parameters.
func SetClient(client uuid.UUID, distributed bool) (sql string, args []any) {
	if distributed {
		return setClientThere, []any{client.String(), client}
	}
	return setClient, []any{client.String()}
}

// Enter limits a transaction to the rows of one client, until it ends.
func Enter(tx *gorm.DB, client uuid.UUID, distributed bool) error {
	query, args := SetClient(client, distributed)
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, query, args...)
	return err
}

// errRowsOutsideTx says that the rows of a statement would be read after the end of the transaction that has its client.
var errRowsOutsideTx = errors.New("rows of a client outside of a transaction")

// RegisterRowSecurity has gorm run each statement on a table of clients in a transaction that is limited to the client of its
// handle. Register must have been called before. distributed is asked when there is a connection.
func (g *Guard) RegisterRowSecurity(db *gorm.DB, distributed func() bool) error {
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

	outside gorm.ConnPool
	end     func() error // of what went well
	failed  func() error
}

// setClient runs a statement in a transaction of its own that has the client, unless it is in one already. There it opens the
// transaction to all clients for a statement that is declared.
func (g *Guard) setClient(db *gorm.DB, readOnly bool, distributed func() bool) {
	if db.Error != nil || db.DryRun {
		return
	}
	switch pool := db.Statement.ConnPool.(type) {
	case gorm.TxCommitter:
		if crossTenant(db) {
			bypass(db)
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

func (g *Guard) refuseOutsideTx(db *gorm.DB) {
	if _, inside := db.Statement.ConnPool.(gorm.TxCommitter); db.Error == nil && !inside && g.covers(db.Statement) {
		_ = db.AddError(errRowsOutsideTx)
	}
}

// bypass opens the transaction to all clients for one statement, and then sets no client: a transaction across clients has none.
// When the statement fails PostgreSQL takes no more of them, and the transaction ends.
func bypass(db *gorm.DB) {
	ctx, tx := db.Statement.Context, db.Statement.ConnPool
	set := func(to string) error {
		_, err := tx.ExecContext(ctx, to)
		return err
	}
	if db.AddError(set(setAllClients)) == nil {
		db.Statement.ConnPool = &limitedPool{tx, tx, func() error { return set(setNoClient) }, func() error { return nil }}
	}
}

// releaseClient ends the transaction, or the bypass, that setClient began.
func releaseClient(db *gorm.DB) {
	pool, ok := db.Statement.ConnPool.(*limitedPool)
	if !ok {
		return
	}
	db.Statement.ConnPool = pool.outside
	if db.Error != nil {
		_ = pool.failed()
		return
	}
	_ = db.AddError(pool.end())
}
