package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// lockPath is the kind of write that a lock timeout ended.
type lockPath int

const (
	lockPathBatch       lockPath = iota // patches that are written together, for shortLockWait
	lockPathConditional                 // a conditional write that holds the catalog, for shortLockWait
	lockPathClient                      // a transaction that is bound to a client
	lockPathCatalog                     // a change of the catalog
	lockPathImport
	lockPathOther
	lockPaths
)

var lockPathNames = [lockPaths]string{"batch", "conditional", "client", "catalog", "import", "other"}

// shortLockWait is the lock_timeout of a write that holds locks for which others may wait. It is well below PostgreSQL's
// deadlock_timeout of one second, so that it ends a deadlock before PostgreSQL looks for one.
const shortLockWait = "50ms"

// lockTimeouts counts lock timeouts.
type lockTimeouts [lockPaths]atomic.Uint64

// note counts err if it is a lock timeout.
func (l *lockTimeouts) note(path lockPath, err error) {
	if lockTimeout(err) {
		l[path].Add(1)
	}
}

func (l *lockTimeouts) stats() map[string]uint64 {
	stats := make(map[string]uint64, lockPaths)
	for path := range l {
		stats[lockPathNames[path]] = l[path].Load()
	}
	return stats
}

// path is what the timeouts of a transaction with this share count as.
func (k shareKey) path() lockPath {
	switch k.kind {
	case shareOfClient:
		return lockPathClient
	case shareOfCatalog:
		return lockPathCatalog
	case unshared, shareOfTokens:
	}
	return lockPathOther
}

// txConnector makes connections to PostgreSQL whose transactions begin with the settings that they need. The settings end with the
// transaction, since a pooler may give the connection to another server then.
type txConnector struct {
	driver.Connector

	lockTimeout time.Duration // how long a transaction that writes waits for each lock; 0: as the server is configured
}

// Connect implements driver.Connector.
func (c txConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	plain, ok := conn.(*pgxConn)
	if !ok {
		return nil, fmt.Errorf("connection is a %T", conn)
	}
	begin := "BEGIN"
	if c.lockTimeout > 0 {
		begin += "; SET LOCAL lock_timeout = " + strconv.FormatInt(c.lockTimeout.Milliseconds(), 10)
	}
	return &txConn{plain, begin}, nil
}

type txConn struct {
	*pgxConn

	begin string // a transaction that writes
}

// BeginTx begins the transaction, sets its lock_timeout and, with row-level security, the client of its context, in one round
// trip.
func (c *txConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if opts.Isolation != driver.IsolationLevel(sql.LevelDefault) {
		return c.pgxConn.BeginTx(ctx, opts) // to read the whole catalog, it sees no client's rows
	}
	if c.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	begin := c.begin
	if opts.ReadOnly {
		begin = "BEGIN READ ONLY"
	}
	if id, ok := clientOf(ctx); ok {
		// An id is digits and dashes. Without parameters all of it goes as one message.
		begin += "; SELECT set_config('clientapps.client_id', '" + id.String() + "', true)"
	}
	tx, err := c.Conn().BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return nil, err
	}
	return pgxTx{ctx, tx}, nil
}

type pgxTx struct {
	ctx context.Context
	tx  pgx.Tx
}

func (t pgxTx) Commit() error   { return t.tx.Commit(t.ctx) }
func (t pgxTx) Rollback() error { return t.tx.Rollback(t.ctx) }

// awaitApp returns when nobody holds the app's row, and nobody the catalog, and keeps neither. A conditional write needs
// both at once. It waits for them here, one after the other: if it held the catalog while it waited for a row, a change of
// the catalog would wait behind it, and every other conditional write behind that.
func (s *Store) awaitApp(ctx context.Context, key AppKey) error {
	share := clientShare(key.ClientID)
	err := s.inTx(ctx, share, nil, func(tx *gorm.DB) error {
		return tx.Model(&App{}).Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).
			Where("client_id = ? AND id = ?", key.ClientID, key.ID).Select("id").Find(&App{}).Error
	})
	if err != nil {
		return err
	}
	return s.inTx(ctx, share, nil, func(tx *gorm.DB) error { return holdCatalog(tx, holdCatalogShared) })
}

// importPatience is how many times as long as other writes an import waits for its first lock: for another import.
const importPatience = 10

// lockFirst takes the first lock of an import, while nobody waits behind it yet. From then on its time runs.
func (s *Store) lockFirst(tx *gorm.DB, staged *staging, lock func() error) error {
	if err := boundLockWait(tx, importPatience*s.lockWait); err != nil {
		return err
	}
	if err := lock(); err != nil {
		return err
	}
	staged.locked = time.Now()
	if err := boundLockWait(tx, s.lockWait); err != nil || tx.Name() != "postgres" {
		return err
	}
	// For one statement that waits for many rows, one after the other.
	limit := strconv.FormatInt(max(1, staged.lockTime.Milliseconds()), 10)
	return tx.Exec("SELECT set_config('statement_timeout', ?, true)", limit).Error
}

// boundLockWait sets how long the transaction waits for each lock from here on. SQLite has one writer, who has it all.
func boundLockWait(tx *gorm.DB, wait time.Duration) error {
	if tx.Name() != "postgres" {
		return nil
	}
	return tx.Exec("SELECT set_config('lock_timeout', ?, true)", strconv.FormatInt(wait.Milliseconds(), 10)).Error
}
