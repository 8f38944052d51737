package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/connlimit"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/tenant"
)

type dryRunKey struct{}

// DryRun returns a context in which writes are tried and rolled back. A method then returns what it would return for a write, with the
// same errors, and writes nothing; only the version of a returned object, and with it the entity tag, is that of the object as it is.
func DryRun(ctx context.Context) context.Context { return context.WithValue(ctx, dryRunKey{}, true) }

func isDryRun(ctx context.Context) bool { return ctx.Value(dryRunKey{}) != nil }

// inTx runs work in one transaction. Any error other than InDoubtError, and any panic, means that nothing was committed.
//
// work runs again when an attempt left nothing behind: the connection broke before COMMIT, the transaction lost a deadlock, or
// probe reports that a COMMIT without an answer had no effect. With a nil probe, a COMMIT without an answer is InDoubtError.
//
// The transaction first waits, in memory, for a connection of the share of the pool that the key names.
func (s *Store) inTx(ctx context.Context, share shareKey, probe commitProbe, work func(tx *gorm.DB) error) error {
	return s.inTxOf(ctx, share, share.path(), probe, work)
}

// inTxOf is inTx with the kind of write that a lock timeout counts for.
func (s *Store) inTxOf(ctx context.Context, share shareKey, path lockPath, probe commitProbe, work func(tx *gorm.DB) error) error {
	release, err := s.acquire(ctx, share)
	if err != nil {
		return err
	}
	defer release()
	retry := false
	err = statementRetry.Do(ctx, func() (bool, error) {
		err := s.tryTx(ctx, share, work)
		s.lockTimeoutCounts.note(path, err)
		if inDoubt := (*inDoubtError)(nil); errors.As(err, &inDoubt) {
			written, problem := s.resolveInDoubt(ctx, inDoubt, probe)
			if retry = !written && problem == nil; retry {
				problem = inDoubt.cause
			}
			return retry, problem
		}
		retry = s.retryable(ctx, err)
		return retry, err
	})
	if retry { // and there are no attempts left
		return &UnavailableError{cause: err}
	}
	return err
}

// tryTx runs work in a transaction once, and rolls a dry run back. With row-level security, the transaction of a client's share sees the client's rows only.
// It returns inDoubtError when the COMMIT was sent and may have succeeded.
func (s *Store) tryTx(ctx context.Context, share shareKey, work func(tx *gorm.DB) error) error {
	return s.writer.WithContext(ctx).Connection(func(conn *gorm.DB) error {
		fence := s.db.Fence(conn)
		tx := conn.Session(&gorm.Session{NewDB: true, Context: ctx}).Begin()
		if tx.Error != nil {
			return tx.Error
		}
		committing := false
		defer func() {
			if !committing {
				tx.Rollback()
			}
		}()
		if s.rls && share.kind == shareOfClient {
			if err := tenant.LimitTx(tx, share.client, s.db.Distributed()); err != nil {
				return err
			}
		}
		if err := work(tx); err != nil || isDryRun(ctx) {
			return err
		}
		committing = true
		err := tx.Commit().Error
		if mayHaveCommitted(err) {
			return &inDoubtError{fence: fence, cause: err}
		}
		return err
	})
}

var snapshotOptions = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}

// inSnapshot runs work, which only reads, in a transaction that sees one state of all tables.
func (s *Store) inSnapshot(ctx context.Context, work func(tx *gorm.DB) error) error {
	return s.retryRead(ctx, func() error { return s.reader.WithContext(ctx).Transaction(work, snapshotOptions) })
}

// shareKey names the share of the pool that a write uses. The zero key has no bound. Reads take no share, except exports. Batches of
// patches take none either: they wait for a lock for at most shortLockTimeout.
type shareKey struct {
	kind   shareKind
	client uuid.UUID
}

type shareKind int8

const (
	unshared shareKind = iota
	shareOfClient
	shareOfCatalog
	shareOfTokens
	shareOfWebhooks
	shareOfDeliveries
	shareOfExports
)

var (
	catalogShare = shareKey{kind: shareOfCatalog} // all changes of the catalog
	tokenShare   = shareKey{kind: shareOfTokens}  // all changes of tokens

	webhookShare  = shareKey{kind: shareOfWebhooks}   // changes of webhooks by callers
	deliveryShare = shareKey{kind: shareOfDeliveries} // those by workers

	exportShare = shareKey{kind: shareOfExports} // all exports
)

// clientShare is for every write that is bound to one client and may wait for a lock.
func clientShare(id uuid.UUID) shareKey { return shareKey{shareOfClient, id} }

// acquire waits for a connection of the share. When ctx ends first it returns UnavailableError with ReasonShare, or the context's
// error when the caller has gone.
func (s *Store) acquire(ctx context.Context, key shareKey) (release func(), err error) {
	if key.kind == unshared {
		return func() {}, nil
	}
	release, err = s.shares.Acquire(ctx, key)
	if errors.Is(err, connlimit.ErrTimeout) {
		err = &UnavailableError{reason: ReasonShare, cause: err}
	}
	return release, err
}

// lockPath is the kind of write that a lock timeout ended.
type lockPath int

const (
	lockPathBatch       lockPath = iota // patches and bulk updates that are written together, for shortLockTimeout
	lockPathConditional                 // a conditional write that holds the catalog, for shortLockTimeout
	lockPathClient                      // a transaction that is bound to a client
	lockPathCatalog                     // a change of the catalog
	lockPathImport
	lockPathOther
	lockPaths
)

var lockPathNames = [lockPaths]string{"batch", "conditional", "client", "catalog", "import", "other"}

// shortLockTimeout is the lock_timeout of a write that holds locks for which others may wait. It is well below PostgreSQL's
// deadlock_timeout of one second, so that it ends a deadlock before PostgreSQL looks for one.
const shortLockTimeout = "50ms"

// lockTimeoutCounts counts lock timeouts.
type lockTimeoutCounts [lockPaths]atomic.Uint64

// note counts err if it is a lock timeout.
func (l *lockTimeoutCounts) note(path lockPath, err error) {
	if postgres.LockTimeout(err) {
		l[path].Add(1)
	}
}

func (l *lockTimeoutCounts) stats() map[string]uint64 {
	stats := make(map[string]uint64, lockPaths)
	for path := range l {
		stats[lockPathNames[path]] = l[path].Load()
	}
	return stats
}

// path returns the kind of write that the lock timeouts of a transaction with this share are counted for.
func (k shareKey) path() lockPath {
	switch k.kind {
	case shareOfClient:
		return lockPathClient
	case shareOfCatalog:
		return lockPathCatalog
	case unshared, shareOfTokens, shareOfWebhooks, shareOfDeliveries, shareOfExports:
	}
	return lockPathOther
}

// awaitAppLocks waits until the app's row can be locked, and then until the catalog's lock can be, and keeps neither. A conditional write
// needs both at once. If it held the catalog while it waited for the row, a change of the catalog would wait behind it, and every
// other conditional write behind that change.
func (s *Store) awaitAppLocks(ctx context.Context, key AppKey) error {
	share := clientShare(key.ClientID)
	err := s.inTx(ctx, share, nil, func(tx *gorm.DB) error {
		return tenant.Of(tx, key.ClientID).Model(&App{}).Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).
			Where("id = ?", key.ID).Select("id").Find(&App{}).Error
	})
	if err != nil {
		return err
	}
	return s.inTx(ctx, share, nil, func(tx *gorm.DB) error { return s.lockCatalogShared(tx, revisionLock, key.ClientID) })
}

// setLockTimeout sets how long the transaction waits for each lock from here on. SQLite has one writer.
func setLockTimeout(tx *gorm.DB, timeout time.Duration) error {
	if tx.Name() != postgres.Name {
		return nil
	}
	// SET LOCAL, since Citus does not tell other machines of set_config.
	return tx.Exec("SET LOCAL lock_timeout = " + strconv.FormatInt(timeout.Milliseconds(), 10)).Error
}

// setShortLockTimeout makes the transaction wait for locks for no longer than shortLockTimeout from here on.
func setShortLockTimeout(tx *gorm.DB) error {
	if tx.Name() != postgres.Name {
		return nil
	}
	return tx.Exec(shortLockTimeoutSQL).Error
}
