package store

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/tenant"
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
	if postgres.LockTimeout(err) {
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

// awaitApp returns when nobody holds the app's row, and nobody the catalog, and keeps neither. A conditional write needs
// both at once. It waits for them here, one after the other: if it held the catalog while it waited for a row, a change of
// the catalog would wait behind it, and every other conditional write behind that.
func (s *Store) awaitApp(ctx context.Context, key AppKey) error {
	share := clientShare(key.ClientID)
	err := s.inTx(ctx, share, nil, func(tx *gorm.DB) error {
		return tenant.Of(tx, key.ClientID).Model(&App{}).Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).
			Where("id = ?", key.ID).Select("id").Find(&App{}).Error
	})
	if err != nil {
		return err
	}
	return s.inTx(ctx, share, nil, func(tx *gorm.DB) error { return holdCatalog(tx, holdCatalogShared) })
}

// boundLockWait sets how long the transaction waits for each lock from here on. SQLite has one writer, who has it all.
func boundLockWait(tx *gorm.DB, wait time.Duration) error {
	if tx.Name() != postgres.Name {
		return nil
	}
	return tx.Exec("SELECT set_config('lock_timeout', ?, true)", strconv.FormatInt(wait.Milliseconds(), 10)).Error
}
